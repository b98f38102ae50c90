"""Measures the latency table of a space on this device.

    python -m fbnax.main --config=configs/profile.py \
      --config.space=small_dnas --workdir=runs/profile

Every part that a network of the space can have is measured by itself, for
widths that are searched some of them; then random networks, to see how well the
sums of the table tell what they take. It leaves `latency.json`, which budgets
of latency take (`--config.budgets.table`, `--config.search.table`). Every key,
its unit and default: add --explain to the command.

Result on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2), by the command
above: it measures the 427 parts of `small_dnas` in 2 min 41 s. Their sums
against 20 networks measured as a whole: Spearman 0.992, median error 6.8%, or
2.0% after a common factor of 0.94. The machine has to have nothing else to do:
beside other work the correlation was 0.6 to 0.8.
"""

from ml_collections import config_dict

from fbnax.jobs.profile.config import ProfileConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The table of `small_dnas` for one image at a time."""
  return config(ProfileConfig())
