"""The search of the job `dnas`: what it is asked, and its end on disk.

`search.json` holds what came of it, so that a job that is stopped while it
trains networks does not build the supernet again.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.costs import LatencyTable
from fbnax.data import Dataset
from fbnax.jobs.dnas.config import CostSearchKeys, DnasConfig
from fbnax.jobs.dnas.result import SearchedImages
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.networks import read_recipe
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import Supernet
from fbnax.search import dnas
from fbnax.search.dnas import derivation
from fbnax.search.dnas.derivation import DerivedNetwork
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
class DnasTask:
  """What is searched, and on which images.

  Attributes:
    dataset: all images.
    recipe: how networks are trained from scratch.
    problem: the search.
    price: what is paid.
    range: the least and the most that a network of the space costs.
    weights: images that the weights are trained on.
    theta: images that `theta` is trained on, and networks are chosen by.
    facts: for the result.
  """

  dataset: Dataset
  recipe: Recipe
  problem: SearchProblem
  price: Price
  range: tuple[float, float]
  weights: loop.Feed
  theta: loop.Feed
  facts: SearchedImages


class DnasEnd(NamedTuple):
  """What a search came to.

  Attributes:
    rows: of the epochs.
    candidates: networks that might be derived, the one to build first.
  """

  rows: list[dnas.SearchEpoch]
  candidates: list[DerivedNetwork]


def space(config: DnasConfig, channels: int, recipe: Recipe) -> SearchSpace:
  """The space; where it has decisions about the recipe, without them."""
  choice = inputs.NamedSpace(config.space, config.fix)
  whole = inputs.space(choice, channels)
  if any(whole.is_recipe(d) for d in whole.decisions):
    return whole.with_recipe(recipe)
  return whole


def task(config: DnasConfig) -> DnasTask:
  """Puts the search together; all that can be wrong is said here.

  Raises:
    ValueError: a value is not legal, the table lacks a block, or no network of
      the space costs the target.
  """
  keys = config.search
  dataset, recipe = inputs.dataset(config), read_recipe(config)
  searched = space(config, dataset.channels, recipe)
  table = LatencyTable.load(keys.table) if keys.table else None
  price = Price(searched, dataset.num_classes, keys.cost, table)
  plan = SearchPlan.of(keys)
  _check_target(keys, price)
  penalty = Penalty(
    keys.combination,
    keys.alpha,
    keys.beta,
    keys.omega,
    keys.target or _undecided_cost(price),
  )
  weights, theta = inputs.hold_out(config, dataset)
  facts = inputs.facts(dataset, weights, theta)
  classes = dataset.num_classes
  changes: dict[str, Any] = {}
  if keys.classes:
    weights, theta = (
      data.some_classes(s, keys.classes, classes, seed=config.seed)
      for s in (weights, theta)
    )
    classes = keys.classes
    changes["class_weights"] = inputs.weights_of_some(
      config.training.class_weights, weights.labels, classes
    )
  settings = inputs.settings(
    config,
    dataset,
    largest(int, searched.table.resolution),
    batch_size=keys.batch_size,
    epochs=plan.epochs,
    schedule="cosine",
    warmup_epochs=0.0,
    accumulate=1,
    **changes,
  )
  supernet = Supernet(
    searched,
    classes,
    single_path=plan.relaxation == "single_path",
    subsample=True,
    recompute=keys.recompute,
  )
  placed = loop.place(weights), loop.place(theta)
  return DnasTask(
    dataset,
    recipe,
    dnas.problem(Model(supernet), settings, price, penalty, plan, *placed),
    price,
    feasible(price),
    *placed,
    SearchedImages(**vars(facts), search_classes=classes),
  )


def run(
  config: DnasConfig, task: DnasTask, work: WorkDir, progress: Progress
) -> DnasEnd:
  """Searches and derives, or reads what an earlier start came to."""

  def search() -> dict[str, Any]:
    with work.phase("search"):
      searched = _search(config, task, work, progress)
    keys = config.search
    with work.phase("derivation"), progress.phase("derivation"):
      candidates = derivation.derive(
        task.problem,
        searched.state.variables,
        searched.state.theta,
        derivation.batches(task.problem, task.theta),
        derivation=keys.derivation,
        samples=keys.samples,
        allowed=derivation.band(keys.target, keys.tolerance),
        seed=config.seed,
      )
    rows = [row._asdict() for row in searched.rows]
    end = {"rows": rows, "candidates": candidates}
    # Another kind of machine among several may have derived another network.
    return agreeing.by_first(lambda: (end, {}))[0]

  end = work.kept(END, search)
  return DnasEnd(
    [dnas.SearchEpoch(**row) for row in end["rows"]],
    [
      DerivedNetwork(**{**row, "genotype": tuple(row["genotype"])})
      for row in end["candidates"]
    ],
  )


def _search(
  config: DnasConfig, task: DnasTask, work: WorkDir, progress: Progress
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
      measured = {k: v for k, v in values.items() if v is not None}
      writer.write(row.epoch, **measured, entropy=float(np.mean(entropies)))
      advance(1, loss=row.loss, expected=task.price.show(row.expected))

    return dnas.search(
      problem,
      dnas.start(
        problem, config.seed, task.dataset.channels, problem.settings.resolution
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


def _check_target(keys: CostSearchKeys, price: Price) -> None:
  is_sought = keys.combination == "target"
  checks = {
    "target": (
      keys.target > 0 or (keys.target == 0 and not is_sought),
      "a cost above 0"
      + ("" if is_sought else ", or 0 for none")
      + f", in {keys.cost}",
    ),
    "derivation": (
      keys.derivation in derivation.DERIVATIONS,
      ", ".join(derivation.DERIVATIONS),
    ),
  }
  for name, (is_legal, legal) in checks.items():
    if not is_legal:
      raise ValueError(
        f"config.search.{name} is {getattr(keys, name)!r}; legal: {legal}"
      )
  if keys.target:
    check_target(price, keys.target)
