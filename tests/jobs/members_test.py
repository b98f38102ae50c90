"""Members beyond the default: scaled, of one network, of one recipe."""

import contextlib
import dataclasses
import importlib.util
import json
import pathlib
import types

import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import costs, spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.memory import part_memory
from fbnax.costs.table import Context
from fbnax.jobs.nars import job as nars
from fbnax.jobs.nars import members, pool, published
from fbnax.jobs.runtime import configs, families, inputs
from fbnax.jobs.runtime.shell import run_job
from fbnax.report.schema import MemberRow
from fbnax.search.budgets import Budget
from fbnax.search.prices import Price, feasible
from fbnax.search.trials import open_store

ROOT = pathlib.Path(__file__).parents[2]
PARTS = ROOT / "tests" / "jobs" / "example_parts.py"


def _module():
  path = ROOT / "configs" / "nars.py"
  spec = importlib.util.spec_from_file_location("nars_config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _config(preset="digits", **changes):
  config = _module().get_config(preset)
  config.update_from_flattened_dict(changes)
  config.lock()
  return config


TINY = {
  "data.max_images": 80,
  "evaluator": f"{PARTS}:by_formula",
  "search.signal": "accuracy",
  "search.pool": 128,
  "search.rounds": 2,
  "search.candidates": 4,
  "search.epochs": 2,
  "search.predictors": 2,
  "training.epochs": 1,
  "training.batch_size": 40,
}


FIXED = (
  "resolution=8;stem.channels=8;stage1.channels=8;stage1.depth=1;"
  "stage2.depth=1;stage3.depth=1;stage4.depth=1"
)


def _member(space, genotype, limit):
  return members.Chosen(
    families.member_name(space, Budget(macs=(0.0, limit))),
    Budget(macs=(0.9 * limit, limit)),
    space.architecture(genotype),
    space.recipe(genotype),
    np.asarray(genotype),
    0.9,
  )


def test_scaled_members_lie_beyond_the_family():
  space = spaces.get("small")
  low = np.zeros(len(space.decisions), int)
  high = np.asarray(space.choices) - 1
  family = [
    _member(space, g, float(costs.count(space.architecture(g), 10).macs) * 1.01)
    for g in (low, high)
  ]
  smallest, largest = (costs.count(m.architecture, 10).macs for m in family)
  limits = (0.7 * smallest, 1.7 * largest)
  config = _config(**{"budgets.scaled": limits})
  down, up = members.scaled(config, family, space, 10)
  for made, source, limit in (
    (down, family[0], limits[0]),
    (up, family[1], limits[1]),
  ):
    assert made.scaled_from == source.name and made.genotype is None
    assert 0.6 * limit < costs.count(made.architecture, 10).macs <= limit
    assert made.name.endswith("-scaled")
  assert down.recipe == family[0].recipe
  wanted = dataclasses.replace(family[1].recipe, stochastic_depth=0.2)
  assert up.recipe == wanted
  inside = _config(**{"budgets.scaled": (2.0 * smallest,)})
  with pytest.raises(ValueError, match=r"inside the family.*budgets\.macs"):
    members.scaled(inside, family, space, 10)


def test_names_tell_budgets_apart():
  space = spaces.get("small")

  def named(*limits):
    return families.member_names(space, [Budget(macs=(0.0, x)) for x in limits])

  assert named(557.4e6, 800e3) == ["small-557m", "small-800k"]
  assert named(800e3, 800_400.0) == ["small-800k", "small-800.4k"]
  one, other = named(1e9, 1e9 + 1)
  assert one != other
  for key, limits in (("macs", (8e5, 8e5)), ("scaled", (5e5, 5e5))):
    config = _config(**{"budgets.macs": (8e5,), f"budgets.{key}": limits})
    words = "each budget once" if key == "macs" else r"500000\.0\]; legal: each"
    with pytest.raises(ValueError, match=words):
      inputs.budgets(config, space, 10)


def test_members_are_chosen_once(tmp_path, monkeypatch):
  """Elsewhere numbers may round otherwise, and choose another network."""
  space = spaces.get("small")
  budgets = [Budget(macs=(0.0, 800e3)), Budget(macs=(0.0, 900e3))]
  low = [0] * len(space.decisions)
  high = [n - 1 for n in space.choices]

  def evolve(*genotypes):
    picks = [{"genotype": g, "predicted": 0.1 + 0.2} for g in genotypes]
    monkeypatch.setattr(members, "_best", lambda *_: picks)
    with open_store(tmp_path / "trials.sqlite") as store:
      return members.evolve(_config(), space, 10, budgets, None, (), store)

  first = evolve(low, high)
  assert [c.name for c in first] == ["small-800k", "small-900k"]
  assert [c.architecture for c in first] == [
    space.architecture(np.asarray(g)) for g in (low, high)
  ]
  for one, again in zip(first, evolve(high, low), strict=True):
    assert dataclasses.replace(one, genotype=None) == dataclasses.replace(
      again, genotype=None
    )
    assert one.genotype.tolist() == again.genotype.tolist()
    assert one.predicted == 0.1 + 0.2


def test_scaled_budgets_are_checked_before_the_search():
  space = spaces.get("small")
  for inside in (720e3, 900e3, 1600e3):
    config = _config(
      **{"budgets.macs": (800e3, 1600e3), "budgets.scaled": (inside,)}
    )
    with pytest.raises(ValueError, match=r"below 720000 or above 1\.6e"):
      inputs.budgets(config, space, 10)
  beyond = _config(
    **{"budgets.macs": (800e3, 1600e3), "budgets.scaled": (500e3, 2e6)}
  )
  assert len(inputs.budgets(beyond, space, 10)) == 2


def test_spaces_of_recipes_and_of_architectures(tmp_path):
  whole = inputs.space(_config(fix=""), 1)
  config = _config(fix="", architecture="fbnetv2_l3", resolution=32)
  recipes = inputs.space(config, 1)
  assert recipes.num_architecture_features == 0
  genotype = np.zeros(len(recipes.decisions), int)
  base = dataclasses.replace(
    spaces.zoo.get("fbnetv2_l3"), resolution=32, input_channels=1
  )
  assert recipes.architecture(genotype) == base
  [budget] = inputs.budgets(config, recipes, 10)
  macs = costs.count(base, 10).macs
  assert budget.macs == (macs, macs)
  recipe = spaces.Recipe(learning_rate=0.03, mixup=0.1)
  (tmp_path / "recipe.json").write_text(recipe.to_json())
  file = str(tmp_path / "recipe.json")
  networks = inputs.space(_config(fix="", recipe_file=file), 1)
  assert networks.recipe(np.zeros(len(networks.decisions), int)) == recipe
  assert recipes.size * networks.size == whole.size
  with pytest.raises(ValueError, match=r"nothing to search; legal: one"):
    inputs.space(_config(architecture="fbnet_a", recipe_file=file), 1)


def test_the_papers_presets_are_what_it_says():
  paper = _config("paper")
  assert (paper.search.pool, paper.search.candidates) == (20_000, 48)
  assert (paper.search.rounds, _config("paper_recipe").search.rounds) == (5, 4)
  assert paper.budgets.macs == (450e6, 550e6, 650e6, 750e6)
  assert paper.search.macs == (400e6, 800e6)
  assert (paper.search.classes, paper.data.validation_images) == (200, 10_000)
  assert (paper.search.epochs, paper.training.search_decay) == (150, 0.963)
  assert (paper.training.epochs, paper.training.decay) == (400, 0.9875)
  assert (paper.training.warmup_epochs, paper.training.ema_decay) == (
    5.0,
    0.99985,
  )
  space = inputs.space(paper, 3)
  assert space.size * 2 == spaces.get("fbnetv3").size  # EMA is always on.
  assert len(inputs.budgets(paper, space, 1000)) == 4
  cifar = _config("cifar10_search")
  assert cifar.training.ema_decay == 0.999
  assert len(inputs.budgets(cifar, inputs.space(cifar, 3), 10)) == 4
  recipes = inputs.space(_config("paper_recipe"), 3)
  assert recipes.architecture(
    np.zeros(len(recipes.decisions), int)
  ) == spaces.zoo.get("fbnetv2_l3")


def test_a_search_of_recipes_alone(tmp_path):
  """From the user's own evaluator to a trained member, and a teacher."""
  space = spaces.get("small")
  network = space.architecture(np.zeros(len(space.decisions), int))
  file = tmp_path / "network.json"
  file.write_text(network.to_json())
  config = _config(
    **TINY,
    fix="",
    architecture=str(file),
    **{"search.classes": 0, "training.calibration_images": 12},
  )
  config.unlock()
  config.training.teacher = f"{PARTS}:mean_colour"
  run_job(config_dict.FrozenConfigDict(config), tmp_path / "run")
  result = json.loads((tmp_path / "run" / "result.json").read_text())
  [member] = result["members"]
  wanted = dataclasses.replace(network, input_channels=1)
  assert member["architecture"] == json.loads(wanted.to_json())
  assert member["teacher"].endswith(":mean_colour")
  assert result["predictor"]["pretraining"] == {}
  assert member["scores"]["calibration_images"] == 12
  assert member["scores"]["temperature"] > 0
  assert member["history"][0]["validation_accuracy"] is not None
  assert 0 < len(member["mistakes"]) <= 12
  tried = {json.dumps(t["recipe"]) for t in result["trials"]}
  assert len(tried) == 8
  assert {t["macs"] for t in result["trials"]} == {member["macs"]}
  assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
  ("epochs", "lengths"), [(2, [(2, 2), (5, 5)]), (0, [(1, 0), (5, 5)])]
)
def test_a_training_with_the_tree_has_its_own_epochs(
  tmp_path, monkeypatch, epochs, lengths
):
  """Also where the plain weights are inherited, and are not trained at all."""
  trained = []

  def train_network(
    directory, name, architecture, recipe, settings, *_, **rest
  ):
    epochs = rest["epochs"]
    trained.append(
      (settings.epochs, settings.epochs if epochs is None else epochs)
    )
    return MemberRow(name=name), name

  def train_member(tree, seed, path, dataset, name, recipe, settings, fit):
    fit(f"{name}-plain", recipe, settings)
    longer = dataclasses.replace(settings, epochs=tree.finetune_epochs)
    return fit(name, recipe, longer, supervised=object(), start_from=object())

  monkeypatch.setattr(members, "train_network", train_network)
  monkeypatch.setattr(members.tree_training, "train_member", train_member)
  changes = {"head": "nbdt", "tree.finetune_epochs": 5}
  config = configs.typed(
    _config(**TINY | changes | {"training.epochs": epochs})
  )
  space = spaces.get("small")
  choice = _member(space, np.zeros(len(space.decisions), int), 1e6)
  work = types.SimpleNamespace(
    path=tmp_path, phase=lambda _: contextlib.nullcontext()
  )
  members.train(config, work, inputs.dataset(config), [choice], None, None)
  assert trained == lengths


def test_the_largest_is_taught_by_itself_as_labels_made_it(
  tmp_path, monkeypatch
):
  """The two steps of section 4.4 of Wan 2022."""
  trained = []

  def train_network(directory, name, *_, teacher, **rest):
    trained.append((name, teacher))
    return MemberRow(name=name), name

  monkeypatch.setattr(members, "train_network", train_network)
  config = configs.typed(_config(**TINY | {"training.teach_largest": True}))
  space = spaces.get("small")
  ends = (np.zeros(len(space.decisions), int), np.asarray(space.choices) - 1)
  chosen = [_member(space, g, m) for g, m in zip(ends, (1e6, 9e6), strict=True)]
  work = types.SimpleNamespace(
    path=tmp_path, phase=lambda _: contextlib.nullcontext()
  )
  family, on_labels = members.train(
    config, work, inputs.dataset(config), chosen, None, None
  )
  assert [m.name for m in family] == ["small-1m", "small-9m"]
  assert on_labels.name == "small-9m-labels"
  assert trained == [
    ("small-9m-labels", None),
    ("small-9m", "small-9m-labels"),
    ("small-1m", "small-9m-labels"),
  ]


def test_the_docstring_has_the_statements_of_the_paper():
  """Each with the key that follows it, as the preset sets it."""
  text = _module().__doc__
  for line in published.table():
    assert f"    {line}\n" in text
  paper = configs.as_dict(configs.typed(_config("paper")))
  assert published.departures(paper) == []
  departed = published.departures(paper | {"search": {"caution": 0.5}})
  assert [(s.key, value) for s, value in departed] == [("search.caution", 0.5)]
  assert "search.caution</code> 0.5 (0.0)" in published.line(
    {"search": {"caution": 0.5}}
  )


def test_a_search_of_architectures_alone_with_a_scaled_member(
  tmp_path, monkeypatch
):
  """All but the members' training, which other tests have."""
  recipe = spaces.Recipe(optimizer="sgd", learning_rate=0.1, mixup=0.0)
  (tmp_path / "recipe.json").write_text(recipe.to_json())
  trained = []

  def train_network(directory, name, architecture, recipe, *_, **rest):
    trained.append((name, architecture, recipe, rest["teacher"]))
    macs, params = costs.count(architecture, 10)
    return MemberRow(
      name=name,
      macs=macs,
      params=params,
      architecture=architecture,
      test_accuracy=0.5,
      test_log_loss=1.0,
    ), name

  monkeypatch.setattr(members, "train_network", train_network)
  config = _config(
    **TINY,
    **{
      "fix": "resolution=8",
      "recipe_file": str(tmp_path / "recipe.json"),
      "budgets.macs": (200e3,),
      "budgets.memory": (3000,),
      "budgets.scaled": (100e3,),
      "search.macs": (100e3, 600e3),
    },
  )
  run_job(config, tmp_path / "run")
  result = json.loads((tmp_path / "run" / "result.json").read_text())
  scaled, evolved = result["members"]
  assert scaled["scaled_from"] == evolved["name"] == "small-200k-3ke"
  assert scaled["macs"] <= 100e3 < 180e3 <= evolved["macs"] <= 200e3
  network = spaces.Architecture.from_json(json.dumps(evolved["architecture"]))
  assert evolved["memory"] == costs.peak_memory(network) <= 3000
  assert "memory" not in scaled
  assert scaled["genotype"] is None and scaled["predicted"] is None
  # The largest first; it teaches the other.
  names = [evolved["name"], scaled["name"]]
  assert [t[0] for t in trained] == names
  assert [t[3] for t in trained] == [None, evolved["name"]]
  assert {t[2] for t in trained} == {recipe}
  # Memory is limited, so it has budgets of its own, and a column.
  front = result["front"]
  lines = {line["cost"]: line["stops"] for line in front["lines"]}
  assert list(lines) == ["macs", "params", "memory"]
  for stop in lines["memory"]:
    network = front["networks"][stop["network"]]
    architecture = spaces.Architecture.from_json(
      json.dumps(network["architecture"])
    )
    assert network["memory"] == costs.peak_memory(architecture)
    assert network["memory"] <= stop["limit"]
  tried = [t["macs"] for t in result["trials"]]
  assert len(tried) == 8 and min(tried) >= 100e3 and max(tried) <= 600e3
  assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_budgets_of_latency_and_memory(tmp_path):
  space = inputs.space(_config(fix=FIXED), 1)
  table = LatencyTable(
    {key: Entry(part_memory(key) / 1000) for key in space_keys(space)}
  )
  _, slowest = feasible(Price(space, 10, "latency", table))
  _, largest = feasible(Price(space, 10, "memory"))
  table.save(tmp_path / "table.json")
  given = {
    "fix": FIXED,
    "budgets.macs": (),
    "budgets.latency": (slowest, 0.8 * slowest),
    "budgets.memory": (largest, largest),
    "budgets.table": str(tmp_path / "table.json"),
  }
  config = _config(**given)
  found = inputs.budgets(config, space, 10)
  # The floor is the first limit's, and the smallest budget comes first.
  high = 0.8 * slowest
  wanted = Budget(latency=(0.9 * high, high), memory=(0.0, largest))
  assert found[0] == wanted
  named = Budget(latency=(0.0, 20.0), memory=(0.0, 9000.0))
  assert families.member_name(space, named) == "small-20ms-9ke"
  assert inputs.as_json(found[1]) == {
    "macs": None,
    "params": None,
    "latency": [0.9 * slowest, slowest],
    "memory": [0.0, largest],
  }
  network = space.architecture(np.zeros(len(space.decisions), int))
  assert inputs.further_costs(config, found[0], network, 10) == {
    "latency": table.latency(network),
    "memory": costs.peak_memory(network),
  }
  for change, words in (
    ({"budgets.table": ""}, "config.budgets.latency is .*legal: both or none"),
    ({"budgets.latency": ()}, "config.budgets.latency is .*both or none"),
    ({"budgets.macs": (1e6,)}, "has 1 macs and 2 latency and 2 memory"),
    ({"budgets.latency": (1e-3, 2e-3)}, "has a latency from .* networks from"),
    ({"budgets.memory": (10.0, 20.0)}, "has a memory from .* networks from"),
    (
      dict.fromkeys(("budgets.latency", "budgets.memory"), ()),
      "none of macs, params, latency, memory",
    ),
  ):
    with pytest.raises(ValueError, match=words):
      inputs.budgets(_config(**given | change), space, 10)


def test_candidates_come_from_where_memory_budgets_are_met(
  tmp_path, monkeypatch
):
  given = []

  def search(space, classes, evaluate, store, options, *_, **__):
    given.append((space, options))
    raise KeyboardInterrupt

  monkeypatch.setattr(nars.nars, "search", search)
  changes = {"fix": FIXED, "budgets.macs": (), "budgets.memory": (1800,)}
  with pytest.raises(KeyboardInterrupt):
    run_job(_config(**TINY, **changes), tmp_path)
  [(space, options)] = given
  drawn = pool.draw(space, 128, 0, Context(10), ("memory",))
  peak = drawn.further["memory"]
  macs = drawn.macs[(peak >= 0.9 * 1800) & (peak <= 1800)]
  assert 0 < len(macs) < 128
  assert options.macs == (macs.min(), macs.max())
