"""The page of the trees' tables: which hierarchy and which loss is better."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.nbdt_tables import charts
from fbnax.jobs.nbdt_tables.result import (
  CellSummary,
  Claim,
  SeedMean,
  TablesResult,
)
from fbnax.report import markup, training_charts
from fbnax.report.made import command, footer, made
from fbnax.report.markup import MISSING, escape, figure, percent, plural, whole
from fbnax.report.overview import absences
from fbnax.report.page import Section, page, shown


def draw(result: TablesResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  data = result.dataset.name or "an unnamed data set"
  return page(
    f"Decision trees on {data}: hierarchies and losses",
    "Neural-backed decision trees",
    sections(result),
    footer(result),
  )


def sections(result: TablesResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", _finding(result)),
    ("claims", "What the paper claims", _claims(result)),
    ("cells", "Hierarchy by loss", _cells(result)),
    ("all", "All combinations", _all(result)),
    ("unseen", "Superclasses of unseen classes", _superclasses(result)),
    (
      "times",
      "Where the time went",
      training_charts.times_figure(result, "Wall-clock time of each phase."),
    ),
    ("made", "How it was made", _made(result)),
  )


def label(cell: CellSummary) -> str:
  """A combination in words."""
  kind = cell.hierarchy.replace("_", " ")
  if cell.loss == "none":
    return f"{kind}, no tree loss"
  words = f"{kind}, {cell.loss} loss, {cell.schedule} weights"
  if cell.updates:
    words += (
      f", made after every {cell.updates[2]} of epochs {cell.updates[0]} to "
      f"{cell.updates[1]}"
    )
  return words


def verdict(claim: Claim) -> str:
  """Whether the seeds tell that the claim holds."""
  if claim.low is None or claim.high is None:
    return "not told apart"
  if claim.low > 0:
    return "holds"
  return "does not hold" if claim.high < 0 else "not told apart"


def _finding(result: TablesResult) -> str:
  cells = [c for c in result.summary.cells if not c.unseen]
  plain = next((c for c in cells if c.loss == "none"), None)
  trained = next((c for c in cells if c.loss != "none"), None)
  tiles = []
  if plain is not None:
    tiles.append((_mean(plain.network_accuracy), "plain network"))
  if trained is not None:
    words = f"{trained.hierarchy} hierarchy, {trained.loss} loss"
    tiles.append((_mean(trained.soft_accuracy), f"soft tree: {words}"))
    tiles.append((_mean(trained.hard_accuracy), f"hard tree: {words}"))
  if result.times.total is not None:
    tiles.append((markup.duration(result.times.total), "in all"))
  if not tiles:
    return '<p class="note">The result names no training.</p>'
  gain = trained.soft_accuracy_gain if trained is not None else SeedMean()
  words = ""
  if gain.mean is not None:
    told = "" if gain.low is None else f", 95% interval {_ends(gain)}"
    words = (
      f"<p>The soft tree is <strong>{100 * gain.mean:+.2f} points</strong> "
      f"from the plain network of the same seed (mean of "
      f"{plural(gain.units, 'seed')}{told}); the paper stays within 0.15 "
      "points on CIFAR-10.</p>"
    )
  return markup.tiles(*tiles) + words


def _claims(result: TablesResult) -> str:
  claims = [c for c in result.summary.claims if c.mean is not None]
  if not claims:
    return ""
  rows = [
    (
      escape(c.name),
      escape(c.table),
      _points(c.mean),
      f'<span class="whole">{_ends(c)}</span>',
      str(c.units),
      f'<span class="whole">{verdict(c)}</span>',
    )
    for c in claims
  ]
  head = ("Difference", "Table", "Points", "95% interval", "Seeds", "The claim")
  drawn = charts.differences([(c.name, c, c.values) for c in claims])
  return figure(
    drawn,
    "Test accuracy of the first less that of the second; to the right of the "
    "line is what the paper claims. Dots are seeds, the bar is the 95% "
    "interval over them: coloured where it leaves the line on one side.",
  ) + markup.table(head, rows)


def _cells(result: TablesResult) -> str:
  schedules = [c.schedule for c in result.summary.cells if c.schedule]
  main = schedules[0] if schedules else ""
  cells = [
    c
    for c in result.summary.cells
    if not c.unseen and not c.updates and c.schedule in ("", main)
  ]
  drawn = charts.matrices(cells)
  if drawn is None:
    return ""
  return figure(
    drawn,
    "Mean test accuracy by hierarchy and loss, darker is better: of soft "
    "inference (Tables 5.1 to 5.3), of hard inference (5.7, 5.8), and of the "
    "network itself without its tree (5.5). Below stands the difference to the "
    "plain network of the same seed, in points.",
  )


def _all(result: TablesResult) -> str:
  cells = [c for c in result.summary.cells if not c.unseen]
  if not cells:
    return ""
  rows = [
    (
      escape(label(c)),
      *(
        _mean(e) + _under(_points(g.mean), g)
        for e, g in (
          (c.soft_accuracy, c.soft_accuracy_gain),
          (c.hard_accuracy, c.hard_accuracy_gain),
          (c.network_accuracy, c.network_accuracy_gain),
        )
      ),
      str(c.seeds),
    )
    for c in cells
  ]
  head = ("Hierarchy and loss", "Soft tree", "Hard tree", "Network", "Seeds")
  drawn = charts.differences(
    [(label(c), c.soft_accuracy_gain, ()) for c in cells], "gains"
  )
  return (
    figure(
      drawn,
      "The soft tree's test accuracy less that of the plain network of the "
      "same seed, with 95% intervals over seeds.",
    )
    + markup.table(head, rows)
    + '<p class="note">Below each accuracy its difference to the plain '
    "network, in points, and the 95% interval of this over seeds.</p>"
  )


def _superclasses(result: TablesResult) -> str:
  rows = [
    (
      escape(
        f"{s.hierarchy}, "
        + ("no tree loss" if s.loss == "none" else f"{s.loss} loss")
      ),
      _mean(s.plain),
      _mean(s.plain_within),
      _mean(s.tree),
      _mean(s.plain_sum),
      _mean(s.tree_sum),
      *(
        _points(gain.mean) + f'<span class="under whole">{_ends(gain)}</span>'
        for gain in (s.gain, s.gain_within, s.gain_sum)
      ),
      f"{s.divided} of {s.seeds}",
    )
    for s in result.summary.superclasses
  ]
  if not rows:
    return ""
  unseen = result.config.get("unseen")
  named = ""
  if isinstance(unseen, dict):
    named = (
      f"Held out: {escape(unseen.get('classes', ''))}. Superclasses: "
      f"{escape(unseen.get('superclasses', ''))}. "
    )
  head = (
    "Trained with",
    "Network",
    "Network, within",
    "Tree",
    "Network, summed",
    "Tree, summed",
    "Tree less plain network",
    "less within",
    "less summed",
    "One node decides",
  )
  images = result.summary.superclasses[0].images
  return (
    f"<p>{named}Share of {whole(images)} test images of classes that were held "
    "out of training which are given their superclass (Table 5.6). The network "
    "says that of the class it predicts, which may have none; within: of the "
    "likeliest class that has one; the tree that of its node's "
    "decision where one node tells the superclasses apart, else the one with "
    "the larger sum of path probabilities. Summed: the larger sum for both.</p>"
    + markup.table(head, rows)
  )


def _made(result: TablesResult) -> str:
  rows = []
  data = result.dataset
  if data.source:
    rows.append(("Data", escape(data.source)))
  if data.train is not None and data.test is not None:
    rows.append(
      (
        "Images",
        f"{whole(data.train)} to train, {whole(data.test)} to test"
        + absences(data),
      )
    )
  if result.network:
    kind = result.network.get("kind", "network")
    name = result.config.get("architecture", "")
    side = result.network.get("resolution", MISSING)
    rows.append(("Network", escape(f"{name} ({kind}) at {side} pixels")))
  if result.config:
    text = escape(command("nbdt_tables.py", result.config))
    rows.append(("Command", f"<code>{text}</code>"))
  return made(rows, result.config) if rows else ""


def _mean(mean: SeedMean) -> str:
  return percent(mean.mean, 2)


def _points(value: float | None) -> str:
  return MISSING if value is None else f"{100 * value:+.2f}"


def _ends(mean: SeedMean) -> str:
  if mean.low is None or mean.high is None:
    return MISSING
  return f"{100 * mean.low:+.2f} to {100 * mean.high:+.2f}"


def _under(first: str, mean: SeedMean) -> str:
  words = first if mean.low is None else f"{first} ({_ends(mean)})"
  return f'<span class="under whole">{words}</span>'
