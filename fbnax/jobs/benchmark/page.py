"""The page of a benchmark: which search finds more, a picture, how it came.

A search is better than another where the two-sided test of Mann and Whitney
gives p < 0.05 and most pairs of seeds have it ahead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fbnax.jobs.benchmark import charts as benchmark_charts
from fbnax.jobs.benchmark.charts import by_method, name
from fbnax.jobs.benchmark.result import (
  BenchmarkResult,
  MethodSummary,
  SearchEnd,
)
from fbnax.report import markup
from fbnax.report.made import command, made
from fbnax.report.markup import (
  MISSING,
  capital,
  escape,
  figure,
  percent,
  plural,
  whole,
)
from fbnax.report.page import Section, page

SIGNIFICANT = 0.05
OURS = "nars"


def draw(result: BenchmarkResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  space = result.space.name
  return page(
    f"Searches compared on {space}" if space else "Searches compared",
    "Benchmark of searches on a table of trained networks",
    sections(result),
    f"Written by fbnax.report from the benchmark's result.json (fbnax "
    f"{result.fbnax_version or 'of unknown version'}).",
  )


def sections(result: BenchmarkResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  found = [Section("finding", "Finding", finding(result))]
  for anchor, title, content in (
    ("seeds", "Every seed", _seeds(result)),
    ("cells", "What was derived", _cells(result)),
    ("made", "How it was made", _made(result)),
  ):
    if content:
      found.append(Section(anchor, title, content))
  return found


def finding(result: BenchmarkResult) -> str:
  """What was found, with the picture that shows it, as HTML."""
  rows = [row for row in result.summary if row.mean is not None]
  if not rows:
    return "<p>The result holds no search.</p>"
  ours = next((row for row in rows if row.method == OURS), rows[0])
  others = [row for row in rows if row is not ours]
  words = "".join(f"<p>{sentence(result, ours, other)}</p>" for other in others)
  return f"<p>{_lead(result, ours)}</p>{_picture(result)}{words}"


def _lead(result: BenchmarkResult, ours: MethodSummary) -> str:
  after = _evaluations(result)
  words = f"{capital(name(ours.method))} finds"
  if after:
    words = f"After {plural(after, 'evaluation')} {name(ours.method)} has found"
  found = f"{escape(words)} a test accuracy of <strong>{_mean(ours)}</strong>"
  if ours.seeds > 1:
    found += f" (mean and standard deviation of {ours.seeds} seeds)"
  elif ours.seeds:
    found += " (one seed)"
  if result.best_test_accuracy is not None:
    among = result.space.rows
    found += f"; the best of {'all ' + whole(among) if among else 'the table'}"
    found += f" has {percent(result.best_test_accuracy, 2)}"
    if ours.seeds > 1:
      some = at_best(result, ours)
      verb = "finds" if some == 1 else "find"
      found += f", which {some or 'none'} of the seeds {verb}"
  return found + "."


def sentence(
  result: BenchmarkResult, ours: MethodSummary, other: MethodSummary
) -> str:
  """Whether one method is better than another, in words, as HTML."""
  p, share = ours.p_values.get(other.method), ahead(result, ours, other)
  word = verdict(p, share)
  link = "than" if word in ("better", "worse") else "from"
  facts = []
  if p is not None:
    facts.append(f"p = {_p(p)}, two-sided Mann–Whitney test")
  if share is not None:
    facts.append(f"ahead in {percent(share, 0)} of all pairs of seeds")
  found = (
    f"{escape(capital(name(ours.method)))} is <strong>{word}</strong> {link} "
    f"{escape(name(other.method))}, which finds {_mean(other)}"
    + (f" ({'; '.join(facts)})" if facts else "")
    + "."
  )
  after = reached(result, ours, other)
  if after is not None and word == "better":
    found += (
      f" On average it is where {escape(name(other.method))} ends after "
      f"{after} of the {plural(_evaluations(result), 'evaluation')}."
    )
  return found


def verdict(p: float | None, share: float | None) -> str:
  """`better`, `worse` or `not told apart`.

  Args:
    p: of the test.
    share: of the pairs of seeds in which the first is ahead.
  """
  if p is None or share is None or p >= SIGNIFICANT or share == 0.5:
    return "not told apart"
  return "better" if share > 0.5 else "worse"


def ahead(
  result: BenchmarkResult, ours: MethodSummary, other: MethodSummary
) -> float | None:
  """Share of all pairs of seeds in which the first ends higher; ties half."""
  searches = by_method(result)
  first, second = (
    np.asarray(benchmark_charts.ends(searches.get(row.method, [])))
    for row in (ours, other)
  )
  if not first.size or not second.size:
    return None
  return float(np.mean((np.sign(first[:, None] - second) + 1) / 2))


def reached(
  result: BenchmarkResult, ours: MethodSummary, other: MethodSummary
) -> int | None:
  """Evaluations after which the first's mean is where the second's ends."""
  searches = by_method(result)
  first, second = (
    benchmark_charts.curves(searches.get(row.method, []))
    for row in (ours, other)
  )
  if not first.size or not second.size:
    return None
  enough = np.flatnonzero(first.mean(axis=0) >= second.mean(axis=0)[-1])
  return int(enough[0]) + 1 if len(enough) else None


def at_best(result: BenchmarkResult, row: MethodSummary) -> int:
  """Seeds of a method that end with the best of the table."""
  best = result.best_test_accuracy
  found = benchmark_charts.ends(by_method(result).get(row.method, []))
  return 0 if best is None else sum(value >= best - 1e-9 for value in found)


def _evaluations(result: BenchmarkResult) -> int:
  return max((s.evaluations or 0 for s in result.searches), default=0)


def _mean(row: MethodSummary) -> str:
  """`94.31 ± 0.19%`; without a deviation where there is one seed."""
  if row.mean is None or row.deviation is None or row.seeds < 2:
    return percent(row.mean, 2)
  return f"{100 * row.mean:.2f} ± {percent(row.deviation, 2)}"


def _p(value: float | None) -> str:
  """A p-value to two digits."""
  return MISSING if value is None else markup.plain(float(f"{value:.1e}"))


def _picture(result: BenchmarkResult) -> str:
  chart = benchmark_charts.progress(result)
  if chart is None:
    return ""
  length = max(len(s.test_curve) for s in result.searches)
  first = benchmark_charts.first_drawn(length)
  words = (
    "Test accuracy of what has the best validation accuracy so far, which is "
    "all that a search sees: mean over the seeds, and a standard deviation "
    f"to both sides, from evaluation {first} on."
  )
  drawn = _setting(result, "search", "first")
  if drawn and OURS in by_method(result):
    words += f" The first {drawn} evaluations of NARS are random."
  return figure(chart, words)


def _seeds(result: BenchmarkResult) -> str:
  chart = benchmark_charts.final(result)
  if chart is None:
    return _table(result)
  words = "Every dot is one seed; the line across a row is its mean."
  if result.best_test_accuracy is not None:
    words += " Dashed: the best of the table."
  far = benchmark_charts.hidden(result)
  if far:
    words += f" Triangles: {plural(far, 'seed')} before the start of the axis."
  return figure(chart, words) + _table(result)


def _table(result: BenchmarkResult) -> str:
  if not result.summary:
    return ""
  methods = [row.method for row in result.summary]
  compared = len(methods) > 1
  has_best = result.best_test_accuracy is not None
  rows = []
  for row in result.summary:
    cells = [
      f'<span class="whole">{escape(capital(name(row.method)))}</span>',
      whole(row.seeds),
      f'<span class="whole">{_mean(row)}</span>',
      percent(row.smallest, 2),
      percent(row.largest, 2),
      *([whole(at_best(result, row))] if has_best else []),
    ]
    if compared:
      cells += [
        "" if other == row.method else _p(row.p_values.get(other))
        for other in methods
      ]
    rows.append(cells)
  head = ["method", "seeds", "test accuracy", "smallest", "largest"]
  head += ["find the best"] if has_best else []
  found = ""
  if compared:
    head += [f"p against {escape(name(other))}" for other in methods]
    found = (
      '<p class="note">p: two-sided test of Mann and Whitney, which assumes no '
      "distribution; not corrected for the number of comparisons.</p>"
    )
  return markup.table(head, rows) + found


def _derived(result: BenchmarkResult) -> list[tuple[SearchEnd, str]]:
  """Searches that derived a cell, with it."""
  return [(s, s.cell) for s in result.searches if s.cell]


def _cells(result: BenchmarkResult) -> str:
  """What differentiable searches derived, beside what others fell to."""
  rows = [
    [
      f'<span class="whole">{escape(capital(name(s.method)))}</span>',
      MISSING if s.seed is None else str(s.seed),
      f"<code>{escape(cell).replace('+', '+<wbr>')}</code>",
      f'<span class="whole">{_skips(cell)}</span>',
      percent(s.test_accuracy, 2),
      percent(s.entropy, 0),
    ]
    for s, cell in _derived(result)
  ]
  if not rows:
    return ""
  head = ["search", "seed", "cell", "skips", "test accuracy", "entropy"]
  return (
    "<p>Published, by longer searches on all of CIFAR-10 (Dong and Yang 2020): "
    "DARTS falls to a cell of skips alone, 54.30%; GDAS reaches 93.51%.</p>"
    + markup.table(head, rows)
    + '<p class="note">Entropy: of theta at the end, as a share of the largest '
    "that it could have.</p>"
  )


def _skips(cell: str) -> str:
  return f"{cell.count('skip_connect')} of {cell.count('~')}"


def _made(result: BenchmarkResult) -> str:
  config, methods = result.config, by_method(result)
  rows = []
  if config.get("table"):
    words = f"<code>{escape(config['table'])}</code>"
    if result.space.rows is not None:
      words += f", {whole(result.space.rows)} genotypes"
      if result.space.name:
        words += f" of the space {escape(result.space.name)}"
    rows.append(("Table", words))
  if _evaluations(result):
    words = f"{_evaluations(result):,} distinct genotypes in each search"
    epochs = config.get("epochs")
    if isinstance(epochs, int) and epochs > 1:
      words += f", their validation accuracies after {epochs} epochs"
    rows.append(("Evaluations", words))
  seeds = sorted({s.seed for s in result.searches if s.seed is not None})
  if seeds:
    words = f"{plural(len(seeds), 'seed')}: {', '.join(map(str, seeds))}"
    rows.append(("Seeds", words))
  for method, group in ((OURS, "search"), ("evolution", "evolution")):
    settings = config.get(group)
    if method in methods and isinstance(settings, dict) and settings:
      words = ", ".join(
        f"{escape(key)} {escape(markup.plain(value))}"
        for key, value in settings.items()
      )
      rows.append((capital(name(method)), words))
  times = result.times
  if times.total is not None:
    rows.append(("Time", markup.time_spent(times.total, times.compiled)))
  if config:
    text = escape(command(f"{config.get('job', 'benchmark')}.py", config))
    rows.append(("Command", f"<code>{text}</code>"))
  if not rows:
    return ""
  learned = "the validation accuracies of what it asks for, and nothing else"
  if _derived(result):
    learned = "from images, and nothing"
  return (
    f"<p>A search learns {learned} of the table. Test accuracies are looked up "
    "once all searches have ended.</p>" + made(rows, config)
  )


def _setting(result: BenchmarkResult, group: str, key: str) -> Any:
  """A whole number of the config's group, or None."""
  found = result.config.get(group)
  value = found.get(key) if isinstance(found, dict) else None
  return value if isinstance(value, int) else None
