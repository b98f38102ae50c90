"""The jobs with trees from end to end, at the smallest size."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from fbnax import nbdt
from fbnax.jobs.nbdt import job
from fbnax.jobs.runtime import inputs, networks
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.runtime.training import train_network
from fbnax.jobs.runtime.trees import explaining
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.models.classifier import final_weights
from fbnax.spaces.resnet import ResNet
from fbnax.training import loop, model_files
from fbnax.training.progress import open_progress
from tests.jobs import members_test
from tests.jobs.tree_settings_test import config

SMALL = {
  "data.max_images": 200,
  "training.epochs": 3,
  "training.checkpoint_every": 1,
}
TINY = ResNet((1,), (6,), 4, resolution=8)
TINY_GREY = dataclasses.replace(TINY, input_channels=1)


def small(folder, file="nbdt", **changes):
  path = folder / "tiny.json"
  path.write_text(TINY.to_json())
  return config(file, **(SMALL | {"architecture": str(path)} | changes))


def result_of(folder):
  return json.loads((folder / "result.json").read_text("utf-8"))


def without_times(value):
  if isinstance(value, dict):
    skipped = ("seconds", "times")
    return {k: without_times(v) for k, v in value.items() if k not in skipped}
  if isinstance(value, list):
    return [without_times(v) for v in value]
  return value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A run with hierarchies made in training and classes held out."""
  folder = tmp_path_factory.mktemp("tree")
  given = small(folder, **MADE)
  run_job(given, folder / "run")
  return folder / "run"


MADE = {
  "tree.start": 1,
  "tree.end": 3,
  "tree.period": 1,
  "unseen.classes": "3,8",
  "unseen.superclasses": "round=0,3,6,8,9;straight=1,2,4,5,7",
}


def test_everything_is_there(whole):
  result = result_of(whole)
  assert set(result["accuracies"]) == {"plain", "tree"}
  for name in ("report.html", "tree.html", "tree.svg", "hierarchy.json"):
    assert (whole / name).stat().st_size > 100, name
  tree = nbdt.Hierarchy.load(whole / "hierarchy.json")
  assert tree.children == result["hierarchy"]["children"]
  assert tree.num_classes == 8
  assert result["class_names"] == ["0", "1", "2", "4", "5", "6", "7", "9"]
  assert {c["name"] for c in result["unseen"]["classes"]} == {"3", "8"}
  made = sorted(p.name for p in (whole / "hierarchies").iterdir())
  assert made == ["before.json", "epoch_0001.json", "epoch_0002.json"]
  # The tree is the one that the network was trained with at last.
  last = nbdt.Hierarchy.load(whole / "hierarchies" / "epoch_0002.json")
  assert tree.children == last.children
  before = nbdt.Hierarchy.load(whole / "hierarchies" / "before.json")
  saved = model_files.load(whole / "members" / "plain")
  wanted = nbdt.induce(final_weights(saved.variables))
  assert before.children == wanted.children


def test_a_run_that_is_stopped_goes_on(whole, tmp_path, monkeypatch, capsys):
  given = small(tmp_path, **MADE)
  given.architecture = result_of(whole)["config"]["architecture"]
  write, train = explaining.draw, tree_training.train_network
  stops = iter((True, False))

  def stop(*arguments, **keywords):
    raise KeyboardInterrupt

  def train_a_while(directory, name, *arguments, **keywords):
    if name == job.TREE and next(stops, False):
      supervised = keywords["supervised"]
      renew = supervised.renew

      def renew_once(epoch, variables):
        return stop() if epoch == 2 else renew(epoch, variables)

      object.__setattr__(supervised, "renew", renew_once)
    return train(directory, name, *arguments, **keywords)

  monkeypatch.setattr(tree_training, "train_network", train_a_while)
  with pytest.raises(KeyboardInterrupt):  # Between two parts of a training.
    run_job(given, tmp_path / "run")
  monkeypatch.setattr(explaining, "draw", stop)
  with pytest.raises(KeyboardInterrupt):  # After all trainings.
    run_job(given, tmp_path / "run")
  monkeypatch.setattr(explaining, "draw", write)
  run_job(given, tmp_path / "run")
  assert without_times(result_of(tmp_path / "run")) == without_times(
    result_of(whole)
  )
  assert "report:" in capsys.readouterr().out
  run_job(given, str(tmp_path / "run"))  # All is done.


def test_a_given_model_is_tuned(whole, tmp_path):
  """From its weights, with another loss; on the same images."""
  given = small(
    tmp_path,
    model=str(whole / "members" / "plain"),
    **{
      **{k: v for k, v in MADE.items() if k.startswith("unseen")},
      "tree.finetune_epochs": 1,
      "tree.finetune_learning_rate": 0.0,
      "tree.hierarchy": "oblique",
      "tree.loss": "original_hard",
      "recipe.weight_decay": 0.0,
    },
  )
  run_job(given, tmp_path / "run")
  result = result_of(tmp_path / "run")
  [member] = result["members"]
  assert member["epochs"] == 1
  # A rate of 0 keeps the weights.
  before = model_files.load(given.model).variables["params"]
  after = model_files.load(tmp_path / "run" / "members" / "tree").variables
  jax.tree.map(np.testing.assert_array_equal, before, after["params"])
  given.update({"unseen": {"classes": "", "superclasses": ""}})
  with pytest.raises(ValueError, match="is for the classes"):
    run_job(given, tmp_path / "other")


def test_a_classifier_from_elsewhere(tmp_path):
  random = np.random.default_rng(0)
  weights = random.normal(size=(12, 5))
  labels = random.integers(0, 12, 80)
  logits = weights[labels] @ weights.T + random.normal(size=(80, 12))
  names = ["crane", "<script>x</script>", "crane"] + [f"c{i}" for i in range(9)]
  np.savez(
    tmp_path / "model.npz",
    weights=weights,
    logits=logits,
    labels=labels,
    class_names=np.asarray(names),
    images=random.integers(0, 256, (80, 4, 4, 3), np.uint8),
  )
  given = config(**{"foreign.weights": str(tmp_path / "model.npz")})
  run_job(given, tmp_path / "run")
  result = result_of(tmp_path / "run")
  tree = nbdt.induce(weights)
  assert result["hierarchy"]["children"] == tree.children
  found = result["accuracies"]["given"]
  soft = nbdt.soft_predict(logits.astype(np.float32), tree)
  assert found["soft"] == pytest.approx((np.asarray(soft) == labels).mean())
  for name in ("report.html", "tree.html", "tree.svg"):
    text = (tmp_path / "run" / name).read_text("utf-8")
    assert "<script>x" not in text, name
  # The weights alone give a tree.
  np.save(tmp_path / "w.npy", weights)
  given = config(**{"foreign.weights": str(tmp_path / "w.npy")})
  run_job(given, tmp_path / "alone")
  assert result_of(tmp_path / "alone")["accuracies"] == {}
  assert (tmp_path / "alone" / "tree.html").exists()


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"foreign.weights": "nowhere.npz"}, "there is no such file"),
    ({"foreign.weights": "w.npy", "tree.hierarchy": "oblique"}, "not trained"),
    ({"tree.loss": "firm"}, "legal: none, soft"),
    ({"architecture": "resnet9"}, "or resnet18"),
    ({"unseen.classes": "cat"}, "classes has 'cat'"),
    ({"class_names": "a,b"}, "has 2 names; legal: 10"),
  ],
)
def test_bad_input_names_what_is_legal(tmp_path, changes, message):
  with pytest.raises(ValueError, match=message):
    run_job(config(**changes), tmp_path / "run")


def test_tables(tmp_path):
  given = small(
    tmp_path,
    "nbdt_tables",
    **{
      "tables.seeds": 1,
      "tables.hierarchies": ("induced",),
      "tables.others": (),
      "tables.losses": ("soft",),
      "tables.schedules": ("constant",),
      "tables.updates": ("1:3:1",),
    },
  )
  folder = tmp_path / "run"
  run_job(given, folder)
  result = result_of(folder)
  assert [c["network"] for c in result["cases"]] == [
    "plain-seed0",
    "induced-soft-constant-seed0",
    "induced-soft-constant-from1_3_1-seed0",
  ]
  # Each as its saved network and its hierarchy say.
  saved = model_files.load(folder / "members" / "plain-seed0")
  tree = nbdt.Hierarchy.load(folder / "hierarchies" / "induced-seed0.json")
  assert tree.children == nbdt.induce(final_weights(saved.variables)).children
  case = result["cases"][0]
  assert case["network_accuracy"] == pytest.approx(
    saved.card["entry"]["test_accuracy"]
  )
  assert len(result["summary"]["cells"]) == 3
  assert (folder / "report.html").exists()
  # What is measured is kept, so that a run that goes on does not do it again.
  (folder / "result.json").unlink()
  run_job(given, folder)
  assert without_times(result_of(folder)) == without_times(result)


def test_a_member_comes_with_its_tree(tmp_path):
  given = small(tmp_path)
  dataset = inputs.dataset(given)
  asked = []

  def train(name, recipe, settings, **more):
    asked.append((name, sorted(more)))
    with open_progress() as progress:
      return train_network(
        tmp_path,
        name,
        TINY_GREY,
        recipe,
        settings,
        dataset,
        loop.place(dataset.train),
        None,
        teacher=None,
        seed=0,
        checkpoint_every=1,
        progress=progress,
        **more,
      )

  member, teacher = tree_training.train_member(
    given.tree,
    given.seed,
    tmp_path,
    dataset,
    "small-1",
    networks.read_recipe(given),
    inputs.settings(given, dataset, 8),
    train,
  )
  assert asked == [
    ("small-1-plain", []),
    ("small-1", ["start_from", "supervised"]),
  ]
  assert teacher.name == "small-1"
  tree = member.tree
  assert tree.kind == "induced"
  assert tree.network_accuracy == pytest.approx(member.test_accuracy)
  folder = tmp_path / "members" / "small-1"
  plain = model_files.load(f"{folder}-plain")
  assert tree.plain_accuracy == plain.card["entry"]["test_accuracy"]
  loaded = nbdt.Hierarchy.load(folder / "hierarchy.json")
  wanted = nbdt.induce(final_weights(plain.variables))
  assert loaded.children == wanted.children
  assert (folder / "tree.html").exists()


@pytest.mark.slow
def test_a_family_comes_with_its_trees(tmp_path):
  given = members_test._config(
    **members_test.TINY,
    **{
      "head": "nbdt",
      "budgets.macs": (200e3,),
      "fix": "resolution=8;stem.channels=8;stage1.channels=8;"
      "stage1.depth=1;stage2.depth=1;stage3.depth=1;stage4.depth=1;"
      "stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;stage4.kernel=3",
    },
  )
  run_job(given, tmp_path)
  [member] = result_of(tmp_path)["members"]
  assert member["tree"]["network_accuracy"] == pytest.approx(
    member["test_accuracy"]
  )
  page = (tmp_path / "report.html").read_text("utf-8")
  assert "The decisions of the members" in page
  assert f"members/{member['name']}/tree.html" in page


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"head": "oak"}, "config.head is 'oak'; legal: linear, nbdt"),
    ({"head": "nbdt", "tree.loss": "none"}, "config.tree.loss is 'none'"),
    ({"head": "nbdt", "tree.hierarchy": "oblique"}, "legal for members"),
    ({"head": "nbdt", "tree.period": 3}, "start is 0"),
  ],
)
def test_heads_that_are_none(tmp_path, changes, message):
  given = members_test._config(**members_test.TINY, **changes)
  with pytest.raises(ValueError, match=message):
    run_job(given, tmp_path)
