"""Scores of a finished run as another search's labels."""

import json
import shutil

import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import spaces
from fbnax.jobs.runtime import proxy_scores as zero_cost_scores
from fbnax.jobs.runtime.workdir import open_workdir

SMALL = spaces.get("small")
COUNT = 40


def make_run(folder, space="small", fix="resolution=12", count=COUNT, **result):
  """Leaves what a run of the job leaves, with scores that tell rows apart."""
  of = spaces.get(space)
  if fix:
    of = of.fix(resolution=12)
  if any(of.is_recipe(d) for d in of.decisions):
    of = of.with_recipe(of.recipe(np.zeros(len(of.decisions), int)))
  genotypes = np.asarray(of.sobol(count, seed=1))
  made = {
    "schema_version": 1,
    "job": "zero_cost",
    "config": {"job": "zero_cost", "space": space, "fix": fix},
    "space": {"name": space},
    "networks": [
      {
        "genotype": g,
        "scores": {
          # JSON has no -inf: null ranks last.
          "synflow": None if i == 2 else 10.0 ** (i % 7),
          "snip": float(i),
          "macs": 1e6,
          "params": 1e4,
        },
      }
      for i, g in enumerate(genotypes.tolist())
    ],
    **result,
  }
  folder.mkdir()
  (folder / "result.json").write_text(json.dumps(made))
  return of, genotypes


def test_genotypes_are_those_of_the_searched_part(tmp_path):
  """The networks are the same, read with either space's own indices."""
  of, given = make_run(tmp_path / "run")
  searched = SMALL.fix(resolution=[8, 12])
  found = zero_cost_scores.read(tmp_path / "run", ("synflow", "snip"), searched)
  assert found.genotypes.shape == (COUNT, len(searched.decisions))
  assert {searched.architecture(g).resolution for g in found.genotypes} == {12}
  for ours, theirs in zip(found.genotypes, given, strict=True):
    assert searched.architecture(ours) == of.architecture(theirs)
  assert list(found.scores) == ["synflow", "snip"]
  assert found.scores["snip"].tolist() == list(range(COUNT))
  assert found.scores["synflow"][2] == -np.inf
  assert found.scores["synflow"][3] == 1000.0


def test_networks_outside_the_searched_part_are_left_out(tmp_path):
  of, given = make_run(tmp_path / "run")
  widths = next(d for d in SMALL.decisions if d.name == "stage2.channels")
  searched = SMALL.fix(**{"stage2.channels": widths.values[1:]})
  found = zero_cost_scores.read(tmp_path / "run", ("snip",), searched)
  kept = [
    i
    for i, g in enumerate(given)
    if g[[d.name for d in of.decisions].index("stage2.channels")] > 0
  ]
  assert 10 <= len(kept) < COUNT
  assert found.scores["snip"].tolist() == kept
  for ours, i in zip(found.genotypes, kept, strict=True):
    assert searched.architecture(ours) == of.architecture(given[i])


def test_cells_are_read_as_they_are(tmp_path):
  of, given = make_run(tmp_path / "run", "nasbench201", fix="")
  found = zero_cost_scores.read(tmp_path / "run", ("snip",), of)
  np.testing.assert_array_equal(found.genotypes, given)


def _errors(tmp_path):
  """Directory, names, space, and what is said."""
  make_run(tmp_path / "run")
  make_run(tmp_path / "few", count=9)
  make_run(tmp_path / "other", job="nars")
  make_run(tmp_path / "code", config={"space": "mine.py:space", "fix": ""})
  (tmp_path / "cut").mkdir()
  (tmp_path / "cut" / "result.json").write_text('{"job": "zero')
  cells = spaces.get("nasbench201")
  recipes = SMALL.with_architecture(
    SMALL.architecture(np.zeros(len(SMALL.decisions), int))
  )
  names = ("snip",)
  return [
    ("nowhere", names, SMALL, "holds no finished run: no .*result.json"),
    ("cut", names, SMALL, "result.json is damaged"),
    ("other", names, SMALL, "is of job 'nars'; legal: 'zero_cost'"),
    ("code", names, SMALL, "'mine.py:space': code of its user's, which is not"),
    ("run", names, recipes, "but recipes alone are searched"),
    ("run", names, cells, "networks of space 'small'; legal: a run of 'nasben"),
    (
      "run",
      ("naswot",),
      SMALL,
      r"proxy_names is \('naswot',\); legal: some of",
    ),
    ("run", ("macs",), SMALL, "legal: some of synflow, snip, each once"),
    ("run", ("snip", "snip"), SMALL, "each once, which .*run has scored"),
    ("run", (), SMALL, r"config.search.proxy_names is \(\); legal"),
    (
      "few",
      names,
      SMALL,
      "scored 9 networks, 9 of them .*; legal: at least 10",
    ),
    (
      "run",
      names,
      SMALL.fix(resolution=8),
      r"scored 40 networks, 0 of them in the space .* 'resolution' are \(8,\)",
    ),
  ]


def test_what_is_not_legal_is_named(tmp_path):
  for folder, names, space, message in _errors(tmp_path):
    with pytest.raises(ValueError, match=message):
      zero_cost_scores.read(
        tmp_path / folder, names, space, key="config.search"
      )


def test_a_run_that_goes_on_learns_from_the_same_scores(tmp_path):
  make_run(tmp_path / "run")
  given = config_dict.create(
    proxies=str(tmp_path / "run"), proxy_names=("synflow", "snip")
  )
  with open_workdir(tmp_path / "work", {}) as work:
    first = zero_cost_scores.scored(given, "config", SMALL, "small", work)
    shutil.rmtree(tmp_path / "run")
    again = zero_cost_scores.scored(given, "config", SMALL, "small", work)
  np.testing.assert_array_equal(first.genotypes, again.genotypes)
  assert first.genotypes.dtype == again.genotypes.dtype == np.int32
  assert list(again.scores) == list(first.scores) == ["synflow", "snip"]
  np.testing.assert_array_equal(
    first.scores["synflow"], again.scores["synflow"]
  )
  assert again.scores["synflow"].min() == -np.inf
