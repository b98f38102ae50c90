"""Malformed configs: what every job does with values that make no sense.

A command line with one or two values that are wrong (of another type, out of
range, no number, a name that there is not) is parsed as `fbnax.main` does, and
its job runs up to where it would begin to train, measure or search. It ends
there, or with an error that the command line tells in a line
(`fbnax.jobs.runtime.messages.explain`), and no other; no case may take longer
than `LIMIT`. The long version, 3,000 command lines:

    python -m pytest -n 0 -m slow -s tests/faults/configs_fuzz_test.py

prints for each config how many were refused and how many reached the training;
`FBNAX_FUZZ_SEED=7` draws other ones.
"""

import contextlib
import importlib
import io
import resource
import shutil
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

from fbnax import spaces
from fbnax.base.flat import flat
from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.jobs.runtime import config_values
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.benchmarks import tables
from tests.configs_test import FILES, ROOT, load
from tests.faults.cases import SEED, check
from tests.jobs.conftest import make_run

LIMIT = 60.0  # CPU-seconds of a case, compilation included.
LONG = 3000
MEMORY = 8 * 2**30  # Bytes, besides what the process has when a test begins.
# Those that come to their end by their defaults, in less than a second.
SHORT = ("train.py", "fbnet.py", "nbdt.py", "profile.py")
# Needs weights of another program, which are not looked at here.
WITHOUT = ("finetune.py",)
# Where a job would begin to take long: the module, and the function in it.
ENDS = {
  "autobuild": ("fbnax.search.autobuild.graph_fit", "fit"),
  "benchmark": ("fbnax.jobs.benchmark.job", "_searches"),
  "dnas": ("fbnax.jobs.dnas.search", "run"),
  "eval": ("fbnax.training.loop", "measure"),
  "evolve": ("fbnax.search.evolution", "evolve"),
  "export": ("fbnax.jobs.export.job", "_programs"),
  "ground_truth": ("fbnax.jobs.ground_truth.job", "_searches"),
  "latency_predictor": ("fbnax.jobs.latency_predictor.job", "_score"),
  "nars": ("fbnax.search.nars", "search"),
  "nbdt": ("fbnax.jobs.runtime.trees.training", "train_network"),
  "nbdt_tables": ("fbnax.jobs.runtime.trees.training", "train_network"),
  "predictors": ("fbnax.jobs.predictors.job", "_learners"),
  "profile": ("fbnax.jobs.profile.job", "_parts"),
  "study": ("fbnax.jobs.study.job", "train_all"),
  "train": ("fbnax.jobs.train.job", "train_network"),
  "zero_cost": ("fbnax.jobs.zero_cost.job", "_scores"),
}

ODD = {
  bool: ("maybe", "2", "", "None", "1.5"),
  int: (
    *("-1", "0", "1", "2", "3", "7", "1000000", "-9223372036854775809"),
    *("99999999999999999999", "1e3", "0.5", "nan", "x", "None", "True"),
    "(1,2)",
  ),
  float: (
    *("-1", "0", "1", "2", "0.5", "nan", "inf", "-inf", "1e-320", "1e308"),
    *("1e999", "-0.0", "x", "None", "True", "(1.0,)"),
  ),
  str: (
    "",
    "x",
    "é",
    "../..",
    "/",
    "/nonexistent/file.json",
    "a" * 3000,
    "digits",
    "0",
    "None",
    "resolution=8",
    "resolution=8;resolution=12",
    "resolution=",
    "=;=",
    "nothing=1",
    "macs",
    "latency",
    "adamw",
    "damaged.json",
    "table.json",
  ),
  tuple: (
    "()",
    "(1,)",
    "(-1,)",
    "(0,)",
    "(float('nan'),)",
    "('x',)",
    "(None,)",
    "((1,),)",
    "(1e308,1e308)",
    "(1e6,1e5)",
    "(1000,1000,1000)",
    "1",
    "(",
    "[]",
    "x",
    "(True,)",
    "('x','x')",
    "(99999999999999999999999,)",
  ),
}


class ReachedError(BaseException):
  """The job has checked all there is, and would begin."""


@pytest.fixture
def little_memory():
  """What would fill the machine is an error instead."""
  before = resource.getrlimit(resource.RLIMIT_DATA)
  # Other tests have run in this process, and what they hold counts: a limit
  # below it has XLA abort the process at its next allocation.
  resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEMORY, before[1]))
  yield
  resource.setrlimit(resource.RLIMIT_DATA, before)


def _data():
  """Bytes that count for the limit: heap, stacks and private mappings."""
  status = Path("/proc/self/status")
  if not status.exists():
    pytest.skip("the memory of a process is limited on Linux alone")
  return int(status.read_text().split("VmData:")[1].split()[0]) * 2**10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
  """What the configs name: a run, a model, tables, labels; in a folder."""
  folder = tmp_path_factory.mktemp("inputs")
  make_run(folder / "run")
  (folder / "damaged.json").write_text('{"a": [')
  space = spaces.get("small").fix(resolution=8)
  genotypes = np.unique(np.asarray(spaces.get("small").sobol(64)), axis=0)
  tables.save(
    folder / "table.npz",
    spaces.get("small"),
    genotypes,
    np.linspace(0.1, 0.9, len(genotypes)),
  )
  cells = spaces.get("nasbench201")
  genotypes = np.unique(np.asarray(cells.sobol(64)), axis=0)
  tables.save(
    folder / "cells.npz", cells, genotypes, np.linspace(0, 1, len(genotypes))
  )
  images = np.zeros((60, 16, 16, 3), np.uint8)
  np.savez(folder / "images.npz", train_x=images, train_y=np.arange(60) % 3)
  LatencyTable({key: Entry(0.1) for key in space_keys(space)}).save(
    folder / "table.json"
  )
  _write_labels(folder / "labels.csv")
  return folder


def _write_labels(path):
  space = spaces.get("mobilenetv3").fix(resolution=(192, 224))
  lines = [",".join([*(d.name for d in space.decisions), "acc", "ms"])]
  for i, row in enumerate(space.sample(jax.random.key(0), 40).tolist()):
    values = [
      str(d.values[c]) for d, c in zip(space.decisions, row, strict=True)
    ]
    lines.append(",".join([*values, str(0.7 + i / 1000), str(5.0 + i)]))
  path.write_text("\n".join(lines) + "\n")


# What a config needs besides its defaults, to come as far as its end.
BASE = {
  "autobuild.py": (
    "labels=labels.csv",
    "space=mobilenetv3",
    "fix=resolution=192,224",
    "accuracy=acc",
    "cost=ms",
    "expressions=('acc',)",
    "held_out=0.2",
  ),
  "benchmark.py": ("table=table.npz", "evaluations=30", "seeds=1"),
  "eval.py": ("model=run/members/small-200k",),
  "evolve.py": ("run=run", "budgets.macs=(200e3,)"),
  "export.py": ("model=run/members/small-200k",),
  "ground_truth.py": ("table=cells.npz", "data.path=images.npz"),
  "latency_predictor.py": (
    "measurements=labels.csv",
    "space=mobilenetv3",
    "fix=resolution=192,224",
    "devices=('ms',)",
    "counts=(10,)",
  ),
  "predictors.py": (
    "table=table.npz",
    "labels=(10,)",
    "held_out=20",
    "pool=64",
  ),
  "study.py": ("runs=('run',)",),
  "zero_cost.py": ("sample=4",),
}


def _arguments(file, values):
  return ["main", f"--config={ROOT}/configs/{file}"] + [
    f"--config.{value}" for value in values
  ]


def _parsed(arguments):
  """The config of a command line, as `fbnax.main` gets it."""
  values = flags.FlagValues()
  config = config_flags.DEFINE_config_file("config", flag_values=values)
  with mock.patch.object(sys, "argv", arguments):  # What overrides are read of.
    values(arguments)
  config_values.check(config.value)
  return config.value


class Job:
  """A config's job, which ends where it would begin to take long."""

  def __init__(self, file, folder, monkeypatch):
    self.file, self.folder = file, folder
    self.config = load(file).get_config()
    self.keys = flat(self.config.to_dict())
    del self.keys["job"]
    self.reached = 0
    module, name = ENDS[self.config.job]
    monkeypatch.setattr(importlib.import_module(module), name, self._end)
    # A predictor of the run is not what is looked at.
    monkeypatch.setattr(
      "fbnax.search.nars.predictor_files.load", lambda *_: None
    )
    monkeypatch.setattr("fbnax.search.nars.predictor.scorer", lambda *_: None)
    monkeypatch.chdir(folder)

  def _end(self, *_, **__):
    raise ReachedError

  def draw(self, random):
    """A command line with one or two values that are wrong."""
    changes = []
    for _ in range(random.choice((1, 1, 2))):
      key = random.choice(list(self.keys))
      kind = type(self.keys[key])
      text = random.choice(ODD[random.choice([kind] * 9 + list(ODD))])
      changes.append(f"{key}={text}")
    return _arguments(self.file, [*BASE.get(self.file, ()), *changes])

  def read(self, arguments):
    """Runs it; what it raises is an error of the input, or a fault."""
    workdir = self.folder / "work"
    shutil.rmtree(workdir, ignore_errors=True)
    try:
      with contextlib.redirect_stdout(io.StringIO()):
        run_job(_parsed(arguments), workdir)
    except ReachedError:
      self.reached += 1


def _check(file, cases, folder, monkeypatch):
  job = Job(file, folder, monkeypatch)
  if file not in WITHOUT:
    job.read(_arguments(file, BASE.get(file, ())))
    assert job.reached, "the command line itself is refused"
  job.reached = 0
  seen = check(job.draw, job.read, cases, LIMIT)
  print(f"{file}: seed {SEED}, {seen['refused']} refused, {job.reached} begun")
  return seen


@pytest.mark.parametrize("file", SHORT)
def test_malformed_configs(file, tmp_path, monkeypatch, little_memory):
  seen = _check(file, 20, tmp_path, monkeypatch)
  assert seen["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_many_malformed_configs(file, inputs, monkeypatch, little_memory):
  count = LONG // len(FILES)
  seen = _check(file, count, inputs, monkeypatch)
  assert sum(seen.values()) >= count
