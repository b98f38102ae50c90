"""Job `profile`: the latency table of a space on this device.

Every part that a network of the space can have is measured by itself and saved
to `latency.json` in the work directory; then random networks are measured as a
whole and compared with the sums of the table.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np

from fbnax import __version__, report
from fbnax.base import records
from fbnax.base.ranks import correlations
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, keys, made_of_blocks
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.workdir import WorkDir, open_workdir
from fbnax.models import profile as profiler
from fbnax.models.timing import Settings, device
from fbnax.spaces import SearchSpace
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1
TABLE = "latency.json"
_BEGUN = "parts.json"
_PARTS = "parts.jsonl"
_NETWORKS = "networks.jsonl"
# Seconds between two writings of the table.
_INTERVAL = 1.0


def run(config: Any, workdir: str) -> None:
  """Measures the table and the networks, or what is left of them."""
  settings = _settings(config)
  space = inputs.space(
    inputs.SpaceChoice(config.space, config.fix), config.input_channels
  )
  made_of_blocks(space.table)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      with work.phase("parts"):
        table = _parts(config, space, settings, work, progress)
      table.check(space)
      with work.phase("networks"):
        networks = _networks(config, space, settings, table, work, progress)
    found = agreement(
      [n["predicted"] for n in networks], [n["measured"] for n in networks]
    )
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "profile",
        "config": config.to_dict(),
        "space": {"name": space.name, "size": space.size},
        "device": table.device,
        "note": table.note,
        "overhead": table.const,
        "entries": len(table.entries),
        "kinds": kinds(table),
        "networks": networks,
        "agreement": found,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  print(f"{work.path / TABLE}: {len(table.entries)} entries of {table.device}")
  if found["median_error"] is not None:
    rank = found["spearman"]
    print(
      f"sums against {len(networks)} measured networks: "
      + ("" if rank is None else f"Spearman {rank:.3f}, ")
      + f"median relative error {100 * found['median_error']:.1f}%, "
      f"measured / sum {found['ratio']:.2f} (median)"
    )
  print(f"report: {page}")


def agreement(
  predicted: list[float], measured: list[float]
) -> dict[str, float | None]:
  """How well sums tell what whole networks take.

  Args:
    predicted: sums of the table, ms.
    measured: of the same networks, ms.

  Returns:
    `spearman`, rank correlation; `median_error`, the median of |sum - measured|
    / measured; `ratio`, the median of measured / sum; `median_error_scaled`,
    the error of the sums times that ratio. None where there are too few.
  """
  names = ("spearman", "median_error", "ratio", "median_error_scaled")
  sums, times = np.asarray(predicted), np.asarray(measured)
  if not len(times) or not (sums > 0).all() or not (times > 0).all():
    return dict.fromkeys(names)
  ratio = float(np.median(times / sums))
  rank = None
  if len(set(predicted)) > 1 and len(set(measured)) > 1:
    rank = correlations(sums, times)[1]
  errors = [np.median(np.abs(s - times) / times) for s in (sums, ratio * sums)]
  values = (rank, float(errors[0]), ratio, float(errors[1]))
  return dict(zip(names, values, strict=True))


def kinds(table: LatencyTable) -> list[dict[str, Any]]:
  """What parts of each kind take, without regard to widths and sizes.

  Returns:
    For each kind its name, number of entries, and the fastest, median and
    slowest of them, ms, the slowest kind first.
  """
  times: dict[str, list[float]] = {}
  for key, entry in table.entries.items():
    times.setdefault(_kind(key), []).append(entry.ms)
  rows = [
    {
      "name": name,
      "entries": len(found),
      "fastest": min(found),
      "median": statistics.median(found),
      "slowest": max(found),
    }
    for name, found in times.items()
  ]
  return sorted(rows, key=lambda row: -row["median"])


def _kind(key: Key) -> str:
  if key.op in ("stem", "head", "skip"):
    return {"skip": "skip with a change of shape"}.get(key.op, key.op)
  words = [f"kernel {key.kernel}", key.activation]
  if key.squeeze_excite:
    words.append("squeeze-excite")
  if key.groups > 1:
    words.append(f"{key.groups} groups")
  if key.c_mid == key.c_in:
    words.append("not expanded")
  return ", ".join(words)


def _settings(config: Any) -> Settings:
  """Checks the whole config."""
  for key, least in (("networks", 0), ("input_channels", 1)):
    if config[key] < least:
      raise ValueError(
        f"config.{key} is {config[key]!r}; legal: at least {least}"
      )
  if config.widths < 0 or config.widths == 1:
    raise ValueError(
      f"config.widths is {config.widths!r}; legal: 0 for all, or at least 2"
    )
  names = [field.name for field in dataclasses.fields(Settings)]
  try:
    return Settings(**{name: config[name] for name in names})
  except ValueError as error:
    raise ValueError(f"config.{error}") from error


def _parts(
  config: Any,
  space: SearchSpace,
  settings: Settings,
  work: WorkDir,
  progress: Progress,
) -> LatencyTable:
  """The table; `latency.json` holds what was measured up to the last second.

  What a run goes on from are the records: the table without entries, and a row
  for each.
  """
  wanted = profiler.wanted(space, config.widths)
  begun = records.read(work.path / _BEGUN)
  rows = records.open_rows(work.path / _PARTS)
  if begun is None and rows.values:
    # What the times were measured with is lost, and with it the times.
    rows.path.unlink()
    rows = records.open_rows(rows.path)
  if begun is None:
    table = profiler.begin(settings, config.widths)
  else:
    table = LatencyTable.from_json(begun)
  if table.device != device():
    raise ValueError(
      f"{work.path / TABLE} was begun on {table.device!r}, this is"
      f" {device()!r}; go on there, or choose another work directory"
    )
  entries = {
    key: Entry(*rows.values[key]) for key in wanted if key in rows.values
  }
  rules = made_of_blocks(space.table)
  left = [key for key in wanted if key not in entries]
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

  done = len(wanted) - len(left)
  with progress.phase("parts", len(wanted), done) as advance:
    try:
      for key in left:
        entries[key] = new[key] = profiler.measure_part(
          rules, wanted[key], settings, table.const
        )
        if time.monotonic() - saved > _INTERVAL:
          save()
          saved = time.monotonic()
        advance(1, part=_kind(key), ms=entries[key].ms)
    finally:
      save()
  return dataclasses.replace(table, entries=entries)


def _networks(
  config: Any,
  space: SearchSpace,
  settings: Settings,
  table: LatencyTable,
  work: WorkDir,
  progress: Progress,
) -> list[dict[str, Any]]:
  """Random networks, what they take, and what the table says."""
  if not config.networks:
    return []
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
      own = keys(network)
      between = [k for k in own if k not in table.entries and not k.is_identity]
      row = {
        "genotype": genotype,
        "measured": measured.ms,
        "spread": measured.spread,
        "predicted": table.latency(network),
        "interpolated": len(between) / len(own),
      }
      rows.add({place: row})
      advance(1, ms=measured.ms, sum=row["predicted"])
  return [rows.values[place] for place in range(len(genotypes))]
