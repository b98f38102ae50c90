"""The page of a differentiable search, from theta to the trained network."""

from __future__ import annotations

from pathlib import Path

from fbnax.base.cost_kinds import measured
from fbnax.jobs.dnas import charts as dnas_charts
from fbnax.jobs.dnas.result import DnasResult
from fbnax.report import drawing, markup, training_charts
from fbnax.report.made import command, footer, made
from fbnax.report.markup import count, escape, figure, percent, plural, whole
from fbnax.report.overview import absences
from fbnax.report.page import Section, page, shown
from fbnax.report.schema import Result


def draw(result: DnasResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  return page(
    f"A network for {result.dataset.name or 'an unnamed data set'}",
    "Differentiable architecture search",
    sections(result),
    footer(result),
  )


def sections(result: DnasResult) -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", _finding(result)),
    ("network", "The derived network", _network(result)),
    ("compared", "Beside random networks", _compared(result)),
    ("course", "The course of the search", _course(result)),
    ("theta", "What theta came to prefer", _theta(result)),
    ("candidates", "Candidates", _candidates(result)),
    ("memory", "Memory", _memory(result)),
    ("training", "Training from scratch", _training(result)),
    ("times", "Where the time went", training_charts.times_figure(result)),
    ("made", "How it was made", _made(result)),
  )


def cost(result: DnasResult, value: float | None) -> str:
  """A cost of the search as one reads it."""
  if value is None:
    return markup.MISSING
  if kind := measured(result.cost.kind):
    return f"{markup.significant(value)} {kind.unit}"
  return f"{count(value)} {result.cost.unit}"


def _finding(result: DnasResult) -> str:
  tiles = []
  if result.comparison.derived is not None:
    tiles.append((percent(result.comparison.derived), "test accuracy"))
  if result.derived.cost is not None:
    tiles.append((cost(result, result.derived.cost), "of one image"))
  if result.cost.target:
    tiles.append((cost(result, result.cost.target), "asked for"))
  if result.times.total is not None:
    tiles.append((markup.duration(result.times.total), "in all"))
  paragraphs = [against_random(result), *map(escape, result.verdicts)]
  words = "".join(f"<p>{text}</p>" for text in paragraphs if text)
  return (
    markup.tiles(*tiles) + words
    or '<p class="note">The result names no network.</p>'
  )


def against_random(result: DnasResult) -> str:
  """Whether the search was worth it, in words, as HTML; empty if not known."""
  compared = result.comparison
  random = [r for r in compared.random if r is not None]
  if compared.derived is None or compared.random_mean is None or not random:
    return ""
  gap = 100 * (compared.derived - compared.random_mean)
  beaten = sum(r < compared.derived for r in random)
  side = "above" if gap > 0 else "below"
  return (
    f"The derived network is <strong>{abs(gap):.1f} points {side}</strong> the "
    f"mean of {plural(len(random), 'random network')} of the same cost, "
    f"trained alike, and better than {beaten} of them; the best of them has "
    f"{percent(compared.random_best)}."
  )


def _network(result: DnasResult) -> str:
  architecture = result.derived.architecture
  if architecture is None:
    return ""
  label = (
    f"The derived network: {len(architecture.blocks)} blocks at "
    f"{architecture.resolution} pixels"
  )
  words = (
    "A bar is a block: its colour the kernel, its height the expansion, its "
    "width the output channels. Dotted lines begin a stage."
  )
  skips = result.skips
  if skips is not None and skips.layers:
    words += (
      f" Of {plural(skips.layers, 'searched layer')} "
      f"{skips.derived or 'none'} {'is' if skips.derived == 1 else 'are'} "
      "skipped."
    )
  return (
    drawing.legend([architecture])
    + figure(drawing.draw(architecture, "network-derived", label), words)
    + markup.details(
      "architecture as JSON, for configs/train.py",
      f"<pre>{escape(architecture.to_json())}</pre>",
    )
  )


def _compared(result: DnasResult) -> str:
  if not result.members:
    return ""
  rows = [
    [
      escape(m.name),
      percent(m.test_accuracy, 2),
      markup.number(m.test_log_loss),
      cost(result, m.cost),
      count(m.macs),
      count(m.params),
      markup.plain(m.epochs),
    ]
    for m in result.members
  ]
  head = [
    "network",
    "test accuracy",
    "log-loss",
    "cost",
    "MACs",
    "parameters",
    "epochs",
  ]
  chart = dnas_charts.networks(result)
  picture = ""
  if chart is not None:
    images = result.dataset.test
    on = f" on {whole(images)} test images" if images else ""
    picture = figure(
      chart,
      f"Accuracy{on}. Random networks are drawn from the same space within the "
      "tolerance of the derived one's cost, and trained by the same recipe.",
    )
  return picture + markup.table(head, rows)


def _course(result: DnasResult) -> str:
  chart = dnas_charts.course(result)
  if chart is None:
    return ""
  frozen = sum(r.theta_loss is None for r in result.rows)
  words = (
    "An epoch trains the weights on one part of the images, then theta on the "
    "other. The expected cost is that of softmax(theta), the other that of the "
    "network which takes the likeliest choice everywhere."
  )
  if frozen:
    words += f" Theta is frozen in the first {plural(frozen, 'epoch')}."
  return figure(chart, words)


def _theta(result: DnasResult) -> str:
  return figure(
    dnas_charts.probabilities(result),
    "Each panel is a decision, each line of it a choice, from the first epoch "
    "at the left to the last; dark is likely. What the derived network has is "
    "named in bold.",
  )


def _candidates(result: DnasResult) -> str:
  measured = [c for c in result.candidates if c.loss is not None]
  if len(measured) < 2:
    return ""
  rows = [
    [
      str(i),
      cost(result, c.cost),
      markup.number(c.loss),
      percent(c.accuracy),
    ]
    for i, c in enumerate(measured, 1)
  ]
  head = ["", "cost", "loss under shared weights", "accuracy under them"]
  return (
    "<p>Networks drawn by theta, near the target where there is one, judged by "
    "the supernet's weights on the images theta was trained on. The first was "
    "derived.</p>" + markup.table(head, rows)
  )


def _memory(result: DnasResult) -> str:
  chart = dnas_charts.memory(result)
  if chart is None:
    return ""
  parts = []
  for form, words in dnas_charts.FORMS.items():
    rows = dnas_charts.memory_of(result, form)
    if len(rows) > 1:
      (first, least), (last, most) = rows[0], rows[-1]
      grown = most / least
      much = percent(grown - 1, 3) if grown < 1.1 else f"{grown:.1f} times"
      parts.append(
        f"{words}: {much} {'more' if grown < 1.1 else 'as much'} with "
        f"{plural(last, 'option')} {'than' if grown < 1.1 else 'as'} with "
        f"{first}"
      )
  return figure(
    chart,
    "What XLA plans for a training step of a small supernet, where each block "
    "chooses among so many numbers of channels. With masks all options share "
    f"one block's weights and maps. {markup.capital('; '.join(parts))}.",
  )


def _training(result: DnasResult) -> str:
  return figure(
    training_charts.curves(Result(members=result.members)),
    "All networks have the same recipe.",
  )


def _made(result: DnasResult) -> str:
  rows = []
  data = result.dataset
  if data.source:
    rows.append(("Data", escape(data.source)))
  if data.train is not None and data.validation is not None:
    rows.append(
      (
        "Images",
        f"{whole(data.train)} for the weights, {whole(data.validation)} for "
        f"theta, {whole(data.test)} for the test" + absences(data),
      )
    )
  if result.space.name:
    size = f"{result.space.size:.3g}" if result.space.size else "unknown"
    rows.append(
      (
        "Space",
        f"{escape(result.space.name)}, {size} networks in "
        f"{plural(len(result.space.decisions), 'decision')}",
      )
    )
  limits = [v for v in result.cost.range if v is not None]
  if len(limits) == 2:
    low, high = (cost(result, v) for v in limits)
    rows.append(("Feasible", f"{escape(low)} to {escape(high)}"))
  search = result.config.get("search")
  if isinstance(search, dict):
    method = ", ".join(
      f"{key} {search[key]}"
      for key in ("relaxation", "sampling", "combination", "derivation")
      if key in search
    )
    rows.append(("Method", escape(method)))
  if result.config:
    # `command` leaves empty values out, and `fix` of this file is not empty.
    text = escape(command("dmasking.py", result.config))
    if result.config.get("fix") == "":
      text += " --config.fix="
    rows.append(("Command", f"<code>{text}</code>"))
  return made(rows, result.config) if rows else ""
