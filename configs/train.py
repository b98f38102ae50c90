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

`--config=configs/train.py:cifar10 --config.architecture=fbnetv3_b` is the
transfer of a network that was searched on ImageNet to CIFAR-10 (section 4.4 of
Wan 2022), for a GPU: a seventh of its pixels, stride one in its second block of
stride two, 400 epochs, averaged weights with a decay of 0.999, no distillation.
`data.path` is an `.npz` file. `configs/nars.py:cifar10_search` searches there.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import preset
from fbnax.jobs.train.config import TrainConfig

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10": {
    "data.name": "npz",
    "data.validation_fraction": 0.2,
    "architecture": "fbnetv3_a",
    "resolution": 0,
    "small_images": True,
    "training.batch_size": 256,
    "training.schedule": "exponential",
    "training.epochs": 400,
    "training.decay": 0.9875,
    "training.warmup_epochs": 5.0,
    "training.ema_decay": 0.999,
    "training.augment": "autoaugment_cifar10",
    "training.distillation": 0.0,
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """By default a small network of the zoo on digits: a minute on two cores."""
  return preset(TrainConfig(), PRESETS, name)
