"""Measures the latency table of a space on this device.

    python -m fbnax.main --config=configs/profile.py \
      --config.space=small_dnas --workdir=runs/profile

Every part that a network of the space can have is measured by itself, for
widths that are searched some of them; then random networks, to see how well
the sums of the table tell what they take. It leaves `latency.json`. About three
minutes on two CPU cores that have nothing else to do.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.profile import ProfileConfig


def get_config() -> config_dict.ConfigDict:
  """The table of `small_dnas` for one image at a time."""
  return config(ProfileConfig())
