"""Designs a family of networks and their recipes: the main job.

    python -m fbnax.main --config=configs/nars.py --workdir=runs/digits

Neural Architecture-Recipe Search (Wan 2022, chapter 4), scaled down to two CPU
cores and scikit-learn's digits: three budgets in about ten minutes. For images
of your own:

    --config.data.name=folder --config.data.path=photos
    --config.data.name=npz --config.data.path=images.npz
    --config.data.name=tfds --config.data.tfds_name=cifar10

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The default, scaled-down preset."""
  return config_dict.create(
    job="nars",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.25,
      max_images=0,
      decode_resolution=0,
    ),
    space="small",
    fix="resolution=8,12",
    budgets=config_dict.create(
      macs=(400e3, 800e3, 1600e3),
      params=(),
      floor=0.9,
    ),
    search=config_dict.create(
      pool=20_000,
      rounds=3,
      candidates=12,
      epochs=12,
      correlation=0.92,
      population=2,
      predictors=8,
    ),
    training=config_dict.create(
      batch_size=64,
      schedule="exponential",
      search_decay=0.8,
      epochs=40,
      decay=0.9,
      warmup_epochs=2.0,
      ema_decay=0.99,
      label_smoothing=0.1,
      distillation=0.8,
      checkpoint_every=10,
    ),
  )
