"""Makes a classifier a tree of decisions, and trains it to be a good one.

    python -m fbnax.main --config=configs/nbdt.py --workdir=runs/tree

A plain network is trained, the weights of its last layer induce the hierarchy
(Wan 2022, chapter 5), a second network is trained with the tree loss, and both
are measured, plainly and by the tree; analyses and pictures are in the report,
and `tree.html` is the tree to click through. A network that is already trained,
and one that is only fine-tuned:

    --config.model=runs/digits/members/small-800k
    --config.tree.finetune_epochs=10 --config.tree.finetune_learning_rate=0.01

A classifier from elsewhere, by its last weights and, if at hand, its logits:

    --config.foreign.weights=model.safetensors --config.foreign.logits=test.npz

A preset is named after a colon, `--config=configs/nbdt.py:cifar10`:

* `digits`: what stands here, the default; a minute of CPU;
* `cifar10_cpu`: 3,000 images of CIFAR-10 (`--config.data.path=cifar10.npz`) at
  16 pixels and a residual network of eight layers, for a CPU;
* `cifar10`: the paper's: ResNet-18, all images, 200 epochs, batch 512; for a
  GPU, and not run.

Every key, its unit and default: add --explain to the command.

Result on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2), by the command
above in 42 CPU-seconds, of 359 test images of digits (an image is 0.28 points):

                                network  soft tree  hard tree
    plain, and its own tree     98.6%    93.9%      93.0%
    trained with the tree loss  99.4%    99.2%      99.2%

`configs/nars.py` with `--config.head=nbdt` searches a family whose members
decide by trees; `configs/nbdt_tables.py` compares losses and hierarchies.
"""

from ml_collections import config_dict

from fbnax.jobs.nbdt.config import NbdtConfig
from fbnax.jobs.runtime.configs import preset

_CLASSES = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "class_names": _CLASSES,
    "data.max_images": 3000,
    "resolution": 16,
  },
  "cifar10": {
    "data.name": "npz",
    "class_names": _CLASSES,
    "data.validation_fraction": 0.02,
    "architecture": "resnet18",
    "resolution": 32,
    # 0.1 for a batch of 512, and 0.01 where it is fine-tuned.
    "recipe.learning_rate": 0.05,
    "tree.finetune_learning_rate": 0.005,
    "training.batch_size": 512,
    "training.epochs": 200,
    "training.checkpoint_every": 10,
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(NbdtConfig(), PRESETS, name)
