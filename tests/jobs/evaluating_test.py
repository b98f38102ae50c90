"""The evaluator that a config names; what a Ray worker makes of a request."""

import contextlib
import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from fbnax.jobs.nars import evaluating, ray_worker
from fbnax.jobs.runtime import configs, inputs
from fbnax.search.evaluators import Candidate, tasks
from fbnax.search.evaluators.grouping import ProgramGroup
from fbnax.search.evaluators.ray_cluster import WorkerKind
from fbnax.training import loop, population
from tests.configs_test import load
from tests.jobs.nars_test import SMALL

EPOCHS = 2


def _config(**changes):
  config = load("nars.py").get_config()
  for flag in SMALL:
    key, _, value = flag.removeprefix("--config.").partition("=")
    if key in ("fix", "data.max_images"):
      changes[key] = value if key == "fix" else int(value)
  config.update_from_flattened_dict(changes)
  return configs.typed(config)


class InThisProcess:
  """A worker whose tasks run as they are submitted."""

  kinds = 1

  def submit(self, text, name, kind):
    return name, evaluating._task()(text)

  def wait(self, running):
    return [((name, text), text) for name, text in running]

  def room(self, kind):
    return 1

  def cancel(self, running):
    pass


@pytest.fixture
def here(monkeypatch):
  """Workers in this process, in the place of Ray's."""

  @contextlib.contextmanager
  def connected(run, kinds, **options):
    asked.append((kinds, options))
    yield InThisProcess()

  asked = []
  monkeypatch.setattr(evaluating, "connected", connected)
  # A process of tests goes on: it keeps neither memory nor deep stacks, which
  # all threads that it starts from then on would have.
  monkeypatch.setattr(ray_worker.compiling, "prepare", lambda: None)
  ray_worker._trainer.cache_clear()
  yield asked
  ray_worker._trainer.cache_clear()


def _evaluated(config, candidates):
  dataset = inputs.dataset(config)
  splits = inputs.hold_out(config, dataset)
  space = inputs.space(config, dataset.channels)
  told = []
  with evaluating.opened(config, space, dataset, *splits) as evaluate:
    found = list(evaluate(candidates, EPOCHS, told.append))
  assert sum(told) == EPOCHS * len(candidates)
  return {o.id: o._replace(seconds=0.0) for part in found for o in part}


def test_a_worker_gets_what_this_machine_trains_with(here, monkeypatch):
  """The training itself is compared in tests/faults/ray_test.py."""

  def fit(model, settings, state, member, train, *, epochs, validation, **more):
    """Curves that anything which could be another would change."""
    seen.append((settings, len(train.labels), np.asarray(train.images).sum()))
    keys = jax.random.key_data(member.key)[:, -1].astype(float) / 1e9
    values = np.asarray(keys) + np.asarray(member.recipe.learning_rate)
    values = np.tile(values + float(validation.labels.sum()), (epochs, 1))
    for epoch in range(epochs):
      more["on_epoch"](epoch + 1, None, None)
    return loop.Fitted(
      None, loop.Curves(values, values, values / 3), np.ones(len(keys), bool)
    )

  seen = []
  monkeypatch.setattr(loop, "fit", fit)
  monkeypatch.setattr(population, "initial", lambda *_: None)
  monkeypatch.setattr(evaluating.importlib.util, "find_spec", lambda _: True)
  config = _config(**{"search.epochs": EPOCHS, "search.classes": 7})
  space = inputs.space(config, 1)
  candidates = [
    Candidate(i, tuple(np.asarray(g).tolist()), 5 + i)
    for i, g in enumerate(space.sobol(3))
  ]
  wanted = _evaluated(config, candidates)
  config = dataclasses.replace(config, evaluator="ray")
  assert _evaluated(config, candidates) == wanted
  assert here == [((WorkerKind(1, 0),), {"address": "", "workers": 0})]
  assert [o.error for o in wanted.values()] == [None] * 3
  assert len({o.curve for o in wanted.values()}) == 3
  assert len(seen) == 4 and seen[:2] == seen[2:]


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"evaluator": "rey"}, "legal: train, ray, shared, or a part"),
    ({"ray.attempts": 0}, "config.ray.attempts is 0; legal: at least 1"),
    ({"ray.workers": -1}, "config.ray.workers is -1; legal: at least 0"),
    ({"ray.workers": 2, "ray.address": "auto"}, "legal: 0 where the cluster"),
    ({"ray.cpus": (1, 2)}, "one of each for each kind"),
    ({"ray.cpus": (), "ray.gpus": ()}, "one of each for each kind"),
    ({"ray.cpus": (0,)}, "cpus above 0"),
    ({"ray.cpus": (1.5,)}, "config.ray.cpus has 1.5; legal: whole"),
    ({"ray.cpus": ("2",)}, "legal: a list of numbers"),
    ({"ray.gpus": (-1,)}, "config.ray.gpus has -1; legal: whole"),
  ],
)
def test_what_is_not_legal(monkeypatch, changes, message):
  monkeypatch.setattr(evaluating.importlib.util, "find_spec", lambda _: True)
  dataset = inputs.dataset(_config())
  with pytest.raises(ValueError, match=message):
    config = _config(**{"evaluator": "ray", **changes})
    with evaluating.opened(config, None, dataset, None, None):
      pass


def test_one_process_drives_ray(monkeypatch):
  monkeypatch.setattr(evaluating.importlib.util, "find_spec", lambda _: True)
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  config = _config(evaluator="ray")
  with (
    pytest.raises(ValueError, match="'ray' in 2 processes; legal: one"),
    evaluating.opened(config, None, inputs.dataset(config), None, None),
  ):
    pass


def test_kinds_of_workers(monkeypatch):
  monkeypatch.setattr(evaluating.importlib.util, "find_spec", lambda _: True)
  config = _config(**{"ray.cpus": (4, 0.5), "ray.gpus": (0.5, 0)})
  options = evaluating.ray_options(config)
  assert options.kinds == (WorkerKind(4, 0.5), WorkerKind(0.5, 0))


def test_without_ray_the_extra_is_named(monkeypatch):
  monkeypatch.setattr(evaluating.importlib.util, "find_spec", lambda _: None)
  with pytest.raises(ValueError, match=r"pip install 'fbnax\[ray\]'"):
    evaluating.ray_options(_config(evaluator="ray"))


def _request(config, **changes):
  more = {
    "config": json.dumps(configs.as_dict(config)),
    "directory": "/nowhere",
    "version": ray_worker.__version__,
  }
  part = ProgramGroup(8, (Candidate(0, (0,), 1),), 1)
  return tasks.task_messages.request(part, 1, more | changes)


@pytest.mark.parametrize(
  "config, changes, words",
  [
    ({"data.path": "none.npz", "data.name": "npz"}, {}, "none.npz"),
    ({}, {"version": "0.0"}, "0.0 in the driver; legal: one version"),
  ],
)
def test_a_worker_says_why_it_cannot_begin(here, config, changes, words):
  text = ray_worker.evaluate(_request(_config(**config), **changes))
  found = tasks.task_messages.read_answer(text)
  assert found.startswith("on ") and words in found


def test_a_worker_prepares_before_jax_is_imported():
  """And nothing of Ray is imported until it is needed."""
  code = (
    "import sys, fbnax.jobs.nars.ray_worker; assert 'jax' not in sys.modules;"
    "import fbnax.jobs.nars.evaluating, fbnax.jobs.nars.job;"
    "assert 'ray' not in sys.modules"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
