"""Job `latency_predictor`: devices' latency from a few measured networks.

For each device and number of measurements every kind of predictor learns, from
what can be counted and from what other devices say, too (leave one device out),
and the kind is taken that does best on measurements it has not seen. Scores are
kept as they are made; what was learned from the most measurements is left as a
latency table, which differentiable searches take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from fbnax.base import records
from fbnax.costs import LatencyTable
from fbnax.jobs.latency_predictor import data as measurements
from fbnax.jobs.latency_predictor.config import LatencyPredictorConfig
from fbnax.jobs.latency_predictor.data import Measurements, file_name
from fbnax.jobs.latency_predictor.result import (
  DeviceTable,
  KindScore,
  LatencyResult,
  LatencyScore,
)
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report.reading import parse
from fbnax.report.schema import Rows, as_json
from fbnax.search.latency import learning as latency_learning
from fbnax.search.latency.starts import Predict
from fbnax.training.progress import Progress

STARTS = ("scratch", "warm")
TABLES = "tables"
_KEPT = "checkpoints"
_POINTS = 200  # Of a picture.

Place = tuple[str, str, int, int]  # Device, start, count and seed of a score.


def run(
  config: LatencyPredictorConfig, work: WorkDir, progress: Progress
) -> LatencyResult:
  """Scores every predictor, or those that are left, and leaves tables."""
  data = measurements.read(config)
  for name in (_KEPT, TABLES):
    (work.path / name).mkdir(exist_ok=True)
  others = measurements.others(config, data)
  with work.phase("scores"):
    scores = _scores(config, data, others, work.path, progress)
  return LatencyResult(
    space=Rows(data.space.name, data.space.size, len(data.genotypes)),
    held_out=data.held_out,
    scores=scores,
    tables=tuple(
      _table(config, data, scores, work.path, device) for device in data.devices
    ),
  )


def lines(result: LatencyResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  for table in result.tables:
    yield (
      f"{folder / table.file}: {table.taken} from {table.count} "
      f"measurements, median error {100 * (table.error or 0):.1f}%, rank "
      f"correlation {table.spearman:.3f}"
    )


def _scores(
  config: LatencyPredictorConfig,
  data: Measurements,
  others: Mapping[str, Mapping[str, Predict]],
  folder: Path,
  progress: Progress,
) -> tuple[LatencyScore, ...]:
  """The scores of all places, each kept as it is made."""
  places = [
    (device, start, count, seed)
    for device in data.devices
    for start in (STARTS if others[device] else STARTS[:1])
    for count in data.counts
    for seed in range(config.seed, config.seed + config.seeds)
  ]
  rows = records.open_rows(
    folder / "scores.jsonl", lambda key, _: isinstance(key, tuple)
  )
  left = [
    place
    for place in places
    if place not in rows.values or not _has_table(config, data, folder, place)
  ]
  done = len(places) - len(left)
  with progress.phase("scores", len(places), done) as advance:
    for place in left:
      device, start, count, _ = place
      known = others[device] if start == "warm" else {}
      score = _score(config, data, known, folder, *place)
      if place not in rows.values:  # Or its table alone was lost.
        rows.add({place: as_json(score)})
      advance(1, device=device, measurements=count)
  return tuple(parse(LatencyScore, rows.values[place]) for place in places)


def _leaves_table(
  config: LatencyPredictorConfig, data: Measurements, place: Place
) -> bool:
  """Whether what a place learns may become a device's table."""
  _, _, count, seed = place
  return count == data.counts[-1] and seed == config.seed


def _has_table(
  config: LatencyPredictorConfig, data: Measurements, folder: Path, place: Place
) -> bool:
  """Whether the table of a place is there, or none is due."""
  if not _leaves_table(config, data, place):
    return True
  device, start, *_ = place
  return records.read(_kept(folder, device, start)) is not None


def _score(
  config: LatencyPredictorConfig,
  data: Measurements,
  others: Mapping[str, Predict],
  folder: Path,
  device: str,
  start: str,
  count: int,
  seed: int,
) -> LatencyScore:
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
    kinds=config.kinds,
    others=others,
  )
  kinds = []
  for kind, validated in learned.errors.items():
    predict = learned.predict
    if kind != learned.kind:
      predict, _ = latency_learning.fit(
        key, kind, data.space, genotypes, latency, others
      )
    agreement = latency_learning.agreement(
      predict(data.genotypes[test]), data.columns[device][test]
    )
    kinds.append(KindScore(kind, validated, *agreement))
  if _leaves_table(config, data, (device, start, count, seed)):
    table = latency_learning.as_table(
      data.space, learned.predict, device=device
    )
    records.write(_kept(folder, device, start), table.to_json())
  return LatencyScore(
    device=device,
    start=start,
    count=count,
    seed=seed,
    taken=learned.kind,
    kinds=tuple(kinds),
    shares=dict(learned.shares),
  )


def _kept(folder: Path, device: str, start: str) -> Path:
  return folder / _KEPT / f"{file_name(device)}.{start}.json"


def _table(
  config: LatencyPredictorConfig,
  data: Measurements,
  scores: Sequence[LatencyScore],
  folder: Path,
  device: str,
) -> DeviceTable:
  """Leaves the table of the start that did best, and says how good it is."""
  most = data.counts[-1]
  best = min(
    (
      score
      for score in scores
      if (score.device, score.count, score.seed) == (device, most, config.seed)
    ),
    key=lambda score: min(_validated(kind) for kind in score.kinds),
  )
  table = LatencyTable.from_json(
    records.read(_kept(folder, device, best.start))
  )
  file = f"{TABLES}/{file_name(device)}.json"
  table.save(folder / file)
  _, test = data.split(config.seed, most)
  # What searches will be told, which is not quite what the predictor says.
  sums = np.asarray(table.batch(data.space, data.genotypes[test]), np.float64)
  measured = data.columns[device][test]
  error, rank = latency_learning.agreement(sums, measured)
  return DeviceTable(
    device=device,
    file=file,
    start=best.start,
    count=most,
    taken=best.taken,
    error=error,
    spearman=rank,
    predicted=tuple(sums[:_POINTS].tolist()),
    measured=tuple(measured[:_POINTS].tolist()),
  )


def _validated(kind: KindScore) -> float:
  return math.inf if kind.validated is None else kind.validated
