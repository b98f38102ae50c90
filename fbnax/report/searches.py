"""Searches compared on a table of trained networks: results and their blocks.

Two jobs leave such results: one compares searches that look up accuracies, one
differentiable searches, of which each derives a cell. What both have in common
is here: the dataclasses, the finding in words, a lane of dots for each method,
and the table of methods. A method has the same colour in all charts: that of
its place in the result.

A search is better than another where the two-sided test of Mann and Whitney
gives p < 0.05 and most pairs of seeds have it ahead. Accuracies are fractions
of 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fbnax.report import chart, markup
from fbnax.report.made import footer, made_by
from fbnax.report.markup import (
  MISSING,
  capital,
  escape,
  figure,
  percent,
  plural,
  short,
  whole,
)
from fbnax.report.page import Section, page
from fbnax.report.schema import JobResult, Rows, check_share, left_out

NAMES = {
  "naswot_10": "NASWOT (N = 10)",
  "naswot_100": "NASWOT (N = 100)",
  "naswot_1000": "NASWOT (N = 1000)",
  "area": "AREA",
  "area_moves": "AREA with scored moves",
  "nars": "NARS",
  "evolution": "regularized evolution",
  "random": "random search",
  "safe": "all safeguards",
  "bare": "no safeguards, as DARTS",
  "no_noise": "without Gumbel noise",
  "no_warmup": "without frozen epochs",
  "no_cost": "without a cost",
  "no_draws": "argmax in place of draws",
}
OURS = "nars"
SIGNIFICANT = 0.05
_LANE = 0.62  # Height of a lane of dots in inches.
_GOLDEN = 0.6180339887  # Spreads dots evenly, however many there are.


@dataclasses.dataclass(frozen=True)
class SearchEnd:
  """One search and the best of it, by validation accuracy.

  Attributes:
    method: its name.
    seed: its seed.
    evaluations: networks that it looked up.
    genotype: of the best.
    cost: of what was derived, MACs.
    target: the cost that was sought; 0 for none.
    most_likely: the likeliest choice of each decision at the end.
    entropy: how undecided theta was at the end, a share of the largest entropy.
    validation_accuracy: of the best.
    test_accuracy: of the best.
    test_curve: test accuracy of the best so far, at each evaluation.
    cell: what was derived, as the benchmark writes it.
  """

  method: str = ""
  seed: int | None = None
  evaluations: int | None = left_out()
  genotype: tuple[int, ...] | None = left_out()
  cost: float | None = left_out()
  target: float | None = left_out()
  most_likely: tuple[int, ...] | None = left_out()
  entropy: float | None = left_out()
  validation_accuracy: float | None = None
  test_accuracy: float | None = None
  test_curve: tuple[float | None, ...] | None = left_out()
  cell: str | None = left_out()


@dataclasses.dataclass(frozen=True)
class Spread:
  """Accuracies over seeds: their mean and sample deviation."""

  mean: float | None = None
  deviation: float | None = None


@dataclasses.dataclass(frozen=True)
class MethodSummary:
  """A method over its seeds.

  Attributes:
    method: its name.
    seeds: how many.
    mean: of the final test accuracies.
    deviation: of a sample; 0 where there is one seed.
    smallest: of the final test accuracies.
    largest: likewise.
    first: test accuracies after the first evaluation, where these are known.
    p_values: two-sided, by name of the other method.
  """

  method: str = ""
  seeds: int = 0
  mean: float | None = None
  deviation: float | None = None
  smallest: float | None = None
  largest: float | None = None
  first: Spread | None = None
  p_values: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SearchesResult(JobResult):
  """Everything that a page of searches is made of."""

  space: Rows = dataclasses.field(default_factory=Rows)
  best_test_accuracy: float | None = None
  searches: tuple[SearchEnd, ...] = ()
  summary: tuple[MethodSummary, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where an accuracy is no fraction of 1."""
    for i, search in enumerate(self.searches):
      check_share(f"searches[{i}].test_accuracy", search.test_accuracy)
      for j, share in enumerate(search.test_curve or ()):
        check_share(f"searches[{i}].test_curve[{j}]", share)


def name(method: str) -> str:
  """A method's name in words."""
  return NAMES.get(method, method)


def by_method(result: SearchesResult) -> dict[str, list[SearchEnd]]:
  """The searches of each method, in order."""
  searches: dict[str, list[SearchEnd]] = {}
  for search in result.searches:
    searches.setdefault(search.method, []).append(search)
  return searches


def ends(searches: Sequence[SearchEnd]) -> list[float]:
  """The final test accuracies that are known."""
  return [s.test_accuracy for s in searches if s.test_accuracy is not None]


def evaluations(result: SearchesResult) -> int:
  """Networks that a search looked up, 0 where none did."""
  return max((s.evaluations or 0 for s in result.searches), default=0)


def document(result: SearchesResult, sections: Sequence[Section]) -> str:
  """The whole page."""
  space = result.space.name
  return page(
    f"Searches compared on {space}" if space else "Searches compared",
    "Benchmark of searches on a table of trained networks",
    sections,
    footer(result, "benchmark"),
  )


def finding(
  result: SearchesResult,
  picture: str = "",
  gain: Callable[[MethodSummary, MethodSummary], str] = lambda *_: "",
) -> str:
  """What was found, as HTML.

  Args:
    result: whose first method, or NARS, is compared with the others.
    picture: behind the first sentence.
    gain: more words about a method and one that it is better than.
  """
  rows = [row for row in result.summary if row.mean is not None]
  if not rows:
    return "<p>The result holds no search.</p>"
  ours = next((row for row in rows if row.method == OURS), rows[0])
  words = "".join(
    f"<p>{_comparison(result, ours, other, gain)}</p>"
    for other in rows
    if other is not ours
  )
  return f"<p>{_lead(result, ours)}</p>{picture}{words}"


def _lead(result: SearchesResult, ours: MethodSummary) -> str:
  after = evaluations(result)
  opening = f"{capital(name(ours.method))} finds"
  if after:
    opening = (
      f"After {plural(after, 'evaluation')} {name(ours.method)} has found"
    )
  words = f"{escape(opening)} a test accuracy of <strong>{_mean(ours)}</strong>"
  if ours.seeds > 1:
    words += f" (mean and standard deviation of {ours.seeds} seeds)"
  elif ours.seeds:
    words += " (one seed)"
  if result.best_test_accuracy is not None:
    among = result.space.rows
    words += f"; the best of {'all ' + whole(among) if among else 'the table'}"
    words += f" has {percent(result.best_test_accuracy, 2)}"
    if ours.seeds > 1:
      some = at_best(result, ours)
      verb = "finds" if some == 1 else "find"
      words += f", which {some or 'none'} of the seeds {verb}"
  return words + "."


def _comparison(
  result: SearchesResult,
  ours: MethodSummary,
  other: MethodSummary,
  gain: Callable[[MethodSummary, MethodSummary], str],
) -> str:
  """Whether one method is better than another, in words, as HTML."""
  p, share = ours.p_values.get(other.method), ahead(result, ours, other)
  word = verdict(p, share)
  link = "than" if word in ("better", "worse") else "from"
  facts = []
  if p is not None:
    facts.append(f"p = {p_value(p)}, two-sided Mann–Whitney test")
  if share is not None:
    facts.append(f"ahead in {percent(share, 0)} of all pairs of seeds")
  return (
    f"{escape(capital(name(ours.method)))} is <strong>{word}</strong> {link} "
    f"{escape(name(other.method))}, which finds {_mean(other)}"
    + (f" ({'; '.join(facts)})" if facts else "")
    + "."
    + (gain(ours, other) if word == "better" else "")
  )


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
  result: SearchesResult, ours: MethodSummary, other: MethodSummary
) -> float | None:
  """Share of all pairs of seeds in which the first ends higher; ties half."""
  searches = by_method(result)
  first, second = (
    np.asarray(ends(searches.get(row.method, []))) for row in (ours, other)
  )
  if not first.size or not second.size:
    return None
  return float(np.mean((np.sign(first[:, None] - second) + 1) / 2))


def at_best(result: SearchesResult, row: MethodSummary) -> int:
  """Seeds of a method that end with the best of the table."""
  best = result.best_test_accuracy
  accuracies = ends(by_method(result).get(row.method, []))
  return 0 if best is None else sum(a >= best - 1e-9 for a in accuracies)


def _mean(row: MethodSummary) -> str:
  """`94.31 ± 0.19%`; without a deviation where there is one seed."""
  if row.mean is None or row.deviation is None or row.seeds < 2:
    return percent(row.mean, 2)
  return f"{100 * row.mean:.2f} ± {percent(row.deviation, 2)}"


def p_value(value: float | None) -> str:
  """A p-value to two digits."""
  return MISSING if value is None else markup.plain(float(f"{value:.1e}"))


def seeds(result: SearchesResult) -> str:
  """The end of every seed, as a picture, and the table of methods."""
  drawn = final(result)
  if drawn is None:
    return _table(result)
  words = "Every dot is one seed; the line across a row is its mean."
  if result.best_test_accuracy is not None:
    words += " Dashed: the best of the table."
  every = ends(result.searches)
  low = chart.floor(every)
  if far := sum(accuracy < low for accuracy in every):
    words += f" Triangles: {plural(far, 'seed')} before the start of the axis."
  return figure(drawn, words) + _table(result)


def _table(result: SearchesResult) -> str:
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
        "" if other == row.method else p_value(row.p_values.get(other))
        for other in methods
      ]
    rows.append(cells)
  head = ["method", "seeds", "test accuracy", "smallest", "largest"]
  head += ["find the best"] if has_best else []
  note = ""
  if compared:
    head += [f"p against {escape(name(other))}" for other in methods]
    note = (
      '<p class="note">p: two-sided test of Mann and Whitney, which assumes no '
      "distribution; not corrected for the number of comparisons.</p>"
    )
  return markup.table(head, rows) + note


def made(
  result: SearchesResult,
  evaluated: Sequence[tuple[str, str]],
  settings: Sequence[tuple[str, str]],
  learned: str,
) -> str:
  """How a result was made.

  Args:
    result: of the job.
    evaluated: facts of what was evaluated.
    settings: facts of the searches.
    learned: what a search learns of the table.
  """
  facts: list[tuple[str, str]] = []
  if table := result.config.get("table"):
    words = f"<code>{escape(table)}</code>"
    if result.space.rows is not None:
      words += f", {whole(result.space.rows)} genotypes"
      if result.space.name:
        words += f" of the space {escape(result.space.name)}"
    facts.append(("Table", words))
  facts += evaluated
  numbers = sorted({s.seed for s in result.searches if s.seed is not None})
  if numbers:
    words = f"{plural(len(numbers), 'seed')}: {', '.join(map(str, numbers))}"
    facts.append(("Seeds", words))
  facts += settings
  file = f"{result.config.get('job', 'benchmark')}.py"
  if not (rows := made_by(result, facts, file)):
    return ""
  return (
    f"<p>A search learns {learned} of the table. Test accuracies are looked up "
    f"once all searches have ended.</p>{rows}"
  )


def final(result: SearchesResult) -> str | None:
  """Final test accuracy of every seed, a lane for each method."""
  lanes = {
    i: (method, np.asarray(values, float))
    for i, (method, searches) in enumerate(by_method(result).items())
    if (values := ends(searches))
  }
  if not lanes:
    return None
  every = ends(result.searches)
  low = chart.floor(every)
  high = max([*every, result.best_test_accuracy or 0.0])
  with chart.style("chart-final"):
    drawing = chart.new(10.2, _LANE * len(lanes) + 0.8)
    axes = drawing.add_subplot()
    for y, (i, (_, lane)) in enumerate(lanes.items()):
      _lane(axes, y, lane, low, look(i)[0])
    best_line(axes.axvline, result)
    room = 0.03 * (high - low) or 1e-3
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    names = [short(name(method)) for method, _ in lanes.values()]
    axes.set_yticks(range(len(lanes)), names)
    axes.tick_params(axis="y", length=0, labelcolor=chart.INK)
    axes.grid(axis="y", visible=False)
    chart.percent_axis(axes.xaxis, "final test accuracy; right is better")
    label = "Final test accuracy of every seed, means: " + ", ".join(
      f"{name(method)} {percent(float(lane.mean()), 2)}"
      for method, lane in lanes.values()
    )
    return chart.svg(drawing, "chart-final", label)


def _lane(
  axes: Any, y: int, values: np.ndarray, low: float, colour: str
) -> None:
  spread = (np.arange(len(values)) * _GOLDEN % 1.0 - 0.5) * 0.56
  inside = values >= low
  for shown, x, marker in (
    (inside, values[inside], "o"),
    (~inside, np.full((~inside).sum(), low), "<"),
  ):
    axes.scatter(
      x,
      y + spread[shown],
      s=26,
      marker=marker,
      color=colour,
      alpha=0.6,
      linewidths=0,
      zorder=3,
    )
  mean = float(values.mean())
  if mean >= low:
    axes.plot([mean, mean], [y - 0.38, y + 0.38], color=chart.INK, zorder=4)
  chart.beside(axes, y, f"mean {percent(mean, 2)}")


def best_line(line: Callable[..., Any], result: SearchesResult) -> None:
  """Draws the dashed line of the best accuracy of the table."""
  best = result.best_test_accuracy
  if best is not None:
    line(
      best,
      color=chart.MUTED,
      linewidth=1.4,
      dashes=(5, 3),
      label=f"best of the table, {percent(best, 2)}",
    )


def look(place: int) -> tuple[str, Any]:
  """Colour and dashes of the method at that place."""
  return (
    chart.COLOURS[place % len(chart.COLOURS)],
    chart.DASHES[place // len(chart.COLOURS) % len(chart.DASHES)],
  )
