"""New budgets for a finished search, in seconds: reuses its predictor.

    python -m fbnax.main --config=configs/evolve.py --workdir=runs/more
      --config.run=runs/digits --config.budgets.macs="(600e3, 1200e3)"

Budgets may be of MACs, parameters, latency by a table, and peak memory. Writes
the best architecture-recipe pairs of each as JSON, ready for
`configs/train.py`.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.evolve import EvolveConfig


def get_config() -> config_dict.ConfigDict:
  """Two budgets between those of `configs/nars.py`."""
  return config(EvolveConfig())
