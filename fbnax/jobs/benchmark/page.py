"""The page of a benchmark: which search finds more, a picture, how it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fbnax.jobs.benchmark import charts
from fbnax.jobs.benchmark.result import BenchmarkResult
from fbnax.report import markup, searches
from fbnax.report.markup import capital, escape, figure, plural
from fbnax.report.page import shown
from fbnax.report.searches import OURS, MethodSummary, by_method, name


def draw(result: BenchmarkResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.

  def gain(ours: MethodSummary, other: MethodSummary) -> str:
    after = reached(result, ours, other)
    if after is None:
      return ""
    count = plural(searches.evaluations(result), "evaluation")
    return (
      f" On average it is where {escape(name(other.method))} ends after "
      f"{after} of the {count}."
    )

  return searches.document(
    result,
    shown(
      ("finding", "Finding", searches.finding(result, _picture(result), gain)),
      ("seeds", "Every seed", searches.seeds(result)),
      ("made", "How it was made", _made(result)),
    ),
  )


def reached(
  result: BenchmarkResult, ours: MethodSummary, other: MethodSummary
) -> int | None:
  """Evaluations after which the first's mean is where the second's ends."""
  by_name = by_method(result)
  first, second = (
    charts.curves(by_name.get(row.method, [])) for row in (ours, other)
  )
  if not first.size or not second.size:
    return None
  enough = np.flatnonzero(first.mean(axis=0) >= second.mean(axis=0)[-1])
  return int(enough[0]) + 1 if len(enough) else None


def _picture(result: BenchmarkResult) -> str:
  chart = charts.progress(result)
  if chart is None:
    return ""
  length = max(len(s.test_curve or ()) for s in result.searches)
  words = (
    "Test accuracy of what has the best validation accuracy so far, which is "
    "all that a search sees: mean over the seeds, and a standard deviation "
    f"to both sides, from evaluation {charts.first_drawn(length)} on."
  )
  settings = result.config.get("search")
  first = settings.get("first") if isinstance(settings, dict) else None
  if first and isinstance(first, int) and OURS in by_method(result):
    words += f" The first {first} evaluations of NARS are random."
  return figure(chart, words)


def _made(result: BenchmarkResult) -> str:
  config: dict[str, Any] = result.config
  evaluated, settings = [], []
  if count := searches.evaluations(result):
    words = f"{count:,} distinct genotypes in each search"
    epochs = config.get("epochs")
    if isinstance(epochs, int) and epochs > 1:
      words += f", their validation accuracies after {epochs} epochs"
    evaluated.append(("Evaluations", words))
  for method, group in ((OURS, "search"), ("evolution", "evolution")):
    keys = config.get(group)
    if method in by_method(result) and isinstance(keys, dict) and keys:
      words = ", ".join(
        f"{escape(key)} {escape(markup.plain(value))}"
        for key, value in keys.items()
      )
      settings.append((capital(name(method)), words))
  learned = "the validation accuracies of what it asks for, and nothing else"
  return searches.made(result, evaluated, settings, learned)
