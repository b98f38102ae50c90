"""Measures a finished model on a data set.

    python -m fbnax.main --config=configs/eval.py --workdir=runs/eval \
      --config.model=runs/digits/members/small-800k

`split` is "test" or "train". The result is printed and in `result.json`. Every
key, its unit and default: add --explain to the command.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The test split of digits."""
  return config_dict.create(
    job="eval",
    seed=0,
    model="",
    split="test",
    batch_size=256,
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
  )
