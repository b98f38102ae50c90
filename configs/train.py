"""Trains one network: any of the zoo, or an architecture from a JSON file.

    python -m fbnax.main --config=configs/train.py --workdir=runs/one \
      --config.architecture=fbnetv3_a --config.recipe.learning_rate=0.1

`architecture` is a name of the zoo (`fbnax.spaces.zoo.names()`), a JSON file,
or a finished model's directory; `recipe_file` is a JSON file that stands for
all of `recipe`. Every key, its unit and default: add --explain to the command.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """A small network of the zoo on digits: a minute on two cores."""
  return config_dict.create(
    job="train",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.25,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    architecture="fbnet_96",
    resolution=32,
    recipe_file="",
    recipe=config_dict.create(
      optimizer="sgd",
      learning_rate=0.2,
      weight_decay=1e-5,
      ema=True,
      dropout=0.1,
      stochastic_depth=0.0,
      mixup=0.1,
    ),
    teacher="",
    mesh=config_dict.create(data=1),
    training=config_dict.create(
      batch_size=64,
      schedule="cosine",
      epochs=20,
      decay=0.963,
      warmup_epochs=1.0,
      ema_decay=0.99,
      label_smoothing=0.1,
      augment="none",
      randaugment_operations=2,
      randaugment_magnitude=9.0,
      erasing=0.0,
      clip_norm=0.0,
      accumulate=1,
      precision="auto",
      distillation=0.8,
      checkpoint_every=5,
    ),
  )
