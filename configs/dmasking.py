"""Searches channels, expansion, blocks and resolution at once: DMaskingNAS.

    python -m fbnax.main --config=configs/dmasking.py --workdir=runs/dmasking

The differentiable search of FBNetV2 (Wan 2022, chapter 3), scaled down to two
CPU cores and scikit-learn's digits: a search for a million MACs, the network
that it derives trained from scratch, and two random networks of the same cost
trained alike. At half the cost:

    --config.search.target=500e3

A preset is named after a colon, `--config=configs/dmasking.py:paper`:

* `digits`: what stands here, the default;
* `cifar10_cpu`: a part of CIFAR-10 (`--config.data.path=cifar10.npz`), small
  enough for a CPU;
* `cifar10`: all of it, for a GPU, beside 8 random networks;
* `paper`: section 3.4's search of the FBNetV2-F space on a tenth of ImageNet's
  classes: 90 epochs, temperature 5.0 x exp(-0.045), cost added to the loss.

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import preset
from fbnax.jobs.configs.dnas import DnasConfig

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "data.max_images": 2400,
    "search.target": 2e6,
    "search.samples": 24,
    "search.epochs": 16,
    "search.frozen_epochs": 4,
    # Small batches: theta takes 180 steps, in which it can decide.
    "search.batch_size": 32,
    "search.annealing": 0.18,
    "training.epochs": 10,
    "compare.networks": 8,
    "compare.seeds": 3,
  },
  "cifar10": {
    "data.name": "npz",
    "fix": "",
    "search.target": 6e6,
    "search.epochs": 90,
    "search.frozen_epochs": 10,
    "search.annealing": 0.045,
    "search.batch_size": 128,
    "search.theta_learning_rate": 0.03,
    "training.batch_size": 128,
    "training.epochs": 200,
    "training.ema_decay": 0.999,
    "training.warmup_epochs": 5.0,
    "training.augment": "autoaugment_cifar10",
    "recipe.weight_decay": 3e-4,
    "compare.networks": 8,
    "compare.seeds": 3,
  },
  "paper": {
    "data.name": "tfds",
    "data.tfds_name": "imagenet2012",
    "space": "fbnetv2_f",
    "fix": "",
    "search.cost_of": "sample",
    "search.combination": "additive",
    "search.target": 238e6,
    "search.derivation": "argmax",
    "search.epochs": 90,
    "search.frozen_epochs": 10,
    "search.classes": 100,
    "search.batch_size": 256,
    "search.learning_rate": 0.1,
    "search.theta_learning_rate": 0.01,
    "search.annealing": 0.045,
    "training.batch_size": 256,
    "training.epochs": 360,
    "training.warmup_epochs": 5.0,
    "training.ema_decay": 0.9999,
    "training.augment": "autoaugment_imagenet",
    "recipe.learning_rate": 0.1,
    "recipe.weight_decay": 4e-5,
    "compare.networks": 0,
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(DnasConfig(), PRESETS, name)
