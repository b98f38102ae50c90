"""Means and paired differences of the job `nbdt_tables`. NumPy alone.

Cells of one seed start alike, so a cell is compared with the plain network of
the same seed, and two cells with each other; intervals are Student's, 95%, over
the seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fbnax.base.intervals import interval
from fbnax.jobs.nbdt_tables.result import (
  Cell,
  CellSummary,
  Claim,
  SeedMean,
  SuperclassSummary,
  TablesSummary,
  TrainedCell,
)
from fbnax.report.tree_schema import SuperclassShares

METRICS = ("network_accuracy", "soft_accuracy", "hard_accuracy")


def summarize(cases: Sequence[TrainedCell]) -> TablesSummary:
  """All cells, with their gains over the plain network of the same seed."""
  by_cell: dict[Cell, list[TrainedCell]] = {}
  for case in cases:
    by_cell.setdefault(case.cell, []).append(case)
  plain = [c for c in cases if c.loss == "none"]
  network = {(c.seed, c.unseen): c.network_accuracy for c in plain}
  answers = {
    c.seed: c.superclasses for c in plain if c.superclasses is not None
  }
  cells, superclasses = [], []
  for cell, trained in by_cell.items():
    before = _values(network.get((c.seed, c.unseen)) for c in trained)
    means: dict[str, Any] = {}
    for metric in METRICS:
      values = _values(getattr(c, metric) for c in trained)
      means[metric] = _mean(values)
      means[f"{metric}_gain"] = _mean(values - before)
    cells.append(CellSummary(**vars(cell), seeds=len(trained), **means))
    asked = [c for c in trained if c.superclasses is not None]
    if asked:
      superclasses.append(_asked(cell, asked, answers))
  claims = tuple(_claims(by_cell))
  return TablesSummary(
    tuple(cells), tuple(superclasses), claims, tuple(map(_said, claims))
  )


def _asked(
  cell: Cell,
  cases: Sequence[TrainedCell],
  baseline: Mapping[int, SuperclassShares],
) -> SuperclassSummary:
  """Means over seeds, and the gains over the plain network's answers."""
  shares = [c.superclasses for c in cases if c.superclasses is not None]
  trees = _values(s.tree for s in shares)
  means: dict[str, Any] = {
    name: _mean(_values(getattr(s, name) for s in shares))
    for name in ("plain", "plain_within", "tree", "plain_sum", "tree_sum")
  }
  for gain, answer in (
    ("gain", "plain"),
    ("gain_within", "plain_within"),
    ("gain_sum", "plain_sum"),
  ):
    before = _values(getattr(baseline.get(c.seed), answer, None) for c in cases)
    means[gain] = _mean(trees - before)
  return SuperclassSummary(
    **vars(cell),
    **means,
    seeds=len(shares),
    images=shares[0].images,
    divided=sum(s.node is not None for s in shares),
  )


def _claims(by_cell: Mapping[Cell, Sequence[TrainedCell]]) -> Iterator[Claim]:
  """The paper's orderings, each as a difference between two cells."""
  for name, table, one, other, metrics in _orderings(tuple(by_cell)):
    if one not in by_cell or other not in by_cell:
      continue
    theirs = {c.seed: c for c in by_cell[other]}
    values = [
      getattr(c, metrics[0]) - getattr(theirs[c.seed], metrics[1])
      for c in by_cell[one]
      if c.seed in theirs
    ]
    mean = vars(_mean(np.asarray(values, float)))
    yield Claim(**mean, name=name, table=table, values=tuple(values))


def _orderings(
  cells: Sequence[Cell],
) -> Iterator[tuple[str, str, Cell, Cell, tuple[str, str]]]:
  """Each claim: its name, the paper's table, two cells, and their metrics."""
  trained = [c for c in cells if c.loss != "none" and not c.unseen]
  if not trained:
    return
  main = trained[0]
  kind, loss, schedule = main.hierarchy, main.loss, main.schedule
  none = Cell(kind)
  soft, network, hard = "soft_accuracy", "network_accuracy", "hard_accuracy"
  yield (
    f"soft tree of the network trained with the {loss} loss, less the plain "
    "network",
    "5.1",
    main,
    none,
    (soft, network),
  )
  for other in dict.fromkeys(c.hierarchy for c in cells if not c.unseen):
    if other != kind:
      yield (
        f"{kind} less {other.replace('_', ' ')} hierarchy, soft tree, {loss} "
        "loss",
        "5.2",
        main,
        Cell(other, loss, schedule),
        (soft, soft),
      )
  yield (
    f"{loss} loss less none, soft tree",
    "5.3, 5.8",
    main,
    none,
    (soft, soft),
  )
  for cell in trained:
    if (cell.hierarchy, cell.schedule) == (kind, schedule) and (
      cell.loss != loss
    ):
      yield (
        f"{loss} less {cell.loss} loss, soft tree",
        "5.3, 5.8",
        main,
        cell,
        (soft, soft),
      )
  yield (
    f"growing less constant weights, soft tree, {loss} loss",
    "5.3",
    Cell(kind, loss, "growing"),
    Cell(kind, loss, "constant"),
    (soft, soft),
  )
  for cell in trained:
    if cell.updates:
      yield (
        "hierarchy of the trained network less hierarchies made in training, "
        "soft tree",
        "5.4",
        main,
        cell,
        (soft, soft),
      )
  yield (
    "network itself trained with the tree loss, less the plain network",
    "5.5",
    main,
    none,
    (network, network),
  )
  yield ("soft less hard inference", "5.7", main, main, (soft, hard))


def _said(claim: Claim) -> str:
  assert claim.mean is not None  # Of one seed or more.
  told = ""
  if claim.low is not None and claim.high is not None:
    told = f" ({100 * claim.low:+.2f} to {100 * claim.high:+.2f})"
  return (
    f"Table {claim.table}: {claim.name}: "
    f"{100 * claim.mean:+.2f}{told} points, {claim.units} seeds"
  )


def _values(values: Iterable[float | None]) -> np.ndarray:
  """`f64[n]`, NaN where there is none."""
  return np.asarray(list(values), float)


def _mean(values: np.ndarray) -> SeedMean:
  """The mean over seeds with its interval, None where there is none."""
  *numbers, units, over = interval(values[None])
  mean, low, high = (None if np.isnan(x) else x for x in numbers)
  return SeedMean(mean, low, high, units, over)
