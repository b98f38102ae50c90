"""The page of searches of a space that is known, and what they derived."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.ground_truth.result import GroundTruthResult
from fbnax.report import markup, searches
from fbnax.report.markup import MISSING, capital, escape, percent
from fbnax.report.page import shown


def draw(result: GroundTruthResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  cells = _cells(result)
  learned = "from images, and nothing"
  return searches.document(
    result,
    shown(
      ("finding", "Finding", searches.finding(result)),
      ("seeds", "Every seed", searches.seeds(result)),
      ("cells", "What was derived", cells),
      ("made", "How it was made", searches.made(result, (), (), learned)),
    ),
  )


def _cells(result: GroundTruthResult) -> str:
  """What the searches derived, beside what others fell to."""
  rows = [
    [
      f'<span class="whole">{escape(capital(searches.name(s.method)))}</span>',
      MISSING if s.seed is None else str(s.seed),
      f"<code>{escape(s.cell).replace('+', '+<wbr>')}</code>",
      f'<span class="whole">{_skips(s.cell)}</span>',
      percent(s.test_accuracy, 2),
      percent(s.entropy, 0),
    ]
    for s in result.searches
    if s.cell
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
