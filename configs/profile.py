"""Measures the latency table of a space on this device.

    python -m fbnax.main --config=configs/profile.py \
      --config.space=small_dnas --workdir=runs/profile

Every part that a network of the space can have is measured by itself, for
widths that are searched some of them; then random networks, to see how well
the sums of the table tell what they take. It leaves `latency.json`. About three
minutes on two CPU cores that have nothing else to do.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The table of `small_dnas` for one image at a time."""
  return config_dict.create(
    job="profile",
    seed=0,
    space="small_dnas",
    fix="",
    input_channels=3,
    num_classes=10,
    batch_size=1,
    widths=2,
    warmup=2,
    repeats=100,
    loops=16,
    networks=20,
  )
