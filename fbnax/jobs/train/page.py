"""The page of one trained network."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.train.result import TrainResult
from fbnax.report import design
from fbnax.report.networks import networks
from fbnax.report.overview import overview


def draw(result: TrainResult, folder: Path) -> str:
  """The whole document."""
  del folder  # All of it is in the result.
  return design.document(
    result,
    "Report of the job train",
    ("overview", "Overview", overview(result)),
    ("accuracy-macs", "Accuracy against MACs", design.accuracy_macs(result)),
    ("scores", "Beyond accuracy", design.scores(result)),
    ("mistakes", "What they get wrong", design.mistakes(result)),
    ("networks", "The networks, block by block", networks(result)),
    ("recipes", "The training recipes", design.recipes(result)),
    ("training", "Training the family", design.curves(result)),
    ("times", "Where the time went", design.times(result)),
    ("setup", "Configuration and versions", design.setup(result)),
  )
