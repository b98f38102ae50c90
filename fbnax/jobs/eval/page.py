"""The page of a finished model on a data set: how good, and where it is not."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.eval.result import EvalResult
from fbnax.report import made, markup
from fbnax.report.markup import escape, number, percent, whole
from fbnax.report.page import page, shown
from fbnax.report.schema import MemberRow
from fbnax.report.scores import mistakes, scores


def draw(result: EvalResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  name = Path(result.model).name or "a model"
  images = f"{result.split or 'measured'} images"
  network = MemberRow(
    name=name,
    test_accuracy=result.accuracy,
    test_log_loss=result.log_loss,
    scores=result.scores,
    mistakes=result.mistakes,
  )
  facts = [("Model", f"<code>{escape(result.model)}</code>")]
  return page(
    f"{name} on {whole(result.images)} {images}",
    "Report of the job eval",
    shown(
      ("finding", "Finding", _tiles(result)),
      (
        "scores",
        "Beyond accuracy",
        scores([network], result.class_names, images),
      ),
      ("mistakes", "What it gets wrong", mistakes([network], images)),
      ("made", "How it was made", made.made_by(result, facts, "eval.py")),
    ),
    made.footer(result),
  )


def _tiles(result: EvalResult) -> str:
  """Key numbers; the accuracy with its interval."""
  tiles = []
  if result.accuracy is not None:
    words = "accuracy"
    if result.images:
      low, high = markup.interval(result.accuracy, result.images)
      words += f", 95% interval {100 * low:.1f}–{100 * high:.1f}"
    tiles.append((percent(result.accuracy), words))
  if result.log_loss is not None:
    tiles.append((number(result.log_loss), "log-loss"))
  if result.macs is not None:
    tiles.append((markup.count(result.macs), "MACs for one image"))
  return markup.tiles(*tiles)
