"""Scores networks without training them: zero-cost proxies of a space.

    python -m fbnax.main --config=configs/zero_cost.py --workdir=runs/scores

Random networks of a space, scored on one batch of images, and how the proxies
agree: with a table of trained networks, with each other, and beyond the MACs.
A preset is named after a colon, `--config=configs/zero_cost.py:nasbench201`:

* `digits`: what stands here, the default; 64 networks of the space `small`,
  which has no table;
* `nasbench201`: cells of NAS-Bench-201 in the setting of zero-cost-nas (16
  channels, five cells a stage, batch 64), on CIFAR-10
  (`--config.data.path=cifar10.npz`) beside the table
  (`--config.table=nasbench201_cifar10.npz`);
* `mnasnet`: networks of Accel-NASBench's space at 32 pixels, on CIFAR-10
  (`--config.data.path=cifar10.npz`) beside the table of their accuracies on
  ImageNet (`--config.table=accel_nasbench_imagenet.npz`): an order of
  architectures from images that are a fiftieth of the size. One program for all
  networks; on one CPU core about two minutes of compilation, then a network a
  second.

A run that has ended goes on with a larger `--config.sample`.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import preset
from fbnax.jobs.configs.zero_cost import ZeroCostConfig

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "nasbench201": {
    "space": "nasbench201",
    "fix": "",
    "sample": 1000,
    "proxies": (
      "grad_norm",
      "snip",
      "fisher",
      "jacob_cov",
      "naswot",
      "synflow",
    ),
    "batch_size": 64,
    "data.name": "npz",
  },
  "mnasnet": {
    "space": "mnasnet",
    "fix": "",
    "resolution": 32,
    "sample": 400,
    # Naswot, fisher and MeCo see what masks cut off.
    "proxies": ("grad_norm", "snip", "jacob_cov", "synflow"),
    "data.name": "npz",
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(ZeroCostConfig(), PRESETS, name)
