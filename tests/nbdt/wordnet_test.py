"""WordNet hierarchies and names, against what the authors published."""

import pytest

from fbnax import nbdt
from fbnax.nbdt import dictionary
from tests.nbdt import trees


def reason():
  try:
    dictionary.wordnet()
  except ValueError as error:
    return str(error)
  return ""


REASON = reason()
has_wordnet = pytest.mark.skipif(bool(REASON), reason=REASON)
has_data = pytest.mark.skipif(
  not trees.DATA.exists(), reason="no hierarchies beside the repository"
)
CIFAR10 = {
  "airplane": "n02691156",
  "automobile": "n02958343",
  "bird": "n01503061",
  "cat": "n02121620",
  "deer": "n02430045",
  "dog": "n02084071",
  "frog": "n01639765",
  "horse": "n02374451",
  "ship": "n04194289",
  "truck": "n04490091",
}


def sets(hierarchy):
  """The classes under each inner node, and the node's label."""
  inner = range(hierarchy.num_classes, hierarchy.num_nodes)
  return {
    (frozenset(hierarchy.leaves(n)), hierarchy.labels[n].replace("_", " "))
    for n in inner
  }


@has_wordnet
def test_names_of_classes_are_found():
  assert nbdt.find_wnids(list(CIFAR10)) == list(CIFAR10.values())
  found = nbdt.find_wnids(
    ["n02012849", "crane.n.04", "tench, Tinca tinca", "Fire  Truck", "dogs"]
  )
  assert found[0] == "n02012849" and found[1] == "n03126707"
  assert found[2:] == ["n01440764", "n03345487", "n02084071"]
  # First senses: a lobster's flesh, and a mug as a quantity or a person.
  assert nbdt.find_wnids(["lobster", "mug"]) == ["n01982650", "n03797390"]


@has_wordnet
@pytest.mark.parametrize(
  ("classes", "message"),
  [
    (["cat", "qwxyz", "n00000001"], "'qwxyz', 'n00000001'.*2 of 3"),
    (["cat", "n02121620"], "'cat' and 'n02121620' are both n02121620"),
    (["cat", "cat.n.99"], "'cat.n.99'"),
    (["cat", ""], "''"),
    (["cat"], "classes has 1; legal: at least 2"),
    ([], "classes has 0; legal: at least 2"),
  ],
)
def test_classes_that_are_refused(classes, message):
  with pytest.raises(ValueError, match=message):
    nbdt.wordnet_hierarchy(classes)


@has_wordnet
@has_data
def test_the_hierarchy_of_cifar10_is_the_published_one():
  published = nbdt.Hierarchy.load(
    trees.DATA / "cifar10_wordnet.json", trees.DATA / "wnids_cifar10.txt"
  )
  for classes in (CIFAR10, CIFAR10.values()):
    made = nbdt.wordnet_hierarchy(list(classes))
    assert made.ids[:10] == tuple(CIFAR10.values())
    assert sets(made) == sets(published)
    assert dict(zip(made.ids, made.labels, strict=True))["n03125870"] == "craft"
    assert set(made.ids) == set(published.ids)
  assert nbdt.wordnet_hierarchy(list(CIFAR10)).labels[:2] == (
    "airplane",
    "automobile",
  )


@has_wordnet
@has_data
def test_names_of_an_induced_hierarchy_are_the_published_ones():
  published = nbdt.Hierarchy.load(
    trees.DATA / "cifar10_induced_resnet18.json",
    trees.DATA / "wnids_cifar10.txt",
  )
  bare = nbdt.Hierarchy.from_children(published.children)
  named = nbdt.name_nodes(bare, list(CIFAR10))
  assert named.labels[:10] == tuple(CIFAR10)
  assert sets(named) == sets(published)
  assert named.children == bare.children


@has_wordnet
@has_data
def test_imagenet():
  wnids = (trees.DATA / "wnids_imagenet1000.txt").read_text().split()
  made = nbdt.wordnet_hierarchy(wnids)
  assert made.num_classes == 1000 and made.ids[:1000] == tuple(wnids)
  assert len(set(made.labels[:1000])) == 1000
  cranes = {made.labels[wnids.index(w)] for w in ("n02012849", "n03126707")}
  assert cranes == {"crane (wading bird)", "crane (lifting device)"}
  assert all(len(nodes) > 1 for nodes in made.children)
  # Every inner node is a noun that all of its classes are kinds of.
  reader = dictionary.wordnet()
  for node in range(1000, made.num_nodes, 29):
    noun = dictionary.synset(reader, made.ids[node])
    for leaf in made.leaves(node):
      kind = dictionary.synset(reader, wnids[leaf])
      assert noun in kind.closure(lambda s: s.hypernyms())
  induced = nbdt.Hierarchy.load(
    trees.DATA / "imagenet1000_induced_efficientnet_b7b.json", wnids
  )
  named = nbdt.name_nodes(induced, wnids)
  assert len(named.labels) == 1999 and named.labels[0] == "tench"
  plain = [n for n in named.labels[1000:] if ":" not in n and "," not in n]
  assert len(plain) == len(set(plain)) > 200


@has_wordnet
def test_a_class_of_which_another_is_a_kind():
  made = nbdt.wordnet_hierarchy(["dog", "poodle", "cat"])
  assert made.num_classes == 3
  assert sets(made) == {
    (frozenset({0, 1}), "dog"),
    (frozenset({0, 1, 2}), "carnivore"),
  }
  assert len(set(made.ids)) == made.num_nodes


@has_wordnet
def test_a_node_that_means_no_more_than_the_root_is_named_by_its_leaves():
  tree = nbdt.Hierarchy.from_children([[0, 1], [2, 3], [4, 5]])
  named = nbdt.name_nodes(tree, ["cat", "truck", "dog", "ship"])
  assert named.labels[4:] == ("cat, truck", "dog, ship", "whole")
  digits = nbdt.name_nodes(tree, ["0", "1", "2", "3"])
  assert digits.labels[4:] == ("0, 1", "2, 3", "digit")


@has_wordnet
def test_a_noun_names_one_node():
  tree = nbdt.Hierarchy.from_children([[0, 1], [4, 2], [5, 3]])
  named = nbdt.name_nodes(tree, ["poodle", "corgi", "beagle", "mug"])
  assert named.labels[4:] == ("dog", "canine", "whole")
  wide = nbdt.Hierarchy.from_children(
    [[0, 1], [2, 3], [4, 5], [8, 9], [11, 10], [12, 6], [13, 7]]
  )
  dogs = ["poodle", "corgi", "beagle", "pug", "dalmatian", "basset", "griffon"]
  named = nbdt.name_nodes(wide, [*dogs, "mug"])
  assert len(set(named.labels)) == wide.num_nodes


@has_wordnet
def test_classes_that_wordnet_does_not_know():
  tree = nbdt.Hierarchy.from_children([[0, 1], [2, 3], [4, 5]])
  named = nbdt.name_nodes(tree, ["cat", "dog", "qwxyz", "ship"])
  assert named.labels[4:] == (
    "carnivore",
    "qwxyz, ship",
    "cat, dog, qwxyz, ship",
  )
  # Ids tell what names do not.
  ids = [*list(CIFAR10.values())[3:7], "x", "y", "z"]
  tree = nbdt.Hierarchy.from_children(tree.children, ids=ids)
  named = nbdt.name_nodes(tree, ["a", "b", "c", "d"])
  assert named.labels == ("a", "b", "c", "d", "placental", "c, d", "vertebrate")


def test_without_wordnet_nodes_are_named_by_their_leaves(tmp_path):
  tree = nbdt.Hierarchy.from_children([[0, 1, 2, 3, 4], [5, 6]], 6)
  named = nbdt.name_nodes(tree, list("abcdef"), path=tmp_path)
  assert named.labels[6:] == ("a, b, c +2", "f, a, b +3")
  assert hash(named) != hash(tree)
  with pytest.raises(dictionary.MissingWordNetError, match="wordnet-base"):
    nbdt.wordnet_hierarchy(["cat", "dog"], path=tmp_path)


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (["a", "b"], "class_names has 2 names; legal: 3"),
    (["a", "b", "a"], "class_names repeats 'a'"),
  ],
)
def test_names_that_are_refused(names, message):
  tree = nbdt.Hierarchy.from_children([[0, 1, 2]])
  with pytest.raises(ValueError, match=message):
    nbdt.name_nodes(tree, names)


@has_wordnet
def test_another_version_is_refused(tmp_path):
  source = dictionary.wordnet().root
  for name in dictionary.wordnet().fileids():
    text = b""
    if name.startswith(("data.", "index.")) or name.endswith(".exc"):
      text = b"  1 WordNet 2.1 Copyright \n" * name.startswith("data.")
    (tmp_path / name).write_bytes(text)
  assert source
  with pytest.raises(ValueError, match=r"is WordNet 2\.1; legal: 3\.0"):
    dictionary.wordnet(tmp_path)
