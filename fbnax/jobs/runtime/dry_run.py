"""`--dry_run`: what a run would be and what it would take; leaves nothing.

Prints the config and then what the job's own `dry_run.estimate(config)` says:
the data set, what is trained, and estimates of time, memory and disk with what
each was made from. The steps that are measured (`fbnax.jobs.runtime.estimates`)
are of the programs that the run compiles; the rest is multiplication. What
estimates of several jobs share is below.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence

import jax
from ml_collections import config_dict

from fbnax.base.flat import flat
from fbnax.data import Dataset
from fbnax.jobs import JOBS
from fbnax.jobs.runtime import configs, estimates, inputs
from fbnax.jobs.runtime.estimates import FORWARD, Measured, duration, size
from fbnax.training import step
from fbnax.training.recipes import Settings

_KEPT = 2  # What `loop.Checkpointing` keeps of each member by default.


@dataclasses.dataclass(frozen=True)
class PartEstimate:
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

  def repeated(self, share: float) -> PartEstimate:
    """Two such parts, with `share` times the steps of one together."""
    rest = 2 * self.compilation, self.memory, 2 * self.disk
    return PartEstimate(share * self.running, *rest)


@dataclasses.dataclass(frozen=True)
class SplitDataset:
  """A data set, and images of its training split by what they are for."""

  dataset: Dataset
  train: int
  validation: int
  absences: tuple[str, ...]

  @classmethod
  def of(cls, config: inputs.DataConfig) -> SplitDataset:
    """The data set of a config."""
    dataset = inputs.dataset(config)
    train, validation = inputs.hold_out(config, dataset)
    absences = tuple(inputs.absences(dataset, validation))
    return cls(dataset, len(train), len(validation), absences)

  def lines(self) -> Iterator[str]:
    """What there is to say of it."""
    dataset, pixels = self.dataset, self.dataset.train.size
    shape = (
      (*pixels, dataset.channels) if pixels else "of several shapes, streamed"
    )
    yield f"data set: {dataset.source}"
    yield (
      f"  {len(dataset.train):,} training images ({self.train:,}, and "
      f"{self.validation:,} for validation), {len(dataset.test):,} test images,"
      f" {dataset.num_classes} classes, {shape}"
    )
    yield from (f"  {line}" for line in self.absences)


def run(config: config_dict.ConfigDict, workdir: str) -> None:
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


def lines(config: config_dict.ConfigDict) -> Iterator[str]:
  """What is printed, line by line.

  Raises:
    ValueError: as `run`.
  """
  settings = configs.typed(config)
  yield "config:"
  for key, value in flat(configs.as_dict(settings)).items():
    yield f"  {key} = {value!r}"
  estimate = JOBS[settings.job].estimate()
  if estimate is None:
    names = [repr(name) for name, job in JOBS.items() if job.estimate()]
    yield (f"job {settings.job!r} has no estimate; {' and '.join(names)} have")
    return
  yield from estimate(settings)


def training(
  measured: Measured, settings: Settings, train: int, validation: int
) -> PartEstimate:
  """One network's training from one step of it."""
  work = steps(settings, train, validation)
  return PartEstimate(
    running=settings.epochs * work * measured.step,
    compilation=measured.start + measured.compilation * (1 + FORWARD),
    memory=round(measured.memory),
    disk=round(_KEPT * measured.state + measured.weights),
  )


def steps(settings: Settings, train: int, validation: int) -> float:
  """The work of an epoch, as a number of training steps."""
  evaluated = math.ceil(validation / settings.batch_size)
  return step.steps_per_epoch(train, settings) + FORWARD * evaluated


def measured_line(name: str, measured: Measured, settings: Settings) -> str:
  """What a step took, and its program."""
  return (
    f"  measured on this {jax.devices()[0].device_kind}: one step of {name}, "
    f"{settings.batch_size} images each, took {measured.step:.3g} s, its"
    f" compilation {duration(measured.compilation)}, drawing the weights "
    f"{duration(measured.start)}"
  )


def part_line(name: str, part: PartEstimate) -> str:
  """What a part will take."""
  return (
    f"{name}: about {duration(part.running)}, and "
    f"{duration(part.compilation)} of compilation"
  )


def total(parts: Sequence[PartEstimate], dataset: Dataset) -> Iterator[str]:
  """What all parts will take."""
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
