"""Summaries of a study: means, paired differences, intervals. NumPy alone.

Every case is trained with the same seeds, in each run in which it occurs, so
cases are compared pair by pair: same run, same seed. The interval of a
difference is Student's, over the runs where there are two or more (each run
counts once, with the mean of its seeds), else over the seeds. The first says
how it would be with other data of the same kind, the second with another draw
of the starting weights alone.

A training that diverged has no log-loss. It is left out of the means, and
counted.

Symbols: `R` runs, `S` seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fbnax.base.intervals import CONFIDENCE, finite_mean, interval
from fbnax.jobs.study.plan import CaseKey, StudyComparison
from fbnax.jobs.study.result import (
  Against,
  CaseMean,
  CaseTraining,
  Estimate,
  PairedDifference,
  PairedEstimate,
  Summary,
)

# Each metric, and 1 where more of it is better, -1 where less is.
METRICS = {"test_log_loss": -1, "test_accuracy": 1}


def summarize(
  trainings: Sequence[CaseTraining],
  comparisons: Iterable[StudyComparison],
  notes: Sequence[str] = (),
) -> Summary:
  """Means and paired differences of a study.

  Args:
    trainings: all of them.
    comparisons: what is compared.
    notes: what the reader must know.
  """
  tables = {metric: tabulate(trainings, metric) for metric in METRICS}
  losses = tables["test_log_loss"]
  return Summary(
    confidence=CONFIDENCE,
    failed=sum(t.test_log_loss is None for t in trainings),
    means=tuple(
      CaseMean(
        group=key.group,
        name=key.name,
        trainings=int(np.isfinite(losses[key]).sum()),
        **{
          metric: Estimate(**interval(tables[metric][key])._asdict())
          for metric in METRICS
        },
      )
      for key in losses
    ),
    comparisons=tuple(
      PairedDifference(
        group=comparison.group,
        name=comparison.name,
        first=comparison.first,
        second=comparison.second,
        **{
          metric: _compared(tables[metric], comparison, metric)
          for metric in METRICS
        },
      )
      for comparison in comparisons
    ),
    notes=tuple(notes),
  )


def tabulate(
  trainings: Sequence[CaseTraining], metric: str
) -> dict[CaseKey, np.ndarray]:
  """One metric of all trainings by case.

  Args:
    trainings: all of them.
    metric: the name of a value.

  Returns:
    `f64[R, S]` for each case, runs and seeds in the order in which they occur;
    NaN where the case was not trained, or diverged.
  """
  runs = list(dict.fromkeys(t.run for t in trainings))
  seeds = list(dict.fromkeys(t.seed for t in trainings))
  table: dict[CaseKey, np.ndarray] = {}
  for training in trainings:
    key = CaseKey(training.group, training.name)
    values = table.setdefault(key, np.full((len(runs), len(seeds)), np.nan))
    if training.test_log_loss is not None:
      place = runs.index(training.run), seeds.index(training.seed)
      values[place] = getattr(training, metric)
  return table


def difference(
  table: Mapping[CaseKey, np.ndarray], comparison: StudyComparison
) -> np.ndarray:
  """The comparison at each run and seed, `f64[R, S]`; NaN where a term is."""
  return np.sum(
    [
      term.weight * finite_mean([table[key] for key in term.keys], axis=0)
      for term in comparison.terms
    ],
    axis=0,
  )


def against(
  table: Mapping[CaseKey, np.ndarray],
  one: CaseKey,
  others: Sequence[CaseKey],
  *,
  sign: int,
) -> Against:
  """One case among others that it competes with.

  Args:
    table: see `tabulate`.
    one: the case.
    others: what it competes with.
    sign: 1 where more is better, -1 where less is.

  Returns:
    `beats`, how many others are worse than it by the mean of their seeds, of
    `of` in all runs; `mean`, `median`, `best` and `worst` of the others, each
    the mean over runs. Where one has no value the run does not count.
  """
  mine = finite_mean(table[one], axis=1)
  theirs = np.stack([finite_mean(table[key], axis=1) for key in others], axis=1)
  both = np.isfinite(theirs) & np.isfinite(mine)[:, None]
  ahead = (sign * mine)[:, None] > sign * theirs
  rows = theirs[both.any(axis=1)]
  ranked = {
    "mean": [np.nanmean(row) for row in rows],
    "median": [np.nanmedian(row) for row in rows],
    "best": [sign * np.nanmax(sign * row) for row in rows],
    "worst": [sign * np.nanmin(sign * row) for row in rows],
  }
  return Against(
    beats=int((ahead & both).sum()),
    of=int(both.sum()),
    **{k: float(np.mean(v)) if v else None for k, v in ranked.items()},
  )


def _compared(
  table: Mapping[CaseKey, np.ndarray], comparison: StudyComparison, metric: str
) -> PairedEstimate:
  values = difference(table, comparison)
  first, *rest = comparison.terms
  among = None
  if len(rest) == 1 and len(first.keys) == 1 < len(rest[0].keys):
    among = against(table, first.keys[0], rest[0].keys, sign=METRICS[metric])
  return PairedEstimate(
    **interval(values)._asdict(),
    by_run=tuple(finite_mean(values, axis=1).tolist()),
    values=tuple(map(tuple, values.tolist())),
    against=among,
  )
