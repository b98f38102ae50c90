"""The page of a tree: how right it is, how it decides, where it is torn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fbnax.jobs.nbdt import charts
from fbnax.jobs.nbdt.result import NbdtResult, NodeExamples, Shown
from fbnax.report import markup, training_charts
from fbnax.report.made import command, footer, made
from fbnax.report.markup import (
  MISSING,
  escape,
  figure,
  number,
  percent,
  plural,
  whole,
)
from fbnax.report.overview import absences
from fbnax.report.page import Section, page, shown
from fbnax.report.schema import Result
from fbnax.report.tree_schema import SuperclassShares
from fbnax.report.trees import read_drawing, tree_figure


def draw(result: NbdtResult, folder: Path) -> str:
  """The whole document.

  Args:
    result: what to show.
    folder: the work directory, in which the job left the tree as an `<svg>`.
  """
  drawing = read_drawing(folder, result.pictures.drawing)
  data = result.dataset.name or "an unnamed data set"
  return page(
    f"The decisions of a classifier: {data}",
    "Neural-backed decision tree",
    sections(result, drawing),
    footer(result),
  )


def sections(result: NbdtResult, drawing: str = "") -> list[Section]:
  """All sections for which the result has something to show, in order."""
  return shown(
    ("finding", "Finding", _finding(result)),
    ("tree", "The tree", _tree(result, drawing)),
    ("nodes", "Where it errs", _nodes(result)),
    ("ambiguous", "Ambiguous images", _ambiguous(result)),
    ("traversals", "Where images go", _traversals(result)),
    ("examples", "What stands for a node", _examples(result.examples)),
    ("unseen", "Classes it has not seen", _unseen(result)),
    ("training", "Training", _training(result)),
    ("times", "Where the time went", training_charts.times_figure(result)),
    ("made", "How it was made", _made(result)),
  )


def _finding(result: NbdtResult) -> str:
  tiles = []
  last = list(result.accuracies)[-1:]
  for name in last:
    row = result.accuracies[name]
    tiles += [
      (percent(row.soft, 2), "soft tree"),
      (percent(row.hard, 2), "hard tree"),
      (percent(row.network, 2), "the network itself"),
    ]
  before = result.accuracies.get("plain")
  if before is not None and last != ["plain"]:
    tiles.append((percent(before.network, 2), "plainly trained network"))
  drawn = charts.accuracies(result)
  picture = ""
  if drawn is not None:
    images = result.dataset.test
    on = f" on {whole(images)} test images" if images else ""
    both = ""
    if len(result.accuracies) > 1:
      both = "Both networks are measured under the same tree. "
    picture = figure(
      drawn,
      f"Accuracy{on}, with 95% Wilson intervals. {both}Soft inference takes "
      "the class whose path is the likeliest, hard inference one decision "
      "after the other.",
    )
  if not tiles:
    return (
      '<p class="note">No labelled logits were given, so nothing is measured: '
      "the tree below is what the weights induce.</p>"
    )
  return markup.tiles(*tiles) + picture


def _tree(result: NbdtResult, drawing: str) -> str:
  tree = result.hierarchy
  if not tree.children:
    return ""
  caption = (
    f"{markup.capital(escape(tree.kind))} hierarchy over "
    f"{tree.num_classes:,} classes: "
    f"{plural(len(tree.children), 'decision')}, depth {tree.depth}."
  )
  if any(n.accuracy is not None for n in result.nodes):
    caption += " Beside a node stands the accuracy of its decision."
  return tree_figure(drawing, result.pictures.page, caption)


def _nodes(result: NbdtResult) -> str:
  measured = [n for n in result.nodes if n.accuracy is not None]
  if not measured:
    return ""
  labels = result.hierarchy.labels
  rows = [
    (
      escape(markup.short(n.name, 48)),
      " | ".join(
        escape(markup.short(labels[c] if labels else str(c), 30))
        for c in n.children
      ),
      whole(n.classes),
      whole(n.visits),
      percent(n.accuracy, 2),
      whole(_lost(n.accuracy, n.visits)),
    )
    for n in sorted(measured, key=lambda n: -(_lost(n.accuracy, n.visits) or 0))
  ][:30]
  head = ("Node", "Decides between", "Classes", "Images", "Right", "Wrong")
  note = ""
  if len(measured) > len(rows):
    note = (
      f'<p class="note">The {len(rows)} of {len(measured):,} decisions with '
      "the most errors.</p>"
    )
  return (
    "<p>Each decision by itself: of the test images of the classes under a "
    "node, how many it passes to the right child. The most errors first.</p>"
    + markup.table(head, rows, "text")
    + note
  )


def _lost(accuracy: float | None, visits: int | None) -> int | None:
  if accuracy is None or visits is None:
    return None
  return round((1 - accuracy) * visits)


def _ambiguous(result: NbdtResult) -> str:
  ambiguous = result.ambiguous
  if not ambiguous.by_tree:
    return ""
  parts = [
    "<h3>By the tree</h3><p>The largest path entropy: the most undecided "
    "decision less the most certain one on the path. The tree is sure of most "
    "and torn in one.</p>",
    _images(ambiguous.by_tree),
  ]
  if ambiguous.by_network:
    parts.append(
      "<h3>By the network alone</h3><p>The most torn between the two likeliest "
      "classes, and the least about all others.</p>"
      + _images(ambiguous.by_network)
    )
  errors = ambiguous.errors
  if errors is not None and errors.path_entropy is not None:
    parts.append(
      "<p>As a sign of a wrong prediction (area under the ROC curve; 0.5 is "
      f"chance): path entropy {number(errors.path_entropy)} for the tree's "
      f"{plural(errors.tree or 0, 'error')}; the network's entropy between "
      f"its two likeliest classes {number(errors.top_two_entropy)}, less that "
      f"of all {number(errors.confusion)}, for the network's.</p>"
    )
  return "".join(parts)


def _images(images: Sequence[Shown], small: bool = False) -> str:
  cells = []
  for image in images:
    picture = ""
    if image.png:
      picture = (
        f'<img alt="image {image.index}" '
        f'src="data:image/png;base64,{image.png}">'
      )
    words = []
    if image.predicted is not None:
      wrong = image.label is not None and image.label != image.predicted
      css = ' class="wrong"' if wrong else ""
      words.append(f"<b{css}>{escape(image.predicted)}</b>")
      if wrong:
        words.append(f"labelled {escape(image.label)}")
    elif image.label is not None:
      words.append(escape(image.label))
    if image.score is not None:
      words.append(f"{number(image.score, 2)} nats")
    steps = ", ".join(
      f"{markup.short(s.name, 24)} {percent(s.probability, 0)}"
      for s in image.path or ()
    )
    title = f' title="{escape(steps)}"' if steps else ""
    cells.append(
      f"<figure{title}>{picture}<figcaption>{'<br>'.join(words)}</figcaption>"
      "</figure>"
    )
  kind = "images small" if small else "images"
  return f'<div class="{kind}">{"".join(cells)}</div>'


def _traversals(result: NbdtResult) -> str:
  drawn = charts.traversals(result)
  if drawn is None:
    return ""
  words = (
    "Percent of each class's test images that pass each node by hard "
    "decisions: the tree's nodes from left to right, inner ones bold. A class "
    "that the tree knows follows one path."
  )
  traversals = result.traversals
  if traversals is not None and traversals.unseen:
    words += " Below the line are classes that were held out of training."
  return figure(drawn, words)


def _examples(examples: Sequence[NodeExamples]) -> str:
  if not examples:
    return ""
  rows = "".join(
    f"<h3>{escape(markup.short(e.name, 80))}</h3>{_images(e.images, True)}"
    for e in examples
  )
  return (
    "<p>The test images whose features are most like the mean of the weights "
    "of the classes under a node.</p>" + rows
  )


def _unseen(result: NbdtResult) -> str:
  unseen = result.unseen
  if unseen is None or not unseen.classes:
    return ""
  rows = [
    _unseen_row("all", "", unseen),
    *(_unseen_row(c.name, c.superclass, c) for c in unseen.classes),
  ]
  head = (
    "Held-out class",
    "Superclass",
    "Images",
    "Network",
    "Network, within",
    "Tree",
    "Network, summed",
    "Tree, summed",
  )
  how = (
    "one node tells the superclasses apart, and decides"
    if unseen.node is not None
    else "no single node tells the superclasses apart, so the larger sum of "
    "path probabilities decides"
  )
  words = (
    "Share of the test images of classes held out of training that are given "
    "their superclass (Table 5.6). The network says the superclass of the "
    "class that it predicts, which may have none; within: of the likeliest "
    f"class that has one, as a tree must choose; in the tree {how}."
  )
  before = result.unseen_plain
  if before is not None:
    words += (
      f" Of the plainly trained network: {percent(before.plain, 2)}, its tree "
      f"{percent(before.tree, 2)}."
    )
  return f"<p>{words}</p>" + markup.table(head, rows)


def _unseen_row(
  name: str, superclass: str, shares: SuperclassShares
) -> tuple[str, ...]:
  return (
    escape(name),
    escape(superclass),
    whole(shares.images),
    percent(shares.plain, 2),
    percent(shares.plain_within, 2),
    percent(shares.tree, 2),
    percent(shares.plain_sum, 2),
    percent(shares.tree_sum, 2),
  )


def _training(result: NbdtResult) -> str:
  drawn = training_charts.curves(Result(members=result.members))
  if drawn is None:
    return ""
  return figure(
    drawn,
    "By epoch. The tree's training minimises another loss than the plain one, "
    "so compare the courses, not the heights of the losses.",
  )


def _made(result: NbdtResult) -> str:
  rows = []
  data = result.dataset
  if data.source:
    rows.append(("Data", escape(data.source)))
  if data.train is not None:
    rows.append(
      (
        "Images",
        f"{whole(data.train)} to train, {whole(data.validation)} for "
        f"validation, {whole(data.test)} to test" + absences(data),
      )
    )
  if result.network:
    side = result.network.get("resolution", MISSING)
    named = result.config.get("model") or result.config.get("architecture")
    rows.append(("Network", escape(f"{named} at {side} pixels")))
  tree = result.config.get("tree")
  if isinstance(tree, dict):
    words = ", ".join(
      f"{key} {tree[key]}"
      for key in ("hierarchy", "loss", "schedule", "size")
      if key in tree
    )
    rows.append(("Tree", escape(words)))
  if result.config:
    text = escape(command("nbdt.py", result.config))
    rows.append(("Command", f"<code>{text}</code>"))
  return made(rows, result.config) if rows else ""
