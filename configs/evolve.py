"""New budgets for a finished search, in seconds: reuses its predictor.

    python -m fbnax.main --config=configs/evolve.py --workdir=runs/more \
      --config.run=runs/digits --config.budgets.macs="(600e3, 1200e3)"

Budgets may be of MACs, parameters, latency by a table, and peak memory. A
latency table is of the same space, resolutions and channels; the report of the
first command shows which latencies, in ms, there are:

    python -m fbnax.main --config=configs/profile.py --workdir=runs/profile \
      --config.space=small --config.fix="resolution=8,12" \
      --config.input_channels=1
    python -m fbnax.main --config=configs/evolve.py --workdir=runs/fast \
      --config.run=runs/digits --config.budgets.macs="()" \
      --config.budgets.latency="(0.08, 0.1)" \
      --config.budgets.table=runs/profile/latency.json

The job writes the best architecture-recipe pairs of each budget as JSON, which
`configs/train.py` trains:

    pair=runs/more/candidates/small-600k-1
    python -m fbnax.main --config=configs/train.py --workdir=runs/one \
      --config.architecture=$pair.architecture.json \
      --config.recipe_file=$pair.recipe.json --config.resolution=0

The report of the finished run has a slider over the networks that its search
has for many budgets beside its members'. With `--config.front=True` the job
takes one of these, without another evolution; the slider shows the commands.

Every key, its unit and default: add --explain to the command.
"""

from ml_collections import config_dict

from fbnax.jobs.evolve.config import EvolveConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """Two budgets between those of `configs/nars.py`."""
  return config(EvolveConfig())
