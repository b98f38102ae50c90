"""The search of the job `dnas`: what it is asked, and its end on disk.

`search.json` holds what came of it, so that a job that is stopped while it
trains networks does not build the supernet again.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.base import records
from fbnax.costs import LatencyTable
from fbnax.data import Dataset
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import Supernet
from fbnax.search import dnas
from fbnax.search.dnas import derivation
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan, SearchProblem
from fbnax.search.prices import Price, check_target, feasible
from fbnax.spaces import Recipe, SearchSpace
from fbnax.spaces.follow import largest
from fbnax.training import agreeing, checkpoints, loop, metrics
from fbnax.training.model import Model
from fbnax.training.progress import Progress

END = "search.json"
NAME = "search"


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
  """What is searched, and on which images.

  Attributes:
    problem: the search.
    price: what is paid.
    range: the least and the most that a network of the space costs.
    weights: images that the weights are trained on.
    theta: images that `theta` is trained on, and networks are chosen by.
    channels: of the images.
    facts: for the result.
  """

  problem: SearchProblem
  price: Price
  range: tuple[float, float]
  weights: loop.Feed
  theta: loop.Feed
  channels: int
  facts: dict[str, Any]


def space(config: Any, channels: int, recipe: Recipe) -> SearchSpace:
  """The space; where it has decisions about the recipe, without them."""
  choice = inputs.SpaceChoice(config.space, config.fix)
  found = inputs.space(choice, channels)
  if any(found.is_recipe(d) for d in found.decisions):
    found = found.with_recipe(recipe)
  return found


def task(config: Any, dataset: Dataset, space: SearchSpace) -> Task:
  """Puts the search together; all that can be wrong is said here.

  Raises:
    ValueError: a value is not legal, the table lacks a block, or no network of
      the space costs the target.
  """
  given = config.search
  table = LatencyTable.load(given.table) if given.table else None
  price = Price(space, dataset.num_classes, given.cost, table)
  steps = SearchPlan.of(given)
  _check_numbers(given)
  if given.target:
    check_target(price, given.target)
  penalty = Penalty(
    given.combination,
    given.alpha,
    given.beta,
    given.omega,
    given.target or _undecided_cost(price),
  )
  weights, theta = inputs.hold_out(config, dataset)
  facts = inputs.facts(dataset, weights, theta)
  classes = dataset.num_classes
  if given.classes:
    weights, theta = (
      data.some_classes(s, given.classes, classes, seed=config.seed)
      for s in (weights, theta)
    )
    classes = given.classes
  side = largest(int, space.table.resolution)
  settings = inputs.settings(
    config,
    dataset,
    side,
    batch_size=given.batch_size,
    epochs=steps.epochs,
    schedule="cosine",
    warmup_epochs=0.0,
    accumulate=1,
  )
  supernet = Supernet(
    space,
    classes,
    single_path=steps.relaxation == "single_path",
    subsample=True,
  )
  placed = loop.place(weights), loop.place(theta)
  return Task(
    dnas.problem(Model(supernet), settings, price, penalty, steps, *placed),
    price,
    feasible(price),
    *placed,
    dataset.channels,
    facts | {"search_classes": classes},
  )


def run(
  config: Any, task: Task, work: WorkDir, progress: Progress
) -> dict[str, Any]:
  """Searches and derives, or reads what an earlier start came to.

  Returns:
    `rows` of the epochs and `candidates`, the one to build first, as JSON.
  """
  ended: dict[str, Any] | None = records.read(work.path / END)
  if ended is not None:
    return ended
  with work.phase("search"):
    searched = _search(config, task, work, progress)
  given = config.search
  with work.phase("derivation"), progress.phase("derivation"):
    candidates = derivation.derive(
      task.problem,
      searched.state.variables,
      searched.state.theta,
      derivation.batches(task.problem, task.theta),
      derivation=given.derivation,
      samples=given.samples,
      allowed=derivation.band(given.target, given.tolerance),
      seed=config.seed,
    )
  found = {
    "rows": [row._asdict() for row in searched.rows],
    "candidates": candidates,
  }
  # Another kind of machine among several may have derived another network.
  found, _ = agreeing.by_first(lambda: (found, {}))
  ended = records.write(work.path / END, found)
  return ended


def _search(
  config: Any, task: Task, work: WorkDir, progress: Progress
) -> dnas.Searched:
  folder = work.path / "checkpoints" / NAME
  problem = task.problem
  taken = checkpoints.newest(folder)
  done = taken // problem.steps
  with (
    metrics.open_metrics(work.path, NAME, done + 1) as writer,
    progress.phase(NAME, problem.plan.epochs, done) as advance,
  ):

    def on_epoch(row: dnas.SearchEpoch) -> None:
      values = row._asdict()
      entropies = values.pop("entropies")
      del values["probabilities"], values["epoch"]
      known = {k: v for k, v in values.items() if v is not None}
      writer.write(row.epoch, **known, entropy=float(np.mean(entropies)))
      advance(1, loss=row.loss, expected=task.price.show(row.expected))

    return dnas.search(
      problem,
      dnas.start(
        problem, config.seed, task.channels, problem.settings.resolution
      ),
      task.weights,
      task.theta,
      seed=config.seed,
      checkpointing=dnas.SearchCheckpointing(
        folder, config.search.checkpoint_steps
      ),
      on_epoch=on_epoch,
    )


def _undecided_cost(price: Price) -> float:
  """The expected cost where all choices are as likely."""
  even = [jnp.full(k, 1.0 / k) for k in price.space.choices]
  return float(price.expected(even))


def _check_numbers(given: Any) -> None:
  wants_target = given.combination == "target"
  checks = {
    "target": (
      given.target > 0 or (given.target == 0 and not wants_target),
      "a cost above 0"
      + ("" if wants_target else ", or 0 for none")
      + f", in {given.cost}",
    ),
    "tolerance": (0 < given.tolerance < 1, "above 0, below 1"),
    "checkpoint_steps": (given.checkpoint_steps >= 0, "at least 0"),
    "derivation": (
      given.derivation in derivation.DERIVATIONS,
      ", ".join(derivation.DERIVATIONS),
    ),
    "samples": (given.samples >= 1, "at least 1"),
    "batch_size": (given.batch_size >= 1, "at least 1"),
  }
  for name, (legal, wanted) in checks.items():
    if not legal:
      raise ValueError(
        f"config.search.{name} is {given[name]!r}; legal: {wanted}"
      )
