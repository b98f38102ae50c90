"""Trains one network: any of the zoo, or an architecture from a JSON file.

    python -m fbnax.main --config=configs/train.py --workdir=runs/one \
      --config.architecture=fbnetv3_a --config.recipe.learning_rate=0.1

`architecture` is a name of the zoo (`fbnax.spaces.zoo.names()`), a JSON file,
or a finished model's directory; `recipe_file` is a JSON file that stands for
all of `recipe`. Every key, its unit and default: add --explain to the command.

For classes of unequal size there are `training.class_weights=balanced` and
`training.sampling=balanced`, for pictures without a top `training.flips=both`
and `training.quarter_turns`, for several pictures of one object `data.groups`
(a CSV file of image and group), for data whose licence forbids to show it
`data.pictures=False`: `configs/nars.py` says more. The threshold of the rarer
of two classes and the temperature of probabilities are chosen on the validation
images (`data.validation_fraction`). Both are in the member's `model.json`.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import config
from fbnax.jobs.train.config import TrainConfig


def get_config() -> config_dict.ConfigDict:
  """A small network of the zoo on digits: a minute on two cores."""
  return config(TrainConfig())
