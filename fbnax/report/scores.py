"""What networks can beyond accuracy: scores, confusions, pictures of errors."""

from __future__ import annotations

from collections.abc import Sequence

from fbnax.report import markup
from fbnax.report.markup import escape, number, percent, whole
from fbnax.report.schema import MemberRow, Mistake, Scores

_LARGEST_CONFUSION = 12  # Classes, so that it fits on the page.
_LONGEST_NAME = 24


def scores(
  members: Sequence[MemberRow],
  class_names: Sequence[object],
  images: str = "test images",
) -> str:
  """A table of the scores, and who is taken for whom; "" without any.

  Args:
    members: the networks.
    class_names: of the classes.
    images: what they were measured on, in words.
  """
  known = [(m, m.scores) for m in members if m.scores is not None]
  if not known:
    return ""
  confusions = [
    (member, _confusion(of_member, class_names))
    for member, of_member in known
    if 0 < len(of_member.confusion) <= _LARGEST_CONFUSION
    and len(of_member.confusion) == len(class_names)
  ]
  parts = [_table(known), _note([s for _, s in known], images)]
  for i, (member, table) in enumerate(confusions):
    words = f"{escape(member.name)}: which class is taken for which"
    if i == 0:
      parts.append(f"<h3>{words}</h3>{table}")
    else:
      parts.append(markup.details(words, table))
  return "".join(parts)


def mistakes(members: Sequence[MemberRow], images: str = "test images") -> str:
  """Pictures of what each network is most wrong about; "" without any.

  Args:
    members: the networks; those of the most accurate one are open.
    images: of which the pictures are, in words.
  """
  known = [m for m in members if m.mistakes]
  if not known:
    return ""
  known.sort(key=lambda m: -(m.test_accuracy or 0.0))
  first, *rest = known
  parts = [
    f"<p>The {images} that a network takes for another class, those first of "
    "which it is surest: the class that it sees, its probability, and the "
    "class that the image is labelled with. Look for wrong labels here, and "
    "for what the network cannot see.</p>",
    f"<h3>{escape(first.name)}</h3>" + _pictures(first.mistakes),
  ]
  parts += [markup.details(escape(m.name), _pictures(m.mistakes)) for m in rest]
  return "".join(parts)


def _table(known: Sequence[tuple[MemberRow, Scores]]) -> str:
  positive = known[0][1].positive
  f1 = "F1, mean over the classes"
  if positive is not None:
    f1 = f"F1 of {escape(markup.short(positive, _LONGEST_NAME))}"
  columns = [
    ("member", [escape(m.name) for m, _ in known]),
    ("balanced accuracy", [percent(s.balanced_accuracy) for _, s in known]),
    (
      "area under the ROC curve",
      [number(s.area_under_curve) for _, s in known],
    ),
    (f1, [number(s.f1) for _, s in known]),
    ("threshold", [number(s.threshold) for _, s in known]),
    ("log-loss", [number(m.test_log_loss) for m, _ in known]),
    ("calibrated", [number(s.calibrated_log_loss) for _, s in known]),
    ("temperature", [number(s.temperature, 2) for _, s in known]),
  ]
  kept = [c for c in columns if any(cell != markup.MISSING for cell in c[1])]
  rows = zip(*(cells for _, cells in kept), strict=True)
  return markup.table([name for name, _ in kept], list(rows))


def _note(known: Sequence[Scores], images: str) -> str:
  """What the columns mean, and what is missing."""
  words = [
    f"On the {images}. Balanced accuracy is the mean over the classes of the "
    "share that is right, so that each class counts the same. The area under "
    "the ROC curve (0.5 is chance) is the probability that of two images of "
    "different classes the right one is thought likelier."
  ]
  first = known[0]
  if first.calibration_images:
    chosen = "The temperature, which logits are divided by,"
    verb = "was"
    if first.threshold is not None:
      chosen = (
        "The threshold of the calibrated probability, from which on an image "
        f"is taken for {escape(first.positive)}, and the temperature, which "
        "logits are divided by,"
      )
      verb = "were"
    words.append(
      f"{chosen} {verb} chosen on {whole(first.calibration_images)} images "
      "that were not trained on."
    )
  else:
    words.append(
      "No images were held out by which a threshold and a temperature could be "
      "chosen, so F1 is that of the likeliest class."
    )
  return f'<p class="note">{" ".join(words)}</p>'


def _confusion(scores: Scores, class_names: Sequence[object]) -> str:
  """Rows of true classes; the diagonal is bold, other images are marked."""
  names = [escape(markup.short(str(n), _LONGEST_NAME)) for n in class_names]
  rows = []
  for i, (name, counts) in enumerate(zip(names, scores.confusion, strict=True)):
    cells = []
    for j, images in enumerate(counts):
      text = whole(images)
      if i == j:
        text = f"<b>{text}</b>"
      elif images:
        text = f'<span class="wrong">{text}</span>'
      cells.append(text)
    rows.append([name, *cells])
  return markup.table(["labelled, and taken for", *names], rows)


def _pictures(shown: Sequence[Mistake]) -> str:
  cells = []
  for mistake in shown:
    predicted = markup.short(mistake.predicted, _LONGEST_NAME)
    label = markup.short(mistake.label, _LONGEST_NAME)
    place = "" if mistake.index is None else f"image {mistake.index}"
    file = ""
    if mistake.name is not None:
      place = mistake.name
      last = markup.short(place.rpartition("/")[2], _LONGEST_NAME)
      file = f"<br>{escape(last)}"
    cells.append(
      f'<figure title="{escape(place)}"><img alt="{escape(place)}" '
      f'src="{escape(mistake.picture)}"><figcaption>'
      f'<b class="wrong">{escape(predicted)}</b> '
      f"{percent(mistake.probability)}<br>labelled {escape(label)}{file}"
      "</figcaption></figure>"
    )
  return f'<div class="images">{"".join(cells)}</div>'
