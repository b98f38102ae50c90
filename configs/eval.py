"""Measures a finished model on a data set.

    python -m fbnax.main --config=configs/eval.py --workdir=runs/eval \
      --config.model=runs/digits/members/small-800k

`split` is "test" or "train". The result is printed, in `result.json` and drawn
in `report.html`: accuracy, balanced accuracy, area under the ROC curve, F1, who
is taken for whom, and the images that the model is most wrong about. Threshold
and temperature are those of the model's card. Every key, its unit and default:
add --explain to the command.
"""

from ml_collections import config_dict

from fbnax.jobs.eval.config import EvalConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The test split of digits."""
  return config(EvalConfig())
