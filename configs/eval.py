"""Measures a finished model on a data set.

    python -m fbnax.main --config=configs/eval.py --workdir=runs/eval \
      --config.model=runs/digits/members/small-800k

`split` is "test" or "train". The result is printed and in `result.json`. Every
key, its unit and default: add --explain to the command.
"""

from ml_collections import config_dict

from fbnax.jobs.eval.config import EvalConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The test split of digits."""
  return config(EvalConfig())
