"""Searches the cells of NAS-Bench-201, where every answer is known.

    python -m fbnax.main --config=configs/ground_truth.py \
      --config.data.path=cifar10.npz \
      --config.table=nasbench201_cifar10.npz --workdir=runs/ground_truth

The differentiable search of `configs/dmasking.py`, with all of its safeguards
and with none, three seeds each; what is derived is scored by the table of all
15,625 cells. The supernet learns from a part of CIFAR-10 at 16 pixels, which
two CPU cores search in a few minutes. `--config.variants` adds searches that
lack one safeguard: `no_noise`, `no_warmup`, `no_cost`, `no_draws`.

Published on all of CIFAR-10 (Dong & Yang 2020): DARTS falls to 54.30%, a cell
of skips; GDAS reaches 93.51%.

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.ground_truth import GroundTruthConfig


def get_config() -> config_dict.ConfigDict:
  """The comparison on a part of CIFAR-10."""
  return config(GroundTruthConfig())
