"""Searches the block of each layer under a cost: FBNet.

    python -m fbnax.main --config=configs/fbnet.py --workdir=runs/fbnet

FBNet (Wu et al. 2019): widths are fixed, each layer takes one of several
blocks, the loss is CE x alpha log(cost)^beta, and the network is the best of
several that are sampled from what was learned. The default is scaled down to
two CPU cores and scikit-learn's digits and pays in MACs. For a device, measure
its table first (`configs/profile.py`) and pay in milliseconds:

    --config.search.cost=latency --config.search.table=latency.json

FBNet has no target; `--config.search.combination=target` with
`--config.search.target=2.5` seeks one. A preset is named after a colon,
`--config=configs/fbnet.py:cifar10`:

* `digits`: what stands here, the default;
* `cifar10_cpu`: a part of CIFAR-10 (`--config.data.path=cifar10.npz`);
* `cifar10`: all of it, 22 layers in FBNet's space at 32 pixels, for a GPU;
* `paper`: that space at 224 pixels on a tenth of ImageNet's classes, under the
  latency table of a device (`--config.search.table=latency.json`).

Every key, its unit and default: add --explain to the command.

Result on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2), by the command
above in 9 minutes beside other work: 1,224,928 MACs and 99.4% of the digits;
two random networks of the same cost have 99.7% and 98.6%. The better one is
ahead by one image. In this search weight decay also reached BN and biases of
the searched blocks; the present program leaves those alone. `python -m
tests.benchmarks.latency_search` searches under the tables of two devices.
"""

from ml_collections import config_dict

from fbnax.jobs.dnas.config import CostSearchKeys, DnasConfig
from fbnax.jobs.runtime.configs import preset

# The widths of the small space: what FBNet does not search.
_WIDTHS = (16, 24, 24, 40, 40, 80, 80)

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "data.max_images": 4000,
    "compare.networks": 4,
  },
  "cifar10": {
    "data.name": "npz",
    "space": "fbnet_cifar",
    "fix": "",
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
    "space": "fbnet",
    "fix": "",
    "search.cost": "latency",
    "search.epochs": 90,
    "search.frozen_epochs": 10,
    "search.classes": 100,
    "search.batch_size": 192,
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
  return preset(
    DnasConfig(
      fix=_small(),
      search=CostSearchKeys(
        cost_of="sample", combination="multiplicative", target=0.0, samples=6
      ),
    ),
    PRESETS,
    name,
  )


def _small() -> str:
  """Decisions of the small space that leave only the blocks open."""
  fixed = ["resolution=16"]
  for i, width in enumerate(_WIDTHS, 1):
    fixed.append(f"layer{i}.channels={width}")
    if i > 1:
      fixed.append(f"layer{i}.expansion=3.0")
  return ";".join(fixed)
