"""Latency (or energy) of devices, learned from a few measured networks.

    python -m fbnax.main --config=configs/latency_predictor.py
      --workdir=runs/latency --config.measurements=mine.csv
      --config.space=fbnet_cifar

`measurements` is a file of networks with a column of milliseconds for each
device (`fbnax.search.labelled`; the published file of HELP names its space
itself). For each of `devices` and each of `counts` the kinds of predictors
learn from so many networks, once from what can be counted alone and once from
what the other columns say, too, and are judged on networks that are held out.
What was learned from the most is left as a latency table for each device,
`tables/DEVICE.json`, that other jobs take: `configs/dmasking.py` and
`configs/fbnet.py` as `search.table`, `configs/nars.py` and `configs/evolve.py`
as `budgets.table`.

Method: Dai et al. 2019, "ChamNet", section 3.2.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.latency_predictor import LatencyPredictorConfig


def get_config() -> config_dict.ConfigDict:
  """The whole config."""
  return config(LatencyPredictorConfig())
