"""Trains what chapter 5 of Wan 2022 compares: hierarchies, losses, schedules.

    python -m fbnax.main --config=configs/nbdt_tables.py --workdir=runs/tables

Each seed trains a plain network, whose weights induce the hierarchy, and beside
it one network for each combination of hierarchy and tree loss, alike in all
else; with classes held out they are asked for the superclass of images of
these. Tables 5.1 to 5.8 with intervals are in the report.

A preset is named after a colon, `--config=configs/nbdt_tables.py:cifar10_cpu`:

* `digits`: what stands here, the default; five CPU-minutes;
* `cifar10_cpu`: 3,000 images of CIFAR-10 (`--config.data.path=cifar10.npz`) at
  16 pixels and a residual network of eight layers, for a CPU;
* `cifar10`: the paper's: ResNet-18, all images, 200 epochs, batch 512; a GPU.

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import preset
from fbnax.jobs.configs.nbdt import NbdtTablesConfig

_CLASSES = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"
_SUPERCLASSES = {
  "unseen.classes": "cat,truck",
  "unseen.superclasses": "animal=bird,cat,deer,dog,frog,horse;"
  "vehicle=airplane,automobile,ship,truck",
}

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "class_names": _CLASSES,
    "data.max_images": 3000,
    "resolution": 16,
    "tables.hierarchies": ("induced", "wordnet", "random"),
    **_SUPERCLASSES,
  },
  "cifar10": {
    "data.name": "npz",
    "class_names": _CLASSES,
    "architecture": "resnet18",
    "resolution": 32,
    # 0.1 for a batch of 512, and 0.01 where it is fine-tuned.
    "recipe.learning_rate": 0.05,
    "tree.finetune_learning_rate": 0.005,
    "tables.hierarchies": ("induced", "wordnet", "random"),
    "tables.updates": ("67:120:10", "90:140:10", "90:140:20", "120:121:10"),
    "training.batch_size": 512,
    "training.epochs": 200,
    "training.checkpoint_every": 20,
    **_SUPERCLASSES,
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(NbdtTablesConfig(), PRESETS, name)
