"""Job `dnas`: from images and a target cost to a trained network.

Data, split in two; the search (`fbnax.search.dnas`); one network derived
from it; this network and random ones of the same cost trained from scratch,
without masks; one measurement of each on the test set; the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from fbnax.base import files
from fbnax.jobs.dnas import compare as dnas_compare
from fbnax.jobs.dnas import search as dnas_search
from fbnax.jobs.dnas.config import DnasConfig
from fbnax.jobs.dnas.result import (
  CandidateNetwork,
  Derived,
  DnasResult,
  EpochRow,
  PaidCost,
  StepMemory,
)
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import memory
from fbnax.report.schema import Choice, Space
from fbnax.training.progress import Progress

ARCHITECTURE = "architecture.json"


def run(config: DnasConfig, work: WorkDir, progress: Progress) -> DnasResult:
  """Searches, derives, and trains what is derived and random networks."""
  with work.phase("data"):
    task = dnas_search.task(config)
    check_memory(config.memory_options)
  space, search = task.price.space, config.search
  end = dnas_search.run(config, task, work, progress)
  derived = end.candidates[0]
  architecture = space.architecture(derived.genotype)
  files.write_atomically(
    work.path / ARCHITECTURE, architecture.to_json() + "\n"
  )
  with work.phase("memory"):
    memory_rows = measure_memory(config.memory_options, work)
  jax.clear_caches()  # Programs of the search; see `train_network`.
  with work.phase("random networks"):
    random = dnas_compare.random_networks(config, task.price, derived)
  members = dnas_compare.train(config, task, derived, random, work, progress)
  return DnasResult(
    dataset=task.facts,
    space=Space(
      space.name,
      space.size,
      tuple(Choice(d.name, d.values, d.categorical) for d in space.decisions),
    ),
    cost=PaidCost(
      task.price.kind,
      task.price.unit,
      task.range,
      search.target,
      search.tolerance,
    ),
    frozen_epochs=search.frozen_epochs,
    rows=tuple(EpochRow(**row._asdict()) for row in end.rows),
    candidates=tuple(CandidateNetwork(**vars(c)) for c in end.candidates),
    derived=Derived(**vars(derived), architecture=architecture),
    verdicts=dnas_compare.verdicts(config, task.price, end, random),
    skips=dnas_compare.skips(space, derived, random),
    memory=memory_rows,
    members=members,
    comparison=dnas_compare.compare(members),
  )


def lines(result: DnasResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  yield from result.verdicts
  for member in result.members:
    yield (
      f"{member.name}: {member.macs:,} MACs, {member.params:,} "
      f"parameters, test accuracy {member.test_accuracy:.4f}"
    )
  yield f"architecture: {folder / ARCHITECTURE}"


def check_memory(options: Sequence[int]) -> None:
  """Raises a ValueError for channel options that no space is built with."""
  for count in options:
    try:
      memory.channel_space(count)
    except ValueError as error:
      raise ValueError(f"config.memory_options: {error}") from None


def measure_memory(
  options: Sequence[int], work: WorkDir
) -> tuple[StepMemory, ...]:
  """Bytes of a step in both forms, measured or of an earlier start."""
  rows = work.kept(
    "memory.json",
    lambda: [
      {"form": form, **memory.step_bytes(form, count)._asdict()}
      for form in (memory.MASKS, memory.SEPARATE)
      for count in options
    ],
  )
  return tuple(StepMemory(**row) for row in rows)
