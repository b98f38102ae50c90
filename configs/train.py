"""Trains one network: any of the zoo, or an architecture from a JSON file.

    python -m fbnax.main --config=configs/train.py --workdir=runs/one \
      --config.architecture=fbnetv3_a --config.recipe.learning_rate=0.1

`architecture` is a name of the zoo (`fbnax.spaces.zoo.names()`), a JSON file,
or a finished model's directory; `recipe_file` is a JSON file that stands for
all of `recipe`. Every key, its unit and default: add --explain to the command.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import config
from fbnax.jobs.train.config import TrainConfig


def get_config() -> config_dict.ConfigDict:
  """A small network of the zoo on digits: a minute on two cores."""
  return config(TrainConfig())
