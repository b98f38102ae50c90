"""What jobs with trees read from a config, and what they refuse."""

import dataclasses
import importlib.util
import json
import pathlib

import jax
import numpy as np
import pytest

from fbnax import data, nbdt
from fbnax.jobs.nbdt_tables import cells
from fbnax.jobs.runtime import configs, networks
from fbnax.jobs.runtime.trees import settings, training
from fbnax.jobs.runtime.trees.unseen import hold_classes_out
from fbnax.spaces.resnet import NAMED

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ("plane", "cat", "dog", "ship")
WEIGHTS = np.asarray([[5.0, 0], [0, 1], [0, 1.1], [5.1, 0]])


def config(file="nbdt", preset="digits", **changes):
  path = ROOT / "configs" / f"{file}.py"
  spec = importlib.util.spec_from_file_location("config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  found = module.get_config(preset)
  found.update_from_flattened_dict(changes)
  return found


def typed(*names, **changes):
  return configs.typed(config(*names, **changes))


def section(**changes):
  """`config.tree` with changes."""
  return typed(**{f"tree.{k}": v for k, v in changes.items()}).tree


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"hierarchy": "oak"}, "tree.hierarchy is 'oak'; legal: induced, wordnet"),
    ({"loss": "firm"}, "loss is 'firm'; legal: none, soft, hard"),
    ({"schedule": "late"}, "schedule is 'late'; legal: growing, constant"),
    ({"size": "huge"}, "size is 'huge'; legal: small, large"),
    ({"omega": -2.0}, "omega is -2.0; legal: 0 or more"),
    ({"start": 3}, "without config.tree.period"),
    ({"start": 3, "period": 2, "hierarchy": "random"}, "with induced"),
    ({"start": 0, "period": 2}, "start is 0"),
    ({"start": 8, "end": 20, "period": 3}, "found one after epoch 17"),
    ({"finetune_epochs": -1}, "finetune_epochs is -1"),
    ({"linkage": "oak"}, "config.tree.linkage is 'oak'; legal: ward, average"),
    ({"metric": "oak"}, "config.tree.metric is 'oak'; legal: euclidean"),
    ({"metric": "cosine"}, "'cosine'; legal with ward: euclidean"),
    ({"finetune_learning_rate": -0.1}, "rate is -0.1; legal: at least 0"),
  ],
)
def test_what_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    settings.check(section(**changes), 14)


def test_published_weights_and_own_ones():
  assert settings.supervision(section()) == nbdt.published("soft", "constant")
  large = {"loss": "hard", "size": "large"}
  assert settings.supervision(section(**large)).omega == 100.0
  found = settings.supervision(section(**large, omega=3.0, beta=0.5))
  assert (found.omega, found.beta) == (3.0, 0.5)


def test_hierarchies_by_their_kind(tmp_path):
  found = settings.hierarchy(section(), NAMES, WEIGHTS)
  assert found.children == nbdt.induce(WEIGHTS).children
  assert found.labels[:4] == NAMES
  tree = section(hierarchy="random")
  random = settings.hierarchy(tree, NAMES, WEIGHTS, seed=3)
  assert random.children == nbdt.random_hierarchy(4, 3).children
  tree = section(hierarchy=str(tmp_path / "tree.json"))
  found.save(tree.hierarchy, ["a", "b", "c", "d"])
  loaded = settings.hierarchy(tree, NAMES, None)
  assert loaded.children == found.children
  assert loaded.labels[:4] == NAMES
  with pytest.raises(ValueError, match="has 4 classes; legal: 3"):
    settings.hierarchy(tree, NAMES[:3], None)
  with pytest.raises(ValueError, match="rows; legal: 3"):
    settings.hierarchy(section(), NAMES[:3], WEIGHTS)


def node_link(path, nodes, links, **more):
  """Writes a file of nodes, ids or pairs of an id and a label."""
  pairs = [node if isinstance(node, tuple) else (node,) for node in nodes]
  content = {
    "nodes": [dict(zip(("id", "label"), p, strict=False)) for p in pairs],
    "links": [{"source": a, "target": b} for a, b in links],
    **more,
  }
  path.write_text(json.dumps(content), "utf-8")
  return str(path)


LINKS = [("r", "v"), ("r", "a"), ("v", "ship"), ("v", "plane")]
LINKS += [("a", "dog"), ("a", "cat")]


def test_a_file_whose_leaves_are_the_classes_in_another_order(tmp_path):
  nodes = ["r", "v", "a", "ship", "plane", "dog", "cat"]
  tree = section(hierarchy=node_link(tmp_path / "t.json", nodes, LINKS))
  found = settings.hierarchy(tree, NAMES, None)
  assert found.children == [[5, 6], [3, 0], [2, 1]]
  assert found.ids[:4] == found.labels[:4] == NAMES
  # By their labels.
  wnids = [f"n{i:08d}" for i in range(4)]
  of = dict(zip(("ship", "plane", "dog", "cat"), wnids, strict=True))
  links = [(of.get(a, a), of.get(b, b)) for a, b in LINKS]
  nodes = ["r", "v", "a", *((of[n], n) for n in ("dog", "ship"))]
  nodes += [(of[n], n) for n in ("cat", "plane")]
  tree = section(hierarchy=node_link(tmp_path / "t.json", nodes, links))
  found = settings.hierarchy(tree, NAMES, None)
  assert found.children == [[5, 6], [3, 0], [2, 1]]


def test_a_file_of_unknown_order_needs_wnids(tmp_path):
  ids = ["n1", "n2", "n3", "n4"]
  links = [("r", n) for n in ids]
  file = node_link(tmp_path / "t.json", ["r", *ids], links)
  tree = section(hierarchy=file)
  with pytest.raises(
    ValueError, match=r"config.tree.hierarchy: .*'n1'.*'plane'.*tree.wnids"
  ):
    settings.check_file(tree, NAMES)
  (tmp_path / "wnids.txt").write_text("n3\nn1\nn4\nn2\n", "utf-8")
  tree = section(hierarchy=file, wnids=str(tmp_path / "wnids.txt"))
  settings.check_file(tree, NAMES)
  found = settings.hierarchy(tree, NAMES, None)
  assert found.ids[:4] == ("n3", "n1", "n4", "n2")
  tree = dataclasses.replace(tree, hierarchy="induced")
  settings.check_file(tree, NAMES)


def test_labels_that_a_file_gives_to_inner_nodes_are_kept(tmp_path):
  nodes = [("r", "Thing"), ("v", "Machine"), ("a", "a"), *NAMES]
  tree = section(hierarchy=node_link(tmp_path / "t.json", nodes, LINKS))
  found = settings.hierarchy(tree, NAMES, None)
  named = dict(zip(found.ids, found.labels, strict=True))
  assert (named["r"], named["v"]) == ("Thing", "Machine")
  # An id is no name.
  assert named["a"] not in ("a", "Thing", "Machine")
  assert found.labels[:4] == NAMES
  # What is kept stays so in a file of the house.
  found.save(tmp_path / "t.json")
  again = settings.hierarchy(tree, NAMES, None)
  assert again.labels == found.labels


def test_lists_of_other_leaves_are_no_names(tmp_path):
  letters = nbdt.Hierarchy.from_children([[0, 1], [2, 3], [4, 5]])
  named = nbdt.name_nodes(letters, ["A1", "B1", "C1", "D1"], path=tmp_path)
  found = nbdt.name_nodes(named, ["A2", "B2", "C2", "D2"], path=tmp_path)
  assert found.labels[4:] == ("A2, B2", "C2, D2", "A2, B2, C2, D2")


def test_names_that_repeat_are_told_apart():
  found = settings.hierarchy(
    section(), ("crane", "<b>", "crane", "ship"), WEIGHTS
  )
  assert found.labels[:4] == ("crane (0)", "<b>", "crane (2)", "ship")


def test_names_from_the_config(tmp_path):
  own = ("0", "1", "2")
  assert settings.named("", own, "key") == own
  assert settings.named("a, b,c", own, "key") == ("a", "b", "c")
  (tmp_path / "names.txt").write_text("a b\nb\nc\n", "utf-8")
  found = settings.named(str(tmp_path / "names.txt"), own, "key")
  assert found == ("a b", "b", "c")
  with pytest.raises(ValueError, match="key='a,b' has 2 names; legal: 3"):
    settings.named("a,b", own, "key")


def test_names_from_files_of_other_systems(tmp_path):
  path = tmp_path / "names.txt"
  for content in (
    "\ufefftench, Tinca\r\nforêt\r\nc\r\n\r\n",
    "tench, Tinca\rforêt\rc",
  ):
    path.write_bytes(content.encode())
    found = settings.named(str(path), "012", "key")
    assert found == ("tench, Tinca", "forêt", "c")
  long = [f"a class with a long name, {k}" for k in range(99)]
  words = ";".join(long).replace(",", " ").replace(";", ",")
  assert len(settings.named(words, long, "key")) == 99


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("forêt\ndog\nc\n".encode("latin-1"), "names.txt is not UTF-8: .*line 1"),
    ("a\nb\nc\n".encode("utf-16"), "names.txt is UTF-16, not UTF-8"),
    (b"a\n\nb\nc\n", "names.txt: line 2 is empty"),
    (b"a\nb\n", "key='.*names.txt' has 2 names; legal: 3 names, one a class"),
    (b"", "names.txt' has 0 names; legal: 3"),
    (b"\n\r\n", "names.txt' has 0 names; legal: 3"),
    (
      "for\u00eat\nfore\u0302t\nc\n".encode(),
      r"has 'for\\xeat' and 'fore\\u0302t', which are the same",
    ),
  ],
)
def test_files_of_names_that_are_refused(tmp_path, content, message):
  path = tmp_path / "names.txt"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=message):
    settings.named(str(path), "012", "key")


def test_what_is_no_file_of_names(tmp_path):
  for words, message in (
    (str(tmp_path), "is a folder; legal: 3 names"),
    (str(tmp_path / "a.txt"), "a.txt' is no file, and has 1 names; legal: 3"),
    ("a,,c", "name 2 is empty; legal: 3 names"),
  ):
    with pytest.raises(ValueError, match=message):
      settings.named(words, "012", "key")


def test_files_of_trees_are_read_before_the_training(tmp_path):
  tree = section(hierarchy=str(tmp_path / "tree.json"))
  nbdt.induce(WEIGHTS).save(tree.hierarchy)
  settings.check(tree, 14)
  tree = dataclasses.replace(tree, wnids=str(tmp_path / "wnids.txt"))
  with pytest.raises(ValueError, match=r"wnids: no such file: .*wnids\.txt"):
    settings.check(tree, 14)
  (tmp_path / "tree.json").write_bytes(b"\xff\xfe{\x00")
  with pytest.raises(ValueError, match=r"tree\.json is UTF-16, not UTF-8"):
    settings.check(tree, 14)


def test_hierarchies_made_in_training_are_kept(tmp_path):
  """A run that goes on has later weights, and must not see another tree."""
  tree = section(start=2, end=5, period=2)
  found = training.renewed(tree, NAMES, tmp_path, settings.updates(tree, 14))
  assert found.updates == (2, 4)
  assert float(found.given.active) == 0.0

  def variables(weights):
    return {"params": {"head": {"classifier": {"kernel": weights.T}}}}

  first = found.renew(2, variables(WEIGHTS))
  assert float(first.active) == 1.0
  later = found.renew(2, variables(WEIGHTS[::-1] * [1.0, 30.0]))
  jax.tree.map(np.testing.assert_array_equal, first, later)
  assert training.made_at(tmp_path, 2).exists()
  # The blank tree has the shapes of every later one: one program.
  shapes = [jax.tree.map(np.shape, g) for g in (found.given, first)]
  assert shapes[0] == shapes[1]


def small_set():
  random = np.random.default_rng(0)
  images = random.integers(0, 256, (16, 4, 4, 1), np.uint8)
  split = data.Split(images, np.arange(16, dtype=np.int32) % 4)
  return data.Dataset("made", NAMES, split, split, False, 0, "made")


def unseen(classes, superclasses):
  keys = {"unseen.classes": classes, "unseen.superclasses": superclasses}
  return typed(**keys).unseen


def test_classes_are_held_out():
  whole = small_set()
  rest, found = hold_classes_out(
    unseen("cat, ship", "animal=cat,dog;vehicle=plane,ship"), whole
  )
  assert rest.class_names == ("plane", "dog")
  assert found.classes == ("cat", "ship")
  assert found.superclasses == ("animal", "vehicle")
  np.testing.assert_array_equal(found.of_seen, [1, 0])
  np.testing.assert_array_equal(np.bincount(rest.train.labels), [4, 4])
  for k, old in enumerate((0, 2)):
    np.testing.assert_array_equal(
      rest.test.images[rest.test.labels == k],
      whole.test.images[whole.test.labels == old],
    )
  np.testing.assert_array_equal(found.labels, found.images.labels)
  np.testing.assert_array_equal(found.of_images, found.labels)
  same, nothing = hold_classes_out(unseen("", ""), whole)
  assert same is whole
  assert nothing is None


def test_classes_that_look_the_same_are_held_out():
  whole = dataclasses.replace(
    small_set(), class_names=("for\u00eat", "cat", "fore\u0302t 2", "ship")
  )
  rest, found = hold_classes_out(
    unseen("fore\u0302t", "a=fore\u0302t,for\u00eat 2;b=cat,ship"), whole
  )
  assert rest.class_names == ("cat", "fore\u0302t 2", "ship")
  np.testing.assert_array_equal(found.of_seen, [1, 0, 1])


@pytest.mark.parametrize(
  ("classes", "superclasses", "message"),
  [
    ("cow", "a=cat;b=dog", "classes has 'cow'; legal: plane, cat, dog, ship"),
    ("cat,dog,ship", "a=cat,plane;b=dog", "leaves 1 classes"),
    ("cat", "", "0 superclasses"),
    ("cat", "a=dog;b=ship", r"with none for \['cat'\]"),
    ("cat", "a=cat;b=ship", "'a' has no class that is trained on"),
    ("cat", "a=cat,dog;b=dog,ship", "'dog' in two"),
    ("cat", "a=cat,cow;b=ship", "a has 'cow'"),
    ("cat", "a:cat", "superclass=class,class"),
    ("", "a=cat,dog;b=ship", "without config.unseen.classes"),
  ],
)
def test_what_cannot_be_held_out(classes, superclasses, message):
  with pytest.raises(ValueError, match=message):
    hold_classes_out(unseen(classes, superclasses), small_set())


def test_networks_by_name_or_json(tmp_path):
  assert networks.read_network("resnet18") == NAMED["resnet18"]
  own = dataclasses.replace(NAMED["resnet8"], widths=(8, 8, 8))
  (tmp_path / "own.json").write_text(own.to_json(), "utf-8")
  assert networks.read_network(str(tmp_path / "own.json")) == own
  assert networks.read_network("fbnet_96").blocks
  with pytest.raises(ValueError, match="or resnet18, wideresnet28_10"):
    networks.read_network("resnet19")
  for content, message in (
    ('{"blocks": 3}', r"own\.json: architecture lacks the keys"),
    ('{"kind": "tree"}', r"own\.json: kind is 'tree'; legal"),
    (json.dumps(["x" * 999]), r"own\.json: .*found \['x{,60}…$"),
  ):
    (tmp_path / "own.json").write_text(content)
    with pytest.raises(ValueError, match=message):
      networks.read_network(str(tmp_path / "own.json"))
  (tmp_path / "model.json").write_text("{}")
  with pytest.raises(
    ValueError, match=r"model\.json has no key 'architecture'"
  ):
    networks.read_architecture(str(tmp_path / "model.json"))


def test_cells_share_the_plain_network():
  found = cells.plan(typed("nbdt_tables", "cifar10_cpu"))
  networks_ = [cells.network_name(cell) for cell in found]
  assert networks_[:5] == ["plain"] * 5
  assert len(set(networks_)) == len(networks_) - 4
  assert networks_[-3:] == [
    "plain-unseen",
    "induced-soft-constant-unseen",
    "wordnet-soft-constant-unseen",
  ]
  [made] = [cell for cell in found if cell.updates]
  tree = cells.tree_section(typed("nbdt_tables"), made)
  assert (tree.start, tree.end, tree.period) == (5, 9, 1)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"losses": ("firm",)}, "losses is"),
    ({"schedules": ()}, "schedules is"),
    ({"hierarchies": ("oak",)}, "'oak'"),
    ({"others": ("oak",)}, "'oak'"),
    ({"updates": ("5-8",)}, "'5-8'; legal: start:end:period"),
    ({"updates": ("5:40:9",)}, "found one after epoch"),
    ({"seeds": 0}, "seeds is 0"),
  ],
)
def test_tables_that_cannot_be_made(changes, message):
  keys = {f"tables.{k}": v for k, v in changes.items()}
  with pytest.raises(ValueError, match=message):
    cells.plan(typed("nbdt_tables", **keys))


def _other():
  return nbdt.Hierarchy.from_children([[0, 1], [2, 3], [4, 5]])


def _never():
  raise AssertionError("made again")


@pytest.mark.parametrize("lose", ["file", "altered file", "cut file", "row"])
def test_a_hierarchy_that_was_made_is_gone_on_with(tmp_path, lose, caplog):
  path = tmp_path / "hierarchies" / "before.json"
  tree = training.kept(
    path, lambda: nbdt.Hierarchy.from_children([[0, 3], [1, 2], [4, 5]])
  )
  content, row = path.read_bytes(), tmp_path / "hierarchies.jsonl"
  assert training.kept(path, _never).children == tree.children
  assert not caplog.records
  if lose == "file":
    path.unlink()
  elif lose == "altered file":
    _other().save(path)
  elif lose == "cut file":
    path.write_bytes(content[:50])
  else:
    row.write_text(row.read_text().replace("[0,", "[1,"))
  again = training.kept(path, _never)
  assert again.children == tree.children
  assert path.read_bytes() == content
  assert ("it is made again" in caplog.text) == (lose != "file")


def test_a_hierarchy_that_is_lost_is_told(tmp_path):
  with pytest.raises(ValueError, match=r"epoch_0003\.json: no such hierarchy"):
    training.kept(training.made_at(tmp_path / "hierarchies", 3))
