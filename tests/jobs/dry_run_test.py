"""`--dry_run`: the numbers it says, and that it leaves nothing."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.table import Context
from fbnax.jobs.nars import pool
from fbnax.search.budgets import Budget

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = f"{ROOT}/tests/jobs/example_parts.py"


def _run(config, workdir, *more):
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT / 'configs' / config}.py",
      f"--workdir={workdir}/run",
      "--dry_run",
      *more,
    ],
    capture_output=True,
    text=True,
    check=False,
  )


TINY = (
  f"--config.space={EXAMPLE}:space",
  "--config.fix=",
  "--config.search.pool=256",
  "--config.search.rounds=2",
  "--config.search.candidates=3",
  "--config.search.epochs=5",
  "--config.training.epochs=7",
  "--config.data.max_images=400",
)


def test_a_search_of_digits(tmp_path):
  budgets = "--config.budgets.macs=(12e3, 20e3)"
  done = _run("nars", tmp_path, *TINY, budgets)
  assert done.returncode == 0, done.stderr[-2000:]
  assert not list(tmp_path.iterdir())
  out = done.stdout
  assert "  search.candidates = 3\n" in out
  assert "400 training images (300, and 100 for validation)" in out
  assert "10 classes, (8, 8, 1)" in out
  assert "space: tiny, 24 points, 4 decisions" in out
  assert "8 trainings: 2 rounds of 3 + 3 candidates, 5 epochs" in out
  # 6 candidates x 5 epochs x 300 images, 2 members x 7 epochs x 400 images.
  assert "14,600 images in all" in out
  assert len(re.findall(r"took [\d.e-]+ s, its compilation", out)) == 3
  assert "resolutions [8]" in out
  for line in ("in all about ", "memory: about ", "disk: about "):
    assert re.search(rf"\n{line}[\d.,]+ ", out), line


@pytest.mark.slow
def test_an_evaluator_that_trains_nothing(tmp_path):
  (tmp_path / "own.py").write_text(
    (ROOT / "configs/nars.py").read_text()
    + "\n_given = get_config\n\ndef get_config(*name):\n"
    "  config = _given(*name)\n"
    "  with config.unlocked():\n    config.evaluator = 'a.py:table'\n"
    "  return config\n"
  )
  budgets = "--config.budgets.macs=(2e4,)"
  done = _run(tmp_path / "own", tmp_path, *TINY, budgets)
  assert done.returncode == 0, done.stderr[-2000:]
  assert "search: not estimated, since config.evaluator='a.py:t" in done.stdout
  assert "measured on this" in done.stdout  # The member.
  assert "candidates at 8 pixels" not in done.stdout


@pytest.mark.slow
def test_a_single_training(tmp_path):
  space = spaces.get("small")
  smallest = space.architecture(np.zeros(len(space.decisions), int))
  (tmp_path / "tiny.json").write_text(smallest.to_json())
  done = _run(
    "train",
    tmp_path,
    f"--config.architecture={tmp_path}/tiny.json",
    "--config.resolution=8",
    "--config.data.max_images=100",
    "--config.training.epochs=3",
  )
  assert done.returncode == 0, done.stderr[-2000:]
  assert "1 training of 3 epochs: 225 images in all" in done.stdout
  assert "tiny.json at 8 pixels" in done.stdout
  assert not (tmp_path / "run").exists()


def test_other_jobs_have_no_estimate(tmp_path):
  done = _run("evolve", tmp_path)
  assert done.returncode == 0
  assert "top = 5" in done.stdout
  assert "job 'evolve' has no estimate" in done.stdout
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  "flag, message",
  [
    ("--config.data.name=npz --config.data.path=no.npz", "no.npz"),
    ("--config.budgets.macs=(10.0,)", "has networks from"),
    ("--config.space=no.py:space", "no such file: no.py"),
  ],
)
def test_what_a_run_would_refuse(tmp_path, flag, message):
  done = _run("nars", tmp_path, *flag.split())
  assert done.returncode == 2, done.stderr[-2000:]
  assert message in done.stderr and "Traceback" not in done.stderr
  assert not list(tmp_path.iterdir())


SPACE = spaces.get("small").fix(resolution=[8, 12])


@pytest.fixture(scope="module")
def drawn():
  return pool.draw(SPACE, 512, 0, Context(10))


def test_the_pool_by_hand(drawn):
  budget = Budget(macs=(3e5, 4e5), params=(0.0, 7e4))
  wanted = [
    3e5 <= m <= 4e5 and p <= 7e4
    for m, p in zip(drawn.macs, drawn.params, strict=True)
  ]
  assert 0 < sum(wanted) < len(wanted)
  np.testing.assert_array_equal(drawn.inside(budget), wanted)
  wanted_text = "300,000 to 400,000 MACs and 0 to 70,000 parameters"
  assert pool.shown(budget) == wanted_text
  middle = drawn.macs[drawn.median(budget)]
  assert middle == np.sort(drawn.macs[wanted])[sum(wanted) // 2]
  sides = pool.resolutions(SPACE, drawn.genotypes)
  for genotype, side in zip(drawn.genotypes[:20], sides[:20], strict=True):
    assert SPACE.architecture(genotype).resolution == side


def test_a_budget_that_no_point_meets(drawn):
  low = drawn.macs.min()
  nothing = Budget(macs=(low / 3, low / 2))
  assert not drawn.inside(nothing).any()
  assert drawn.macs[drawn.median(nothing)] == low
  with pytest.raises(ValueError, match=r"search\.pool=512: no point"):
    drawn.searched([nothing])
  wide = [Budget(macs=(low, 2 * low)), Budget(macs=(3 * low, 4 * low))]
  wanted = (low <= drawn.macs) & (drawn.macs <= 4 * low)
  np.testing.assert_array_equal(drawn.searched(wide), wanted)
  assert drawn.searched([Budget(params=(0.0, 1e5))]).all()
  wanted = (low <= drawn.macs) & (drawn.macs <= 1.5 * low)
  np.testing.assert_array_equal(drawn.searched(wide, (low, 1.5 * low)), wanted)


def test_a_pool_under_latency_and_memory():
  space = SPACE.fix(**{"stem.channels": 8})
  table = costs.LatencyTable({key: Entry(0.5) for key in space_keys(space)})
  drawn = pool.draw(space, 64, 0, Context(10, table), ("latency", "memory"))
  ms, peak = drawn.further["latency"], drawn.further["memory"]
  budget = Budget(latency=(0.0, np.median(ms)), memory=(0.0, np.median(peak)))
  wanted = (ms <= np.median(ms)) & (peak <= np.median(peak))
  np.testing.assert_array_equal(drawn.inside(budget), wanted)
  macs = drawn.macs[wanted]
  assert drawn.macs_within([budget]) == (macs.min(), macs.max())
  assert drawn.macs_within([Budget(params=(0.0, 1e5))]) is None
  searched = (macs.min() <= drawn.macs) & (drawn.macs <= macs.max())
  np.testing.assert_array_equal(drawn.searched([budget]), searched)
  shown = pool.shown(Budget(latency=(0.9, 1.5), memory=(0.0, 20480.0)))
  assert shown == "0.9 to 1.5 ms and 0 to 20,480 elements"
