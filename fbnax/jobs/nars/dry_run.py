"""What a search and the training of its family would take.

Predictor, evolution and report are not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fbnax.data import Dataset
from fbnax.jobs.nars import round_loads, supernet, supernet_estimate
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.pool import Pool, draw_for, resolutions, shown
from fbnax.jobs.runtime import dry_run, estimates, inputs
from fbnax.jobs.runtime.dry_run import PartEstimate
from fbnax.jobs.runtime.estimates import FORWARD, Measured
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.search.budgets import Budget, cost_range

_ROW = 1000  # Bytes of a trial's row but its architecture, about.


def estimate(config: NarsConfig) -> Iterator[str]:
  """What is printed, line by line; some steps are measured."""
  images = dry_run.SplitDataset.of(config)
  yield from images.lines()
  dataset, train, validation = images.dataset, images.train, images.validation
  classes = dataset.num_classes
  network = supernet.read(config, dataset)
  space = supernet.space_of(config, dataset, network)
  reachable = cost_range(space, classes)
  yield (
    f"space: {space.name}, {space.size:,} points, "
    f"{len(space.decisions)} decisions"
  )
  for unit, (fewest, most) in (
    ("MACs", reachable.macs),
    ("parameters", reachable.params),
  ):
    yield f"  {fewest:,} to {most:,} {unit}"
  if config.search.classes:
    # Of images that are about evenly spread over the classes.
    share_of_classes = config.search.classes / classes
    train, validation = (
      round(count * share_of_classes) for count in (train, validation)
    )
  budgets = inputs.budgets(config, space, classes)
  pool = draw_for(config, space, classes, budgets)
  for budget in budgets:
    share = pool.inside(budget).mean()
    yield f"  {share:.1%} of a pool of {len(pool.macs):,} in {shown(budget)}"
  search = config.search
  candidates = sum(_rounds(config))
  # Those scaled from others are trained as well; what they cost is not known.
  scaled = len(config.budgets.scaled)
  members = len(budgets) + scaled
  trained, how = candidates, f"{search.epochs} epochs each at most"
  if config.evaluator == "shared":
    trained, how = 0, "measured by shared weights"
  yield (
    f"{trained + members} trainings: {search.rounds} rounds of "
    f"{' + '.join(map(str, _rounds(config)))} candidates, {how}; {members}"
    f" members, {config.training.epochs} epochs each"
  )
  number = trained * search.epochs * train
  number += members * config.training.epochs * len(dataset.train)
  yield f"  {number:,} images in all at most"
  parts: list[PartEstimate] = []
  evaluator = config.evaluator
  if network is not None:
    config = yield from supernet_estimate.lines(
      config, dataset, network, train, validation, parts
    )
  if evaluator in ("train", "ray"):
    yield from _search(config, dataset, pool, budgets, train, validation, parts)
  elif evaluator != "shared":
    yield (
      f"search: not estimated, since config.evaluator={evaluator!r} trains"
      " nothing here"
    )
  yield from _members(config, dataset, pool, budgets, parts)
  yield from dry_run.total(parts, dataset)


def _search(
  config: NarsConfig,
  dataset: Dataset,
  pool: Pool,
  budgets: Sequence[Budget],
  train: int,
  validation: int,
  parts: list[PartEstimate],
) -> Iterator[str]:
  """Candidates: the supernet's step at the smallest and largest resolution."""
  search = config.search
  drawn = pool.genotypes[pool.searched(budgets, search.macs)]
  used = sorted(set(resolutions(pool.space, drawn).tolist()))
  yield "measuring one step of the search (nothing is left of it) …"
  measured: list[Measured] = []
  population = np.resize(drawn, (search.population, drawn.shape[1]))
  for side in sorted({used[0], used[-1]}):
    settings = inputs.settings(config, dataset, side)
    measured.append(
      estimates.measure_population(pool.space, population, settings, dataset)
    )
    name = f"{search.population} candidates at {side} pixels"
    yield dry_run.measured_line(name, measured[-1], settings)
  running, compilation = 0.0, measured[0].start
  work = dry_run.steps(settings, train, validation)
  loads = round_loads.of_rounds(
    config, pool.space, drawn, dataset, train, _rounds(config)
  )
  for side, load in loads.items():
    found = estimates.at_resolution(measured, side)
    running += load.populations * search.epochs * work * found.step
    compilation += load.programs * found.compilation * (1 + FORWARD)
  row = len(pool.space.architecture(drawn[0]).to_json()) + _ROW
  trials = sum(_rounds(config))
  memory = max(m.memory for m in measured)
  parts.append(PartEstimate(running, compilation, memory, trials * row))
  programs = sum(load.programs for load in loads.values())
  name = f"search on one machine, {programs} programs, resolutions {used}"
  yield dry_run.part_line(f"{name}, without early stop", parts[-1])


def _members(
  config: NarsConfig,
  dataset: Dataset,
  pool: Pool,
  budgets: Sequence[Budget],
  parts: list[PartEstimate],
) -> Iterator[str]:
  """Members: the smallest and the largest are measured, others between."""
  chosen = sorted((pool.median(b) for b in budgets), key=lambda i: pool.macs[i])
  yield "measuring one step of the smallest and of the largest member …"
  measured: list[Measured] = []
  ends = list(dict.fromkeys((chosen[0], chosen[-1])))
  for index in ends:
    genotype = pool.genotypes[index]
    architecture = pool.space.architecture(genotype)
    settings = inputs.settings(
      config,
      dataset,
      architecture.resolution,
      epochs=max(config.training.epochs, 1),
    )
    recipe = pool.space.recipe(genotype)
    measured.append(
      estimates.measure_network(architecture, recipe, settings, dataset)
    )
    name = f"a network of {pool.macs[index]:,.0f} MACs"
    yield dry_run.measured_line(name, measured[-1], settings)
  points = [float(pool.macs[i]) for i in ends]
  total = PartEstimate()
  for place, index in enumerate(chosen):
    found = estimates.between(measured, points, float(pool.macs[index]))
    if place < len(chosen) - 1:  # The largest teaches the others.
      found = found._replace(step=found.step + FORWARD * measured[-1].step)
    held = config.training.calibration_images
    part = dry_run.training(found, settings, len(dataset.train) - held, held)
    if tree_settings.has_trees(config):  # Plainly, then with the tree.
      again = (config.tree.finetune_epochs or settings.epochs) / settings.epochs
      part = part.repeated(1 + again)
    total = PartEstimate(
      total.running + part.running,
      total.compilation + part.compilation,
      max(total.memory, part.memory),
      total.disk + part.disk,
    )
  parts.append(total)
  yield dry_run.part_line(f"{len(chosen)} members", total)
  if config.budgets.scaled:
    yield "  the scaled members are not in the estimate"
  if config.baselines:
    yield "  the baselines are not in the estimate"


def _rounds(config: NarsConfig) -> list[int]:
  """Candidates of each round; the first may have a number of its own."""
  search = config.search
  first = search.first or search.candidates
  return [first] + [search.candidates] * (search.rounds - 1)
