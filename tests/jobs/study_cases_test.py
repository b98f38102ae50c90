import dataclasses
import json
from pathlib import Path

import jax
import pytest

from fbnax import costs
from fbnax.jobs.study import cases as study_cases
from fbnax.jobs.study import runs as study_runs
from fbnax.search import Budget


def plan(study, config):
  runs = [study_runs.read(config, path) for path in config.runs]
  return getattr(study_cases, study)(config, runs)


def test_random_pairs_lie_in_the_members_band(nars_runs, study_config):
  found = plan("random", study_config("random", nars_runs))
  limits = {"small-150k": (135e3, 150e3), "small-200k": (180e3, 200e3)}
  for case in found.cases:
    low, high = limits[case.group]
    assert low <= costs.count(case.architecture, 10).macs <= high
  assert [c.name for c in found.cases[:4]] == [
    "member",
    "pair 1",
    "pair 2",
    "pair 3",
  ]
  # Two runs with two members, each with three pairs.
  assert len(found.cases) == 2 * 2 * 4


def test_members_and_their_pairs_are_trained_alike(nars_runs, study_config):
  found = plan("random", study_config("random", nars_runs, epochs=5))
  assert {c.epochs for c in found.cases} == {5}
  teachers = {(c.group, c.teacher) for c in found.cases}
  assert teachers == {("small-150k", "small-200k"), ("small-200k", None)}


def test_same_seed_same_pairs_and_all_draws_are_different(
  nars_runs, study_config
):
  first, again, other = (
    plan("random", study_config("random", nars_runs, seed=seed)).cases
    for seed in (0, 0, 1)
  )
  assert first == again
  assert [c for c in first if c.is_member] == [c for c in other if c.is_member]
  # The same for both runs, others for another seed and another budget.
  pairs = {
    run: [
      (c.architecture, c.recipe)
      for c in (*first, *other)
      if not c.is_member and c.run == run
    ]
    for run in {c.run for c in first}
  }
  left, right = pairs.values()
  assert left == right
  assert len(set(left)) == len(left) == 12


def test_a_band_without_networks_says_what_to_do(
  nars_runs, study_config, monkeypatch
):
  run = study_runs.read(study_config("random", ()), nars_runs[0])
  monkeypatch.setattr(study_runs, "_BATCHES", 1)
  budget = Budget(**{**run.members[0].budget, "macs": (149e3, 149e3 + 1)})
  with pytest.raises(ValueError, match=r"only \d+ cost what .* fewer than 50"):
    study_runs.draw(jax.random.key(0), run.space, budget, 50, 10)


def test_members_are_asked_for_by_name_or_budget(nars_runs, study_config):
  for item in ("small-150k", 150e3, "150e3"):
    config = study_config("random", (), members=(item,))
    found = study_runs.read(config, nars_runs[0])
    assert [m.name for m in found.members] == ["small-150k"]
    assert len(found.family) == 2
  config = study_config("random", (), members=("tiny",))
  with pytest.raises(ValueError, match=r"'tiny'; .* small-150k, small-200k"):
    study_runs.read(config, nars_runs[0])


def test_scaled_members_teach_but_are_not_studied(
  nars_runs, study_config, tmp_path
):
  result = json.loads((Path(nars_runs[0]) / "result.json").read_text())
  result["members"][1]["scaled_from"] = "small-150k"
  (tmp_path / "result.json").write_text(json.dumps(result))
  found = study_runs.read(study_config("random", ()), str(tmp_path))
  assert [m.name for m in found.members] == ["small-150k"]
  assert [m.name for m in found.family] == ["small-150k", "small-200k"]


@pytest.mark.parametrize(
  ("key", "name"),
  [
    ("space", "mine.py:space"),
    ("data.name", "mine.py:data"),
    ("training.teacher", "mine.py:teacher"),
  ],
)
def test_a_runs_own_code_is_not_run_unasked(
  nars_runs, study_config, tmp_path, key, name
):
  result = json.loads((Path(nars_runs[0]) / "result.json").read_text())
  *sections, last = key.split(".")
  place = result["config"]
  for section in sections:
    place = place[section]
  place[last] = name
  (tmp_path / "result.json").write_text(json.dumps(result))
  with pytest.raises(ValueError, match=rf"say --config\.{key}={name}"):
    study_runs.read(study_config("random", ()), str(tmp_path))


def test_swapped_recipes_change_nothing_else(nars_runs, study_config):
  found = plan("swapped", study_config("swapped", nars_runs[:1])).cases
  small, crossed, other, large = found
  assert (small.recipe, large.recipe) == (other.recipe, crossed.recipe)
  assert small.recipe != crossed.recipe
  assert [c.is_member for c in found] == [True, False, False, True]
  for own, swapped in ((small, crossed), (large, other)):
    assert own.architecture == swapped.architecture
    assert own.teacher == swapped.teacher
  config = study_config("swapped", nars_runs[:1], members=("small-150k",))
  with pytest.raises(ValueError, match=r"needs two members; .* small-150k"):
    plan("swapped", config)


def test_members_of_one_recipe_have_none_to_swap(nars_runs, study_config):
  run = study_runs.read(study_config("swapped", ()), nars_runs[0])
  small, large = run.members
  alike = dataclasses.replace(large, recipe=small.recipe)
  three = dataclasses.replace(run, members=(small, alike, large))
  config = study_config("swapped", nars_runs[:1])
  found = study_cases.swapped(config, [three])
  assert [c.row for c in found.cases] == [small.name] * 2 + [large.name] * 2
  assert found.notes == ()
  one = dataclasses.replace(run, members=(small, alike))
  found = study_cases.swapped(config, [one, run])
  assert len(found.cases) == 4
  assert "found one recipe for small-" in found.notes[0]
  with pytest.raises(ValueError, match="nothing to swap"):
    study_cases.swapped(config, [one])


def test_stages_take_the_best_trial_of_the_band(nars_runs, study_config):
  found = plan("stages", study_config("stages", nars_runs[:1]))
  run = study_runs.read(study_config("stages", ()), nars_runs[0])
  assert [c.name for c in found.cases] == ["evolved", "best trial"] * 2
  for case, place in ((found.cases[1], 5), (found.cases[3], 11)):
    # The last trial of each budget has its highest label.
    genotype = run.trials[place].genotype
    assert case.architecture == run.space.architecture(genotype)
    assert case.recipe == run.space.recipe(genotype)
  assert found.notes == ()


def test_stages_say_where_no_trial_lies(nars_runs, study_config):
  config = study_config("stages", nars_runs[:1])
  run = study_runs.read(config, nars_runs[0])
  untold = [dataclasses.replace(trial, label=None) for trial in run.trials[:6]]
  run = dataclasses.replace(run, trials=(*untold, *run.trials[6:]))
  found = study_cases.stages(config, [run])
  assert {c.group for c in found.cases} == {"small-200k"}
  assert (
    "no trial of the search lies in the budget of small-150k"
    in (found.notes[0])
  )


def test_averaging_is_two_by_two(nars_runs, study_config):
  found = plan("averaging", study_config("averaging", nars_runs[:1])).cases
  assert [(c.teacher, c.recipe.ema) for c in found] == [
    (None, False),
    (None, True),
    ("small-200k", False),
    ("small-200k", True),
  ]
  assert len({dataclasses.replace(c.recipe, ema=True) for c in found}) == 1
  assert sum(c.is_member for c in found) == 1
  config = study_config("averaging", nars_runs[:1], members=("small-200k",))
  with pytest.raises(ValueError, match=r"with a teacher; .* has small-150k"):
    plan("averaging", config)


def test_ranking_changes_width_or_depth_alone(nars_runs, study_config):
  config = study_config("ranking", nars_runs[:1])
  found = plan("ranking", config).cases
  base = study_runs.read(config, nars_runs[0]).members[0]
  wide, deep = (
    next(c for c in found if c.row == row)
    for row in ("1.4 × wider", "2 × deeper")
  )
  assert len(wide.architecture.blocks) == len(base.architecture.blocks)
  for before, after in zip(
    base.architecture.blocks, wide.architecture.blocks, strict=True
  ):
    assert after.channels % 8 == 0
    assert 1.2 <= after.channels / before.channels <= 2.0
  assert len(deep.architecture.blocks) == 2 * len(base.architecture.blocks)
  stages = [b.channels for b in base.architecture.blocks]
  assert {b.channels for b in deep.architecture.blocks} == set(stages)
  assert [(c.group, c.epochs, c.recipe.weight_decay) for c in found[:4]] == [
    ("weight decay", 6, 1e-4),
    ("weight decay", 6, 1e-5),
    ("epochs", 6, base.recipe.weight_decay),
    ("epochs", 2, base.recipe.weight_decay),
  ]
  assert {c.teacher for c in found} == {None}
  with pytest.raises(ValueError, match=r"legal: config\.epochs of at least 2"):
    plan("ranking", study_config("ranking", nars_runs[:1], epochs=1))


@pytest.mark.parametrize(
  "study", ["random", "swapped", "stages", "averaging", "ranking"]
)
def test_every_comparison_is_of_cases_that_are_there(
  study, nars_runs, study_config
):
  found = plan(study, study_config(study, nars_runs))
  known = {(c.group, c.name) for c in found.cases}
  assert found.comparisons
  for comparison in found.comparisons:
    assert sum(t.weight for t in comparison.terms) == pytest.approx(0.0)
    assert {tuple(k) for t in comparison.terms for k in t.keys} <= known
  in_run = [(c.run, c.group, c.name) for c in found.cases]
  assert len(set(in_run)) == len(in_run)


def test_budgets_that_random_pairs_would_not_keep_to_are_refused():
  limits = {"macs": None, "params": None, "latency": [0.0, 5.0]}
  with pytest.raises(ValueError, match="'fast' has a budget of latency"):
    study_runs._member({"name": "fast", "budget": limits})
