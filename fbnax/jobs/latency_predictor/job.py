"""Job `latency_predictor`: devices' latency from a few measured networks.

For each device and number of measurements every kind of predictor learns, from
what can be counted and from what other devices say, too (leave one device out),
and the kind is taken that does best on measurements it has not seen. Scores are
kept as they are made; what was learned from the most measurements is left as a
latency table, which differentiable searches take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fbnax import __version__, report
from fbnax.base import records
from fbnax.costs import LatencyTable
from fbnax.jobs.latency_predictor import data as latency_predictor_data
from fbnax.jobs.latency_predictor.data import Measured, file_name
from fbnax.jobs.runtime.workdir import open_workdir
from fbnax.search.latency import learning as latency_learning
from fbnax.search.latency.starts import Predict
from fbnax.training.progress import open_progress

SCHEMA_VERSION = 1
STARTS = ("scratch", "warm")
TABLES = "tables"
_POINTS = 200  # Of a picture.

Place = tuple[str, str, int, int]  # Device, start, count and seed of a score.


def run(config: Any, workdir: str) -> None:
  """Scores every predictor, or those that are left, and leaves tables."""
  data = latency_predictor_data.read(config)
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    rows = records.open_rows(
      work.path / "scores.jsonl", lambda key, _: isinstance(key, tuple)
    )
    kept = work.path / "checkpoints"
    for folder in (kept, work.path / TABLES):
      folder.mkdir(exist_ok=True)
    others = latency_predictor_data.others(config, data)
    wanted = [
      (device, start, count, seed)
      for device in data.devices
      for start in (STARTS if others[device] else STARTS[:1])
      for count in data.counts
      for seed in range(config.seed, config.seed + config.seeds)
    ]
    done = {
      place
      for place in wanted
      if place in rows.values and _has_table(config, data, kept, place)
    }
    with (
      open_progress() as progress,
      work.phase("scores"),
      progress.phase("scores", len(wanted), len(done)) as advance,
    ):
      for place in wanted:
        if place not in done:
          device, start, count, _ = place
          known = others[device] if start == "warm" else {}
          row = _score(config, data, known, kept, *place)
          if place not in rows.values:  # Or its table alone was lost.
            rows.add({place: row})
          advance(1, device=device, measurements=count)
    scores = [rows.values[place] for place in wanted]
    tables = [
      _table(config, data, scores, kept, work.path / TABLES, device)
      for device in data.devices
    ]
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "latency_predictor",
        "config": config.to_dict(),
        "space": {
          "name": data.space.name,
          "size": data.space.size,
          "rows": len(data.genotypes),
        },
        "held_out": data.held_out,
        "scores": scores,
        "tables": tables,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for table in tables:
    print(
      f"{work.path / table['file']}: {table['taken']} from {table['count']} "
      f"measurements, median error {100 * table['error']:.1f}%, rank "
      f"correlation {table['spearman']:.3f}"
    )
  print(f"report: {page}")


def _leaves_table(config: Any, data: Measured, place: Place) -> bool:
  """Whether what a place learns may become a device's table."""
  _, _, count, seed = place
  return count == data.counts[-1] and seed == config.seed


def _has_table(config: Any, data: Measured, kept: Path, place: Place) -> bool:
  """Whether the table of a place is there, or none is due."""
  if not _leaves_table(config, data, place):
    return True
  device, start, *_ = place
  return records.read(_kept(kept, device, start)) is not None


def _score(
  config: Any,
  data: Measured,
  others: Mapping[str, Predict],
  kept: Path,
  device: str,
  start: str,
  count: int,
  seed: int,
) -> dict[str, Any]:
  """All kinds by what they were not shown; keeps the table of the taken one.

  `validated` is the error by which a kind is chosen, on measurements that it
  did not learn from; `error` that on the networks held out from all.
  """
  train, test = data.split(seed, count)
  genotypes, latency = data.genotypes[train], data.columns[device][train]
  key = jax.random.key(seed)
  learned = latency_learning.learn(
    key,
    data.space,
    genotypes,
    latency,
    kinds=tuple(config.kinds),
    others=others,
  )
  kinds = []
  for kind, validated in learned.errors.items():
    predict = learned.predict
    if kind != learned.kind:
      predict, _ = latency_learning.fit(
        key, kind, data.space, genotypes, latency, others
      )
    found = latency_learning.agreement(
      predict(data.genotypes[test]), data.columns[device][test]
    )
    kinds.append({"kind": kind, "validated": validated, **found._asdict()})
  if _leaves_table(config, data, (device, start, count, seed)):
    table = latency_learning.as_table(
      data.space, learned.predict, device=device
    )
    records.write(_kept(kept, device, start), table.to_json())
  return {
    "device": device,
    "start": start,
    "count": count,
    "seed": seed,
    "taken": learned.kind,
    "kinds": kinds,
    "shares": learned.shares,
  }


def _kept(folder: Path, device: str, start: str) -> Path:
  return folder / f"{file_name(device)}.{start}.json"


def _table(
  config: Any,
  data: Measured,
  scores: Sequence[dict[str, Any]],
  kept: Path,
  folder: Path,
  device: str,
) -> dict[str, Any]:
  """Leaves the table of the start that did best, and says how good it is."""
  most = data.counts[-1]
  rows = [
    row
    for row in scores
    if (row["device"], row["count"], row["seed"]) == (device, most, config.seed)
  ]
  best = min(rows, key=_validated)
  table = LatencyTable.from_json(
    records.read(_kept(kept, device, best["start"]))
  )
  path = folder / f"{file_name(device)}.json"
  table.save(path)
  _, test = data.split(config.seed, most)
  # What searches will be told, which is not quite what the predictor says.
  said = np.asarray(table.batch(data.space, data.genotypes[test]), np.float64)
  measured = data.columns[device][test]
  found = latency_learning.agreement(said, measured)
  return {
    "device": device,
    "file": f"{TABLES}/{path.name}",
    "start": best["start"],
    "count": most,
    "taken": best["taken"],
    **found._asdict(),
    "predicted": said[:_POINTS],
    "measured": measured[:_POINTS],
  }


def _validated(row: dict[str, Any]) -> float:
  found: float = min(kind["validated"] for kind in row["kinds"])
  return found
