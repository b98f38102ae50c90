"""Job `profile`: the latency table of a space on this device.

Every part that a network of the space can have is measured by itself and saved
to `latency.json` in the work directory; then random networks are measured as a
whole and compared with the sums of the table.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from fbnax.base import records
from fbnax.base.ranks import correlations
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, keys, made_of_blocks
from fbnax.jobs.profile.config import ProfileConfig
from fbnax.jobs.profile.result import (
  MeasuredNetwork,
  PartKind,
  ProfileResult,
  SumAgreement,
)
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import profile as profiler
from fbnax.models.timing import TimingSettings, device
from fbnax.report.reading import parse
from fbnax.report.schema import Rows, as_json
from fbnax.spaces import SearchSpace
from fbnax.spaces.activations import NONLINEARITIES
from fbnax.spaces.kinds import KINDS
from fbnax.training.progress import Progress

TABLE = "latency.json"
_BEGUN = "parts.json"
_PARTS = "parts.jsonl"
_NETWORKS = "networks.jsonl"
# Seconds between two writings of the table.
_INTERVAL = 1.0


def run(
  config: ProfileConfig, work: WorkDir, progress: Progress
) -> ProfileResult:
  """Measures the table and the networks, or what is left of them."""
  if config.widths < 0 or config.widths == 1:
    raise ValueError(
      f"config.widths is {config.widths!r}; legal: 0 for all, or at least 2"
    )
  settings = TimingSettings(
    batch_size=config.batch_size,
    warmup=config.warmup,
    repeats=config.repeats,
    loops=config.loops,
    num_classes=config.num_classes,
  )
  space = inputs.space(
    inputs.NamedSpace(config.space, config.fix), config.input_channels
  )
  made_of_blocks(space.table)
  with work.phase("parts"):
    table = _parts(config.widths, space, settings, work, progress)
  table.check(space)
  with work.phase("networks"):
    networks = _networks(config, space, settings, table, work, progress)
  return ProfileResult(
    space=Rows(space.name, space.size),
    device=table.device,
    note=table.note,
    overhead=table.const,
    entries=len(table.entries),
    kinds=kinds(table),
    networks=networks,
    agreement=agreement(
      [n.predicted or 0.0 for n in networks],
      [n.measured or 0.0 for n in networks],
    ),
  )


def lines(result: ProfileResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  yield f"{folder / TABLE}: {result.entries} entries of {result.device}"
  error, rank = result.agreement.median_error, result.agreement.spearman
  if error is not None:
    yield (
      f"sums against {len(result.networks)} measured networks: "
      + ("" if rank is None else f"Spearman {rank:.3f}, ")
      + f"median relative error {100 * error:.1f}%, "
      f"measured / sum {result.agreement.ratio:.2f} (median)"
    )


def agreement(
  predicted: Sequence[float], measured: Sequence[float]
) -> SumAgreement:
  """How well sums tell what whole networks take; None where there are too few.

  Args:
    predicted: sums of the table, ms.
    measured: of the same networks, ms.
  """
  sums, times = np.asarray(predicted), np.asarray(measured)
  if not len(times) or not (sums > 0).all() or not (times > 0).all():
    return SumAgreement()
  ratio = float(np.median(times / sums))
  rank = None
  if len(set(predicted)) > 1 and len(set(measured)) > 1:
    rank = correlations(sums, times)[1]
  error, scaled = (
    float(np.median(np.abs(s - times) / times)) for s in (sums, ratio * sums)
  )
  return SumAgreement(rank, error, ratio, scaled)


def kinds(table: LatencyTable) -> tuple[PartKind, ...]:
  """What parts of each kind take, without regard to widths and sizes.

  Returns:
    The kind with the slowest median first.
  """
  times: dict[str, list[float]] = {}
  for key, entry in table.entries.items():
    times.setdefault(_kind(key), []).append(entry.ms)
  rows = [
    (statistics.median(of), name, len(of), min(of), max(of))
    for name, of in times.items()
  ]
  rows.sort(key=lambda row: -row[0])
  return tuple(
    PartKind(name, entries, fastest, median, slowest)
    for median, name, entries, fastest, slowest in rows
  )


def _kind(key: Key) -> str:
  if key.op in ("stem", "head"):
    return key.op
  kind = KINDS[key.op]
  if kind.passes:
    return f"{kind.label} with a change of shape"
  words = [f"kernel {key.kernel}", NONLINEARITIES[key.activation].label]
  if kind.legend:
    # What a drawing marks is named.
    words.insert(0, kind.label)
  if key.squeeze_excite:
    words.append("squeeze-excite")
  if key.groups > 1:
    words.append(f"{key.groups} groups")
  if key.c_mid == key.c_in:
    words.append("not expanded")
  return ", ".join(words)


def _parts(
  widths: int,
  space: SearchSpace,
  settings: TimingSettings,
  work: WorkDir,
  progress: Progress,
) -> LatencyTable:
  """The table; `latency.json` holds what was measured up to the last second.

  What a run goes on from are the records: the table without entries, and a row
  for each.
  """
  parts = profiler.wanted(space, widths)
  begun = records.read(work.path / _BEGUN)
  rows = records.open_rows(work.path / _PARTS)
  if begun is None and rows.values:
    # What the times were measured with is lost, and with it the times.
    rows.path.unlink()
    rows = records.open_rows(rows.path)
  if begun is None:
    table = profiler.begin(settings, widths)
  else:
    table = LatencyTable.from_json(begun)
  if table.device != device():
    raise ValueError(
      f"{work.path / TABLE} was begun on {table.device!r}, this is"
      f" {device()!r}; go on there, or choose another work directory"
    )
  entries = {
    key: Entry(*rows.values[key]) for key in parts if key in rows.values
  }
  rules = made_of_blocks(space.table)
  left = [key for key in parts if key not in entries]
  new: dict[Key, Entry] = {}
  saved = time.monotonic()

  def save() -> None:
    nonlocal begun
    if not entries:
      return
    if begun is None:
      begun = records.write(work.path / _BEGUN, table.to_json())
    rows.add(new)
    new.clear()
    dataclasses.replace(table, entries=entries).save(work.path / TABLE)

  done = len(parts) - len(left)
  with progress.phase("parts", len(parts), done) as advance:
    try:
      for key in left:
        entries[key] = new[key] = profiler.measure_part(
          rules, parts[key], settings, table.const
        )
        if time.monotonic() - saved > _INTERVAL:
          save()
          saved = time.monotonic()
        advance(1, part=_kind(key), ms=entries[key].ms)
    finally:
      save()
  return dataclasses.replace(table, entries=entries)


def _networks(
  config: ProfileConfig,
  space: SearchSpace,
  settings: TimingSettings,
  table: LatencyTable,
  work: WorkDir,
  progress: Progress,
) -> tuple[MeasuredNetwork, ...]:
  """Random networks, what they take, and what the table says."""
  if not config.networks:
    return ()
  genotypes = np.asarray(
    space.sample(jax.random.key(config.seed), config.networks)
  ).tolist()
  rows = records.open_rows(work.path / _NETWORKS)
  with progress.phase("networks", len(genotypes), len(rows.values)) as advance:
    for place, genotype in enumerate(genotypes):
      if place in rows.values:
        continue
      network = space.architecture(genotype)
      measured = profiler.measure_network(network, settings, table.const)
      parts = keys(network)
      between = [
        key for key in parts if key not in table.entries and not key.is_identity
      ]
      row = MeasuredNetwork(
        genotype=tuple(genotype),
        measured=measured.ms,
        spread=measured.spread,
        predicted=table.latency(network),
        interpolated=len(between) / len(parts),
      )
      rows.add({place: as_json(row)})
      advance(1, ms=row.measured, sum=row.predicted)
  return tuple(
    parse(MeasuredNetwork, rows.values[place])
    for place in range(len(genotypes))
  )
