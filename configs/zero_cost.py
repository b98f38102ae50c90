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

PRESETS = ("digits", "nasbench201", "mnasnet")


def get_config(preset: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; legal: {', '.join(PRESETS)}")
  config = config_dict.create(
    job="zero_cost",
    seed=0,
    space="small",
    fix="resolution=8",
    resolution=0,
    table="",
    sample=64,
    proxies=("grad_norm", "snip", "grasp", "jacob_cov", "synflow", "zico"),
    batch_size=32,
    chunk=8,
    bootstrap=1000,
    best=0.1,
    cells=config_dict.create(
      channels=16,
      per_stage=5,
      affine=False,
      biased=True,
    ),
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
  )
  if preset == "nasbench201":
    config.update_from_flattened_dict(
      {
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
      }
    )
  if preset == "mnasnet":
    config.update_from_flattened_dict(
      {
        "space": "mnasnet",
        "fix": "",
        "resolution": 32,
        "sample": 400,
        # Naswot, fisher and MeCo see what masks cut off.
        "proxies": ("grad_norm", "snip", "jacob_cov", "synflow"),
        "data.name": "npz",
      }
    )
  return config
