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

PRESETS = ("digits", "cifar10_cpu", "cifar10", "paper", "paper_recipe")


def get_config(preset: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; legal: {', '.join(PRESETS)}")
  config = _digits()
  for change in {
    "digits": (),
    "cifar10_cpu": (_cifar10_cpu,),
    "cifar10": (_cifar10,),
    "paper": (_paper,),
    "paper_recipe": (_paper, _paper_recipe),
  }[preset]:
    config.update_from_flattened_dict(change())
  return config


def _digits() -> config_dict.ConfigDict:
  return config_dict.create(
    job="nars",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.25,
      validation_images=0,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    space="small",
    fix="resolution=8,12",
    architecture="",
    resolution=0,
    recipe_file="",
    evaluator="train",
    ray=config_dict.create(
      address="",
      workers=0,
      cpus=(1,),
      gpus=(0,),
      attempts=3,
    ),
    head="linear",
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
    budgets=config_dict.create(
      macs=(400e3, 800e3, 1600e3),
      params=(),
      latency=(),
      memory=(),
      table="",
      floor=0.9,
      scaled=(),
      scaled_stochastic_depth=0.2,
    ),
    search=config_dict.create(
      pool=20_000,
      macs=(),
      rounds=3,
      first=0,
      candidates=12,
      bins=0,
      epochs=12,
      classes=0,
      correlation=0.92,
      population=2,
      predictors=8,
      exploration=0.5,
      signal="likelihood",
      ranks=False,
      caution=1.0,
      proxies="",
      proxy_names=("synflow", "jacob_cov", "snip"),
    ),
    mesh=config_dict.create(data=1, population=1),
    training=config_dict.create(
      batch_size=64,
      schedule="exponential",
      search_decay=0.8,
      epochs=40,
      decay=0.9,
      warmup_epochs=2.0,
      ema_decay=0.99,
      label_smoothing=0.1,
      augment="none",
      randaugment_operations=2,
      randaugment_magnitude=9.0,
      erasing=0.0,
      clip_norm=0.0,
      accumulate=1,
      precision="auto",
      teacher="",
      distillation=0.8,
      checkpoint_every=10,
    ),
  )


def _cifar10_cpu() -> dict[str, object]:
  return {
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
  }


def _cifar10() -> dict[str, object]:
  return {
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
  }


def _paper() -> dict[str, object]:
  return {
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


def _paper_recipe() -> dict[str, object]:
  return {
    "architecture": "fbnetv2_l3",
    "fix": "",
    "search.rounds": 4,
    "search.macs": (),
    "budgets.scaled": (),
  }
