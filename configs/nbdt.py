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

PRESETS = ("digits", "cifar10_cpu", "cifar10")


def get_config(preset: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; legal: {', '.join(PRESETS)}")
  config = _digits()
  config.update_from_flattened_dict(
    {"digits": dict, "cifar10_cpu": _cifar10_cpu, "cifar10": _cifar10}[preset]()
  )
  return config


def _digits() -> config_dict.ConfigDict:
  return config_dict.create(
    job="nbdt",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.1,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    class_names="",
    architecture="resnet8",
    resolution=8,
    model="",
    foreign=config_dict.create(weights="", key="", logits=""),
    recipe_file="",
    recipe=config_dict.create(
      optimizer="sgd",
      learning_rate=0.2,
      weight_decay=5e-4,
      ema=False,
      dropout=0.0,
      stochastic_depth=0.0,
      mixup=0.0,
    ),
    tree=config_dict.create(
      hierarchy="induced",
      wnids="",
      linkage="ward",
      metric="euclidean",
      normalize=False,
      loss="soft",
      schedule="constant",
      size="small",
      omega=-1.0,
      beta=-1.0,
      start=0,
      end=0,
      period=0,
      finetune_epochs=0,
      finetune_learning_rate=0.01,
    ),
    unseen=config_dict.create(classes="", superclasses=""),
    mesh=config_dict.create(data=1),
    training=config_dict.create(
      batch_size=64,
      schedule="step",
      epochs=14,
      decay=0.1,
      milestones=(3 / 7, 5 / 7),
      warmup_epochs=0.0,
      ema_decay=0.99,
      label_smoothing=0.0,
      augment="none",
      randaugment_operations=2,
      randaugment_magnitude=9.0,
      erasing=0.0,
      clip_norm=0.0,
      accumulate=1,
      precision="auto",
      distillation=0.8,
      checkpoint_every=7,
    ),
  )


def _cifar10_cpu() -> dict[str, object]:
  return {
    "data.name": "npz",
    "class_names": _CLASSES,
    "data.max_images": 3000,
    "resolution": 16,
  }


def _cifar10() -> dict[str, object]:
  return {
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
  }


_CLASSES = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"
