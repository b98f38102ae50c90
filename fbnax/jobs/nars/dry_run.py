"""`--dry_run`: what a run would be and what it would take; leaves nothing.

Prints the config, the data set, the space, what is trained, and estimates of
time, memory and disk with what each was made from. The steps that are measured
(`fbnax.jobs.runtime.estimates`) are of the programs that the run compiles; the
rest is multiplication. Predictor, evolution and report are not estimated.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from fbnax import costs
from fbnax.base.flat import flat
from fbnax.data import Dataset
from fbnax.jobs.nars import round_loads
from fbnax.jobs.nars.pool import Pool, draw_for, resolutions, shown
from fbnax.jobs.runtime import estimates, inputs, networks
from fbnax.jobs.runtime.estimates import FORWARD, Measured, duration, size
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.search.budgets import Budget, cost_range
from fbnax.training import step
from fbnax.training.recipes import Settings

_KEPT = 2  # What `loop.Checkpointing` keeps of each member by default.
_ROW = 1000  # Bytes of a trial's row but its architecture, about.


@dataclasses.dataclass(frozen=True)
class Part:
  """The estimate of one part of a run.

  Attributes:
    running: seconds of training and evaluation.
    compilation: seconds of compilation.
    memory: bytes at a time.
    disk: bytes that are left.
  """

  running: float = 0.0
  compilation: float = 0.0
  memory: int = 0
  disk: int = 0

  def repeated(self, share: float) -> Part:
    """Two such parts, with `share` times the steps of one together."""
    rest = 2 * self.compilation, self.memory, 2 * self.disk
    return Part(share * self.running, *rest)


def run(config: Any, workdir: str) -> None:
  """Prints all lines as they are known.

  Args:
    config: of any job.
    workdir: where the run would leave its files; nothing is made there.

  Raises:
    ValueError: what the run itself would refuse before it trains anything.
  """
  del workdir
  for line in lines(config):
    print(line, flush=True)


def lines(config: Any) -> Iterator[str]:
  """What is printed, line by line.

  Raises:
    ValueError: as `run`.
  """
  yield "config:"
  for key, value in flat(config.to_dict()).items():
    yield f"  {key} = {value!r}"
  if config.job not in ("nars", "train"):
    yield f"job {config.job!r} has no estimate; 'nars' and 'train' have"
    return
  dataset = inputs.dataset(config)
  train, validation = inputs.hold_out(config, dataset)
  yield from _data_lines(dataset, len(train), len(validation))
  yield from (f"  {line}" for line in inputs.absences(dataset, validation))
  if config.job == "nars":
    yield from _nars(config, dataset, len(train), len(validation))
  else:
    yield from _train(config, dataset, len(train), len(validation))


def _data_lines(dataset: Dataset, train: int, validation: int) -> Iterator[str]:
  found = dataset.train.size
  shape = (*found, dataset.channels) if found else "of several shapes, streamed"
  yield f"data set: {dataset.source}"
  yield (
    f"  {len(dataset.train):,} training images ({train:,}, and {validation:,}"
    f" for validation), {len(dataset.test):,} test images, "
    f"{dataset.num_classes} classes, {shape}"
  )


def _train(
  config: Any, dataset: Dataset, train: int, validation: int
) -> Iterator[str]:
  architecture = dataclasses.replace(
    networks.at_resolution(
      networks.read_architecture(config.architecture), config.resolution
    ),
    input_channels=dataset.channels,
  )
  counted = costs.count(architecture, dataset.num_classes)
  settings = inputs.settings(config, dataset, architecture.resolution)
  yield (
    f"network: {config.architecture} at {architecture.resolution} pixels, "
    f"{counted.macs:,} MACs, {counted.params:,} parameters"
  )
  yield (
    f"1 training of {settings.epochs} epochs: {settings.epochs * train:,}"
    " images in all"
  )
  recipe = networks.read_recipe(config)
  yield "measuring one step (nothing is left of it) …"
  found = estimates.measure_network(architecture, recipe, settings, dataset)
  yield _measured_line("the network", found, settings)
  if config.teacher:
    yield "  the teacher's own work is not in the estimate"
  part = _training(found, settings, train, validation)
  yield _part_line("training", part)
  yield from _total([part], dataset)


def _nars(
  config: Any, dataset: Dataset, train: int, validation: int
) -> Iterator[str]:
  classes = dataset.num_classes
  space = inputs.space(config, dataset.channels)
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
  if config.search.get("classes", 0):
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
  scaled = len(config.budgets.get("scaled", ()))
  members = len(budgets) + scaled
  yield (
    f"{candidates + members} trainings: {search.rounds} rounds of "
    f"{' + '.join(map(str, _rounds(config)))} candidates, {search.epochs}"
    f" epochs each at most; {members} members, {config.training.epochs} epochs"
    " each"
  )
  images = candidates * search.epochs * train
  images += members * config.training.epochs * len(dataset.train)
  yield f"  {images:,} images in all at most"
  parts: list[Part] = []
  evaluator = config.get("evaluator", "train")
  if evaluator in ("train", "ray"):
    yield from _search(config, dataset, pool, budgets, train, validation, parts)
  else:
    yield (
      f"search: not estimated, since config.evaluator={evaluator!r} trains"
      " nothing here"
    )
  yield from _members(config, dataset, pool, budgets, parts)
  yield from _total(parts, dataset)


def _search(
  config: Any,
  dataset: Dataset,
  pool: Pool,
  budgets: Sequence[Budget],
  train: int,
  validation: int,
  parts: list[Part],
) -> Iterator[str]:
  """Candidates: the supernet's step at the smallest and largest resolution."""
  search = config.search
  drawn = pool.genotypes[pool.searched(budgets, search.get("macs", ()))]
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
    yield _measured_line(name, measured[-1], settings)
  running, compilation = 0.0, measured[0].start
  work = _steps(settings, train, validation)
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
  parts.append(Part(running, compilation, memory, trials * row))
  programs = sum(load.programs for load in loads.values())
  name = f"search on one machine, {programs} programs, resolutions {used}"
  yield _part_line(f"{name}, without early stop", parts[-1])


def _members(
  config: Any,
  dataset: Dataset,
  pool: Pool,
  budgets: Sequence[Budget],
  parts: list[Part],
) -> Iterator[str]:
  """Members: the smallest and the largest are measured, others between."""
  chosen = sorted((pool.median(b) for b in budgets), key=lambda i: pool.macs[i])
  yield "measuring one step of the smallest and of the largest member …"
  measured: list[Measured] = []
  ends = list(dict.fromkeys((chosen[0], chosen[-1])))
  for index in ends:
    genotype = pool.genotypes[index]
    architecture = pool.space.architecture(genotype)
    settings = inputs.settings(config, dataset, architecture.resolution)
    recipe = pool.space.recipe(genotype)
    measured.append(
      estimates.measure_network(architecture, recipe, settings, dataset)
    )
    name = f"a network of {pool.macs[index]:,.0f} MACs"
    yield _measured_line(name, measured[-1], settings)
  points = [float(pool.macs[i]) for i in ends]
  total = Part()
  for place, index in enumerate(chosen):
    found = estimates.between(measured, points, float(pool.macs[index]))
    if place < len(chosen) - 1:  # The largest teaches the others.
      found = found._replace(step=found.step + FORWARD * measured[-1].step)
    part = _training(found, settings, len(dataset.train), 0)
    if tree_settings.has_trees(config):  # Plainly, then with the tree.
      again = (config.tree.finetune_epochs or settings.epochs) / settings.epochs
      part = part.repeated(1 + again)
    total = Part(
      total.running + part.running,
      total.compilation + part.compilation,
      max(total.memory, part.memory),
      total.disk + part.disk,
    )
  parts.append(total)
  yield _part_line(f"{len(chosen)} members", total)
  if config.budgets.get("scaled", ()):
    yield "  the scaled members are not in the estimate"


def _rounds(config: Any) -> list[int]:
  """Candidates of each round; the first may have a number of its own."""
  search = config.search
  first = search.get("first", 0) or search.candidates
  return [first] + [search.candidates] * (search.rounds - 1)


def _training(
  found: Measured, settings: Settings, train: int, validation: int
) -> Part:
  """One network's training from one step of it."""
  work = _steps(settings, train, validation)
  return Part(
    running=settings.epochs * work * found.step,
    compilation=found.start + found.compilation * (1 + FORWARD),
    memory=round(found.memory),
    disk=round(_KEPT * found.state + found.weights),
  )


def _steps(settings: Settings, train: int, validation: int) -> float:
  """The work of an epoch, as a number of training steps."""
  evaluated = math.ceil(validation / settings.batch_size)
  return step.steps_per_epoch(train, settings) + FORWARD * evaluated


def _measured_line(name: str, found: Measured, settings: Settings) -> str:
  return (
    f"  measured on this {jax.devices()[0].device_kind}: one step of {name}, "
    f"{settings.batch_size} images each, took {found.step:.3g} s, its"
    f" compilation {duration(found.compilation)}, drawing the weights "
    f"{duration(found.start)}"
  )


def _part_line(name: str, part: Part) -> str:
  return (
    f"{name}: about {duration(part.running)}, and "
    f"{duration(part.compilation)} of compilation"
  )


def _total(parts: Sequence[Part], dataset: Dataset) -> Iterator[str]:
  running = sum(p.running for p in parts)
  compilation = sum(p.compilation for p in parts)
  memory = max(p.memory for p in parts) + estimates.images_bytes(dataset)
  yield (
    f"in all about {duration(running + compilation)}, of which "
    f"{duration(compilation)} compilation (less where a run has left programs"
    " in the cache); a batch of evaluation counted as a third of a step;"
    " without predictor, evolution and report"
  )
  load, cores = os.getloadavg()[0], os.cpu_count() or 1
  if load > cores + 0.5:  # This process is one of them.
    yield (
      f"  measured on a busy machine (load {load:.1f} on {cores} cores): an"
      " idle one takes less"
    )
  if dataset.train.size is None:
    yield "  images are streamed; reading and decoding them is not in it"
  yield (
    f"memory: about {size(memory)} for the largest program and the images on"
    " the device, as the compiler counts it"
  )
  yield (
    f"disk: about {size(sum(p.disk for p in parts))}: {_KEPT} checkpoints and"
    " the weights of each network, and the trials"
  )
