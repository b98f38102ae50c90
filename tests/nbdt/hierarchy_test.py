"""Hierarchies: what is a tree, and what is said of what is none."""

import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax import nbdt
from tests.nbdt import trees

CHILDREN = [[0, 1], [4, 3], [5, 2]]
has_data = pytest.mark.skipif(
  not trees.DATA.exists(), reason="no hierarchies beside the repository"
)


def test_attributes():
  hierarchy = nbdt.Hierarchy.from_children(CHILDREN)
  assert hierarchy.children == CHILDREN
  assert (hierarchy.num_classes, hierarchy.num_nodes) == (4, 7)
  assert hierarchy.root == 6
  assert hierarchy.depths.tolist() == [3, 3, 1, 2, 2, 1, 0]
  assert hierarchy.depth == 3
  assert hierarchy.leaves(5) == [0, 1, 3] and hierarchy.leaves(2) == [2]
  assert hierarchy.path(1) == [6, 5, 4, 1]
  assert np.asarray(hierarchy.decisions).tolist() == [3, 3, 1, 2]
  for node in (-1, 7):
    with pytest.raises(ValueError, match=f"node is {node}; legal: 0 to 6"):
      hierarchy.leaves(node)
    with pytest.raises(ValueError, match=f"node is {node}; legal: 0 to 6"):
      hierarchy.path(node)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**16), classes=st.integers(2, 40))
def test_random_trees_keep_their_children(seed, classes):
  random = np.random.default_rng(seed)
  children = trees.random_children(random, classes, 6)
  # Lists may come in any order: the root is found, not assumed to be last.
  shuffled = random.permutation(len(children))
  place = {int(old): new for new, old in enumerate(shuffled)}
  moved = [
    [n if n < classes else classes + place[n - classes] for n in children[i]]
    for i in shuffled
  ]
  hierarchy = nbdt.Hierarchy.from_children(moved)
  assert hierarchy.children == moved and hierarchy.num_classes == classes
  for i, nodes in enumerate(moved):
    below = [leaf for n in nodes for leaf in hierarchy.leaves(n)]
    assert hierarchy.leaves(classes + i) == below
    assert all(hierarchy.path(n)[-2:] == [classes + i, n] for n in nodes)
  merges = hierarchy.merges
  made = np.arange(classes, 2 * classes - 1)
  assert (merges.left < made).all() and (merges.right < made).all()
  parts = sorted([*merges.left.tolist(), *merges.right.tolist()])
  assert parts == list(range(2 * classes - 2))


def test_is_immutable_hashable_and_a_pytree():
  hierarchy = nbdt.Hierarchy.from_children(CHILDREN)
  same = nbdt.Hierarchy.from_children(CHILDREN)
  other = nbdt.Hierarchy.from_children([[1, 0], [4, 3], [5, 2]])
  named = nbdt.Hierarchy.from_children(CHILDREN, labels="abcdefg")
  assert hierarchy == same and hash(hierarchy) == hash(same)
  assert len({hierarchy, same, other, named}) == 3
  with pytest.raises(ValueError, match="read-only"):
    hierarchy.parents[0] = 1
  with pytest.raises(AttributeError):
    hierarchy.rows = None
  back = jax.jit(lambda h: h)(named)
  assert back == hierarchy and back.labels is None
  # Names are no reason to compile again.
  traced = []
  compiled = jax.jit(lambda h: traced.append(0) or h.parents)
  for tree in (hierarchy, other, named):
    compiled(tree)
  assert len(traced) == 1


@pytest.mark.parametrize(
  ("children", "classes", "message"),
  [
    ([], None, "children is empty"),
    ([[0, 1], []], 2, r"children\[1\] is \[\]"),
    ([[0, 1.5]], 2, r"children\[0\] is .*whole numbers"),
    ([[0, 1], [1, 2], [3, 4]], 3, r"node 1 is a child in children\[0\] and"),
    ([[0, 0, 1]], 2, r"node 0 is a child in children\[0\], twice"),
    ([[0, 5], [1, 6], [2, 4]], 4, r"nodes \[5, 6, 4\] are .* in a cycle"),
    ([[0, 4], [1, 3], [2]], 3, r"nodes \[4, 3\] are .* in a cycle"),
    ([[0, 1, 2]], 2, r"nodes \[2\] are .* in a cycle"),
    ([[0, 1], [2, 3]], 4, r"nodes \[4, 5\] have no parent"),
    ([[0, 1], [4, 3]], 4, "class 2 is under no node"),
    ([[0, 1], [5, 2]], 3, r"children\[1\] has node 5; legal: 0 to 4"),
    ([[0, 1], [3, 2]], 2, "in a cycle"),
    ([[0, 1], [4, 3]], None, "not given; the lists look like 3"),
    ([[0]], None, "of 1 classes; legal: at least 2"),
    ([[0, -1]], 2, r"has node -1; legal: 0 to 2"),
  ],
)
def test_what_is_no_tree(children, classes, message):
  with pytest.raises(ValueError, match=message):
    nbdt.Hierarchy.from_children(children, classes)


def test_names_fit_the_nodes():
  with pytest.raises(ValueError, match="labels has 2 entries; legal: 7"):
    nbdt.Hierarchy.from_children(CHILDREN, labels=["a", "b"])
  with pytest.raises(ValueError, match="ids repeats"):
    nbdt.Hierarchy.from_children(CHILDREN, ids=["a"] * 7)


def test_linkages():
  linkage = np.asarray([[0, 2, 1.0, 2], [1, 3, 2.0, 3]])
  assert nbdt.Hierarchy.from_linkage(linkage).children == [[0, 2], [1, 3]]
  for wrong in (linkage[:, :3], linkage[:0], linkage[0]):
    with pytest.raises(ValueError, match=r"legal: \[K - 1, 4\]"):
      nbdt.Hierarchy.from_linkage(wrong)
  with pytest.raises(ValueError, match="whole numbers"):
    nbdt.Hierarchy.from_linkage(linkage + 0.5)
  with pytest.raises(ValueError, match="node 0 is a child in"):
    nbdt.Hierarchy.from_linkage(linkage[[0, 0]])


def graph(links, ids=("a", "b", "c", "x", "y"), key="links", **more):
  nodes = [{"id": node, "label": node.upper()} for node in ids]
  pairs = [{"source": a, "target": b} for a, b in links]
  return {"directed": True, "nodes": nodes, key: pairs, **more}


TREE = [("x", "c"), ("x", "y"), ("y", "b"), ("y", "a")]


@pytest.mark.parametrize("key", ["links", "edges"])
def test_files(tmp_path, key):
  path = tmp_path / "tree.json"
  path.write_text(json.dumps(graph(TREE, key=key)), "utf-8")
  hierarchy = nbdt.Hierarchy.load(path)
  assert hierarchy.children == [[2, 4], [1, 0]]
  assert hierarchy.ids == ("a", "b", "c", "x", "y")
  assert hierarchy.labels == ("A", "B", "C", "X", "Y")
  wnids = tmp_path / "wnids.txt"
  wnids.write_text("c\na\nb\n", "utf-8")
  for order in (["c", "a", "b"], wnids, str(wnids)):
    ordered = nbdt.Hierarchy.load(path, order)
    assert ordered.children == [[0, 4], [2, 1]]
  # What is saved comes back with its names and its order.
  ordered.save(path)
  assert nbdt.Hierarchy.load(path) == ordered
  ordered.save(path, ["n1", "n2", "n3"])
  renamed = nbdt.Hierarchy.load(path)
  assert renamed.ids == ("n1", "n2", "n3", "x", "y")
  assert renamed.children == ordered.children


def test_unnamed_hierarchies_are_saved_with_made_up_ids(tmp_path):
  path = tmp_path / "tree.json"
  hierarchy = nbdt.Hierarchy.from_children(CHILDREN)
  hierarchy.save(path)
  loaded = nbdt.Hierarchy.load(path)
  assert loaded.children == CHILDREN and loaded.ids[4] == "f00000004"
  for wnids, message in (
    (["a", "b"], "wnids has 2 ids; legal: 4"),
    (["a", "b", "c", "a"], "wnids repeats 'a'"),
    (["a", "b", "c", "f00000006"], "repeats an inner node's id"),
  ):
    with pytest.raises(ValueError, match=message):
      hierarchy.save(path, wnids)


@pytest.mark.parametrize(
  ("content", "wnids", "message"),
  [
    ("no json", None, "no JSON"),
    ([], None, "no list 'nodes'"),
    ({"nodes": [{"label": "a"}]}, None, r"nodes\[0\] is .*'id'"),
    ({"nodes": [{"id": "a"}]}, None, "one of 'links' and 'edges'"),
    (graph(TREE, ("a", "a", "b")), None, "nodes has 'a' twice"),
    (graph([*TREE, ("x", "z")]), None, r"links\[4\] has target 'z'"),
    (graph([*TREE, ("x", "a")]), None, "node 'a' has the parents 'y' and 'x'"),
    (graph([("x", "y"), ("y", "x")]), None, "cycle"),
    (graph(TREE[:-1]), ["a", "b", "c"], r"nodes \[.*\] have no par|class 0 is"),
    (graph(TREE), ["a", "b"], "3 leaves, but wnids has 2 .*another data set"),
    (graph(TREE), ["a", "b", "q"], r"in wnids alone: \['q'\]"),
    (graph(TREE), ["a", "b", "y"], "class 'y' has children"),
    (graph(TREE), ["a", "b", "b"], "wnids repeats 'b'"),
    (graph(TREE), "absent.txt", "wnids: no such file"),
    ("[" * 100_000, None, "no JSON"),
    ({"nodes": [{"id": True}]}, None, r"nodes\[0\] is .*'id'"),
    # Of a file that names a file, as a path would be.
    (graph(TREE) | {"graph": {"wnids": "ids.txt"}}, None, "legal: a list of"),
    (
      graph(TREE) | {"graph": {"wnids": ["a", "b", "b"]}},
      None,
      "tree.json: graph.wnids repeats 'b'",
    ),
    (graph(TREE) | {"graph": {"wnids": 3}}, None, "graph.wnids is 3; legal"),
  ],
)
def test_files_that_are_no_hierarchy(tmp_path, content, wnids, message):
  path = tmp_path / "tree.json"
  text = content if isinstance(content, str) else json.dumps(content)
  path.write_text(text, "utf-8")
  with pytest.raises(ValueError, match=message):
    nbdt.Hierarchy.load(path, wnids)


def test_no_file(tmp_path):
  with pytest.raises(ValueError, match="no such hierarchy file"):
    nbdt.Hierarchy.load(tmp_path / "absent.json")


CLASSES = ("cat", "dog", "ship", "truck")
ANIMALS = [("r", "m"), ("r", "a"), ("m", 3), ("m", 2), ("a", 1), ("a", 0)]


def animals(tmp_path, ids=CLASSES, labels=None, order=(3, 1, 0, 2), **more):
  """A file of two pairs; leaf `i` means class `i`, and stands at `order`."""
  leaves = [(ids[i], ids[i] if labels is None else labels[i]) for i in order]
  nodes = [("r", "r"), *leaves[:2], ("m", "m"), ("a", "a"), *leaves[2:]]
  ends = [(a, b if isinstance(b, str) else ids[b]) for a, b in ANIMALS]
  path = tmp_path / "tree.json"
  content = graph(ends, (), **more)
  content["nodes"] = [{"id": i, "label": name} for i, name in nodes]
  path.write_text(json.dumps(content), "utf-8")
  return path


N_IDS = tuple(f"n{i:08d}" for i in range(4))
MADE_UP = {"graph": {"wnids": list(N_IDS)}}


@pytest.mark.parametrize(
  ("content", "wnids"),
  [
    ({}, None),
    ({"order": (0, 1, 2, 3)}, None),
    ({"order": (2, 3, 1, 0), "labels": list("ABCD")}, None),
    ({"ids": N_IDS, "labels": CLASSES}, None),
    ({"ids": CLASSES, "labels": CLASSES}, CLASSES),
    # A file that fbnax saved for the same classes in another order.
    ({"graph": {"wnids": ["truck", "dog", "cat", "ship"]}}, None),
    ({"ids": N_IDS, "labels": CLASSES, "graph": {"wnids": N_IDS[::-1]}}, None),
    # Neither ids nor labels are the classes: somebody says the order.
    ({"ids": N_IDS, "labels": list("ABCD")}, N_IDS),
    ({"ids": N_IDS, **MADE_UP}, None),
    ({"ids": N_IDS, "labels": list("ABCD"), **MADE_UP}, None),
    # Words of another list of the same classes, with the order given.
    ({"ids": N_IDS, "labels": ("kitty", "dog", "ship", "lorry")}, N_IDS),
    # Numbers that a program gave to its nodes are no names.
    ({"ids": ("3", "12", "4", "9"), "labels": ("0", "3", "2", "1")}, None),
  ],
)
def test_classes_are_known_by_their_names(tmp_path, content, wnids):
  names = CLASSES
  if content.get("labels", ("",))[0] == "0":
    names = content["labels"]
  path = animals(tmp_path, **content)
  found = nbdt.Hierarchy.load(path, wnids, class_names=names)
  assert found.children == [[5, 6], [3, 2], [1, 0]]
  assert found.ids[:4] == tuple(content.get("ids", CLASSES))


def test_names_are_compared_as_they_look(tmp_path):
  names = ("caf\u00e9", "dog", "ship", "na\u00efve")
  ids = ("cafe\u0301", "dog", "ship", "nai\u0308ve")
  found = nbdt.Hierarchy.load(animals(tmp_path, ids), class_names=names)
  assert found.ids[:4] == ids


SPELT = ("Cat", "DOG ", "container ship", "fire_truck")


@pytest.mark.parametrize(
  "content",
  [
    {"ids": SPELT},
    # An order that contradicts the labels does not hold.
    {"ids": N_IDS, "labels": SPELT, "graph": {"wnids": list(N_IDS[::-1])}},
  ],
)
def test_names_are_compared_without_case_and_underscores(tmp_path, content):
  names = ("cat", "dog", "Container_Ship", "fire truck")
  found = nbdt.Hierarchy.load(animals(tmp_path, **content), class_names=names)
  assert found.ids[:4] == content["ids"]


def test_classes_that_differ_in_case_alone(tmp_path):
  names = ("polish", "Polish", "ship", "truck")
  path = animals(tmp_path, names)
  assert nbdt.Hierarchy.load(path, class_names=names).ids[:4] == names
  with pytest.raises(ValueError, match=r"other classes.*'SHIP'"):
    other = animals(tmp_path, ("polish", "Polish", "SHIP", "truck"))
    nbdt.Hierarchy.load(other, class_names=names)


@pytest.mark.parametrize(
  ("content", "wnids", "message"),
  [
    ({"ids": N_IDS}, None, r"order .* unknown.*'n00000003'.*'cat'.*tree.wnids"),
    (
      {"ids": ("cat", "dog", "ship", "lorry")},
      None,
      r"in the file alone: \['lorry'\], in the data alone: \['truck'\]",
    ),
    (
      {"ids": N_IDS, "labels": ("cat", "dog", "ship", "lorry"), **MADE_UP},
      None,
      r"in the file alone: \['lorry'\], in the data alone: \['truck'\]",
    ),
    (
      {"ids": N_IDS, "labels": ("cat", "cat", "ship", "truck"), **MADE_UP},
      None,
      r"in the file alone: \['cat'\], in the data alone: \['dog'\]",
    ),
    (
      {"ids": N_IDS, "labels": ("CAT", "Dog", "ship", "truck")},
      N_IDS[::-1],
      "wnids has 'n00000003' for class 0, which is 'cat'",
    ),
    ({}, CLASSES[::-1], "wnids has 'truck' for class 0, which is 'cat'"),
    (
      {"ids": N_IDS, "labels": CLASSES},
      N_IDS[::-1],
      "wnids has 'n00000003' for class 0, which is 'cat'.*the labels of",
    ),
    ({"labels": ("dog", "cat", "ship", "truck")}, None, "'cat' has the label"),
    ({"labels": ("dog", "B", "C", "D")}, None, "'cat' has the label 'dog'"),
    (
      {"ids": ("0", "1", "2", "3"), "labels": ("1", "0", "2", "3")},
      None,
      "'0' has the label '1', and both are names",
    ),
  ],
)
def test_classes_that_names_do_not_tell(tmp_path, content, wnids, message):
  names = CLASSES
  if content.get("ids", ("",))[0] == "0":
    names = content["ids"]
  path = animals(tmp_path, **content)
  assert nbdt.Hierarchy.load(path).num_classes == 4
  with pytest.raises(ValueError, match=message):
    nbdt.Hierarchy.load(path, wnids, class_names=names)


def test_a_tree_over_more_classes(tmp_path):
  with pytest.raises(ValueError, match=r"4 classes; legal: 3.*\['truck'\]"):
    nbdt.Hierarchy.load(animals(tmp_path), class_names=CLASSES[:3])


def test_labels_that_say_nothing_are_the_ids(tmp_path):
  path = animals(tmp_path, labels=(None, "", "ship", "truck"))
  assert nbdt.Hierarchy.load(path, CLASSES).labels[:2] == ("cat", "dog")


@has_data
def test_published_files_over_named_classes():
  ids = trees.DATA / "wnids_cifar10.txt"
  path = trees.DATA / "cifar10_induced_resnet18.json"
  ordered = nbdt.Hierarchy.load(path, ids)
  names = ordered.labels[:10][::-1]
  found = nbdt.Hierarchy.load(path, class_names=names)
  assert found.labels[:10] == names
  sets = {
    frozenset(tree.labels[leaf] for leaf in tree.leaves(node))
    for tree in (found, ordered)
    for node in range(10, 19)
  }
  assert len(sets) == 9
  with pytest.raises(ValueError, match=r"alone: \['car'\].*'automobile'"):
    nbdt.Hierarchy.load(
      path,
      class_names=["automobile" if n == "car" else n for n in names],
    )


@has_data
@pytest.mark.parametrize(
  ("name", "wnids", "classes", "nodes"),
  [
    ("cifar10_wordnet", "cifar10", 10, 18),
    ("cifar10_induced_resnet18", "cifar10", 10, 19),
    ("imagenet1000_induced_efficientnet_b7b", "imagenet1000", 1000, 1999),
  ],
)
def test_published_files(tmp_path, name, wnids, classes, nodes):
  ids = trees.DATA / f"wnids_{wnids}.txt"
  hierarchy = nbdt.Hierarchy.load(trees.DATA / f"{name}.json", ids)
  assert (hierarchy.num_classes, hierarchy.num_nodes) == (classes, nodes)
  assert list(hierarchy.ids[:classes]) == ids.read_text("utf-8").split()
  hierarchy.save(tmp_path / "tree.json")
  assert nbdt.Hierarchy.load(tmp_path / "tree.json") == hierarchy


@has_data
def test_a_hierarchy_of_another_data_set():
  with pytest.raises(ValueError, match="another data set"):
    nbdt.Hierarchy.load(
      trees.DATA / "cifar10_wordnet.json",
      trees.DATA / "wnids_imagenet1000.txt",
    )


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda g: g["nodes"].append([["a"]]), r"nodes\[3\] is \[\['a'\]\]; legal"),
    (
      lambda g: g["nodes"][1].update(label={"a": 1}),
      r"\[1\].label is {'a'",
    ),
    (lambda g: g["links"].append("x" * 999), r"links\[2\] has source 'xxx"),
    (lambda g: g["links"][0].update(target=None), "has target None; legal: an"),
    (
      lambda g: g["links"][0].update(source=["c"]),
      r"source \['c'\]; legal",
    ),
    (lambda g: g.update(nodes=7), "no list 'nodes'"),
  ],
)
def test_values_that_no_hierarchy_has(change, words, tmp_path):
  graph = {
    "nodes": [{"id": i} for i in "abc"],
    "links": [{"source": "c", "target": t} for t in "ab"],
  }
  change(graph)
  path = tmp_path / "tree.json"
  path.write_text(json.dumps(graph))
  with pytest.raises(ValueError, match=words) as told:
    nbdt.Hierarchy.load(path)
  assert str(path) in str(told.value) and len(str(told.value)) < 400


def test_a_chain_of_many_nodes_is_read(tmp_path):
  """No walk of it is a recursion."""
  count = 3000
  nodes = [{"id": f"{kind}{i}"} for kind in "il" for i in range(count)]
  links = [
    {"source": f"i{i}", "target": target}
    for i in range(count)
    for target in (f"l{i}", f"i{i + 1}")
    if target != f"i{count}"
  ]
  path = tmp_path / "tree.json"
  path.write_text(json.dumps({"nodes": nodes, "links": links}))
  tree = nbdt.Hierarchy.load(path)
  assert (tree.num_classes, tree.depth) == (count, count)
