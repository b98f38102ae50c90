"""Trains the cases of a study, and records each as it ends.

A case is one network, trained with all seeds as one program. Its record is a
file of its own, named by a digest of all that its outcome depends on, so that
a study that is started again trains what is left, and cases that two groups
share are trained once.

Symbols: `S` seeds.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.base import json_values, records
from fbnax.data import Dataset
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import read_teacher
from fbnax.jobs.runtime.training import Teacher, taught
from fbnax.jobs.study.plan import Case
from fbnax.jobs.study.result import CaseTraining, SeedOutcome
from fbnax.jobs.study.runs import Run
from fbnax.models import Network, initialize
from fbnax.training import loop, recipes, step
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings
from fbnax.training.step import Member, Model

FOLDER = "cases"


class RunImages(NamedTuple):
  """A run's data set, and its two splits where training reads them."""

  dataset: Dataset
  train: loop.Feed
  test: loop.Feed


def train_all(
  cases: Sequence[Case],
  runs: Sequence[Run],
  seeds: Sequence[int],
  directory: Path,
  progress: Progress,
) -> tuple[CaseTraining, ...]:
  """Trains all cases with all seeds, but those that are recorded already.

  Args:
    cases: what to train.
    runs: where their data, settings and teachers come from.
    seeds: of all that is random.
    directory: records go to `cases/` below it.
    progress: where to show it; its unit is an epoch of a case.

  Returns:
    All trainings.
  """
  by_path = {r.path: r for r in runs}
  folder = directory / FOLDER
  folder.mkdir(exist_ok=True)
  done = {c: _recorded(folder, by_path[c.run], c, seeds) for c in cases}
  total = sum(c.epochs for c in cases)
  before = sum(c.epochs for c in cases if done[c] is not None)
  last: Case | None = None
  with progress.phase("epochs of all cases", total, before) as advance:
    for case in cases:
      # Two groups may share a case.
      shared = done[case] or _recorded(folder, by_path[case.run], case, seeds)
      if shared is not None:
        advance(0 if done[case] is not None else case.epochs)
        done[case] = shared
        continue
      if last is not None and last.architecture != case.architecture:
        # Programs of another network are of no more use, and each holds
        # thousands of memory mappings, of which Linux gives a process 65,530.
        jax.clear_caches()
      last = case
      outcomes = train_case(
        case,
        by_path[case.run],
        seeds,
        functools.partial(advance, 1, case=f"{case.group} {case.name}"),
      )
      _record(folder, by_path[case.run], case, seeds, outcomes)
      done[case] = outcomes
  return tuple(
    _training(case, by_path[case.run].classes, seed, outcome)
    for case in cases
    for seed, outcome in zip(seeds, done[case] or (), strict=True)
  )


def train_case(
  case: Case, run: Run, seeds: Sequence[int], on_epoch: Callable[[], None]
) -> list[SeedOutcome]:
  """Trains one network with all seeds as one program, and measures it.

  Args:
    case: what to train.
    run: whose images and settings it is trained with.
    seeds: of all that is random, `S`.
    on_epoch: called after each epoch.

  Returns:
    For each seed its test accuracy and its test log-loss in nats (None where
    it diverged, which is no network to measure), and its share of the seconds.
  """
  start = time.monotonic()
  images = _images(run)
  teacher = None if case.teacher is None else _teacher(run, case.teacher)
  settings = _settings(run, case, images.dataset)
  module = Network(case.architecture, run.classes)
  model = taught(module, teacher)
  members, state = _start(module, case, seeds)
  fitted = loop.fit(
    model,
    settings,
    state,
    members,
    images.train,
    epochs=case.epochs,
    teacher=None if teacher is None else teacher.variables,
    stacked=True,
    seed=seeds[0],
    on_epoch=lambda *_: on_epoch(),
  )
  metrics = loop.measure(
    Model(module),
    settings,
    loop.result(fitted.state, members, stacked=True),
    None,
    images.test,
    stacked=True,
  )
  seconds = (time.monotonic() - start) / len(seeds)
  whole = fitted.finite & np.isfinite(metrics.loss)
  return [
    SeedOutcome(
      test_accuracy=float(accuracy) if measured else None,
      test_log_loss=float(loss) if measured else None,
      seconds=seconds,
    )
    for accuracy, loss, measured in zip(
      np.asarray(metrics.accuracy), np.asarray(metrics.loss), whole, strict=True
    )
  ]


def _start(
  module: Network, case: Case, seeds: Sequence[int]
) -> tuple[Member, step.TrainState]:
  """Members and first states, stacked over `S`; keys as `train_network`'s."""
  side, channels = (
    case.architecture.resolution,
    case.architecture.input_channels,
  )
  images = np.zeros((1, side, side, channels), np.float32)
  start = jax.jit(
    lambda k: step.start(initialize(module, k, images, train=False))
  )
  keys = [jax.random.split(jax.random.key(seed)) for seed in seeds]
  states = [jax.device_get(start(init_key)) for init_key, _ in keys]
  members = Member(
    recipes.stack([case.recipe] * len(seeds)),
    None,
    jnp.stack([member_key for _, member_key in keys]),
  )

  # In NumPy: JAX would compile a stacking for each of a network's shapes.
  def stacked(*leaves: Any) -> jax.Array:
    return jnp.asarray(np.stack(leaves))

  return members, jax.tree.map(stacked, *states)


def _settings(run: Run, case: Case, dataset: Dataset) -> Settings:
  return inputs.settings(
    run.config, dataset, case.architecture.resolution, epochs=case.epochs
  )


@functools.lru_cache(maxsize=1)
def _images(run: Run) -> RunImages:
  """The images of a run; all that is not its test split is trained on.

  Raises:
    ValueError: they are not those of the run.
  """
  dataset = inputs.dataset(run.config)
  now = (len(dataset.train), len(dataset.test), dataset.num_classes)
  if now != (run.facts.train, run.facts.test, run.classes):
    raise ValueError(
      f"{run.path} was trained on {run.facts.train} images and tested on"
      f" {run.facts.test}, of {run.classes} classes; {dataset.source} now has"
      f" {now[0]}, {now[1]} and {now[2]}: put back the data of the run"
    )
  return RunImages(dataset, loop.place(dataset.train), loop.place(dataset.test))


@functools.lru_cache(maxsize=1)
def _teacher(run: Run, name: str) -> Teacher | None:
  """Who taught in the run: a member of its family, or a model it was given."""
  text = run.config.teacher
  if name in [m.name for m in run.family]:
    text = str(Path(run.path) / "members" / name)
  return read_teacher(text, "config.training.teacher", _images(run).dataset)


def _identity(run: Run, case: Case, seeds: Sequence[int]) -> str:
  """What a training's outcome depends on; groups and names do not matter."""
  causes = {
    "config": run.started_with,
    "run": case.run,
    "architecture": case.architecture.to_json(),
    "recipe": case.recipe.to_json(),
    "teacher": case.teacher,
    "epochs": case.epochs,
    "seeds": list(seeds),
  }
  return hashlib.sha256(json_values.to_json(causes).encode()).hexdigest()


def _record(
  folder: Path,
  run: Run,
  case: Case,
  seeds: Sequence[int],
  outcomes: Sequence[SeedOutcome],
) -> None:
  identity = _identity(run, case, seeds)
  records.write(
    folder / f"{identity[:16]}.json",
    {"identity": identity, "trainings": [vars(o) for o in outcomes]},
  )


def _recorded(
  folder: Path, run: Run, case: Case, seeds: Sequence[int]
) -> list[SeedOutcome] | None:
  identity = _identity(run, case, seeds)
  record = records.read(folder / f"{identity[:16]}.json")
  if record is None or record["identity"] != identity:
    return None
  return [SeedOutcome(**values) for values in record["trainings"]]


def _training(
  case: Case, classes: int, seed: int, outcome: SeedOutcome
) -> CaseTraining:
  counted = costs.count(case.architecture, classes)
  return CaseTraining(
    run=case.run,
    group=case.group,
    name=case.name,
    row=case.row,
    column=case.column,
    is_member=case.is_member,
    macs=counted.macs,
    params=counted.params,
    architecture=case.architecture,
    recipe=json.loads(case.recipe.to_json()),
    teacher=case.teacher,
    epochs=case.epochs,
    seed=seed,
    **vars(outcome),
  )
