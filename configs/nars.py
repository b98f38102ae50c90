"""Designs a family of networks and their recipes: the main job.

    python -m fbnax.main --config=configs/nars.py --workdir=runs/digits

Neural Architecture-Recipe Search (Wan 2022, chapter 4), scaled down to two CPU
cores and scikit-learn's digits: three budgets in about ten minutes. For images
of your own:

    --config.data.name=folder --config.data.path=photos
    --config.data.name=npz --config.data.path=images.npz
    --config.data.name=tfds --config.data.tfds_name=cifar10

With `--config.evaluator=ray` candidates are trained on a Ray cluster, or on
`--config.ray.workers` workers of this machine.

With `--config.head=nbdt` the members are trained to decide by a tree
(`configs/nbdt.py`), and come with it.

A preset is named after a colon, `--config=configs/nars.py:paper`:

* `digits`: what stands here, the default;
* `cifar10_cpu`: a part of CIFAR-10 (`--config.data.path=cifar10.npz`) at 16
  pixels, small enough for a CPU;
* `cifar10`: section 4.4's transfer to CIFAR-10, for a GPU: the FBNetV3 space at
  32 pixels and more, without distillation;
* `paper`: the joint search on ImageNet, section 4.4 and 4.6, with FBNetV3 A, F
  and G as scaled members; hundreds of GPU days;
* `paper_recipe`: its recipe-only search for the network of Table 4.10.

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import preset
from fbnax.jobs.configs.nars import NarsConfig

_PAPER = {
  "data.name": "tfds",
  "data.tfds_name": "imagenet2012",
  "data.validation_images": 10_000,
  "space": "fbnetv3",
  "fix": "recipe.ema=True",
  "budgets.macs": (450e6, 550e6, 650e6, 750e6),
  # FBNetV3 A, F and G.
  "budgets.scaled": (357e6, 1180e6, 2100e6),
  "search.macs": (400e6, 800e6),
  "search.rounds": 5,
  "search.candidates": 48,
  "search.epochs": 150,
  "search.classes": 200,
  "search.population": 1,
  "search.predictors": 1,
  "search.exploration": 0.0,
  "search.signal": "accuracy",
  "search.caution": 0.0,
  # For each node; the learning rate grows with it.
  "training.batch_size": 256,
  "training.search_decay": 0.963,
  "training.epochs": 400,
  "training.decay": 0.9875,
  "training.warmup_epochs": 5.0,
  "training.ema_decay": 0.99985,
  "training.augment": "autoaugment_imagenet",
}

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "data.max_images": 3000,
    # Kernels and depths that keep the supernet small.
    "fix": "resolution=16;stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;"
    "stage4.kernel=3;stage1.depth=1;stage2.depth=1,2;stage3.depth=1,2;"
    "stage4.depth=1",
    "budgets.macs": (1200e3, 2400e3),
    "search.rounds": 2,
    "search.epochs": 5,
    "search.signal": "accuracy",
    "training.search_decay": 0.7,
    "training.epochs": 15,
    "training.decay": 0.82,
  },
  "cifar10": {
    "data.name": "npz",
    # The paper holds 10,000 images out.
    "data.validation_images": 10_000,
    "space": "fbnetv3_cifar",
    "fix": "recipe.ema=True",
    "budgets.macs": (30e6, 45e6, 60e6, 75e6),
    "search.rounds": 5,
    "search.candidates": 48,
    "search.epochs": 40,
    "search.population": 8,
    "search.predictors": 4,
    "search.signal": "accuracy",
    "training.batch_size": 256,
    "training.search_decay": 0.9,
    "training.epochs": 400,
    "training.decay": 0.9875,
    "training.warmup_epochs": 5.0,
    "training.ema_decay": 0.999,
    "training.augment": "autoaugment_cifar10",
    "training.distillation": 0.0,
  },
  "paper": _PAPER,
  "paper_recipe": {
    **_PAPER,
    "architecture": "fbnetv2_l3",
    "fix": "",
    "search.rounds": 4,
    "search.macs": (),
    "budgets.scaled": (),
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(NarsConfig(), PRESETS, name)
