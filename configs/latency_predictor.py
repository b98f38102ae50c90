"""Latency (or energy) of devices, learned from a few measured networks.

    python -m fbnax.main --config=configs/latency_predictor.py \
      --workdir=runs/latency --config.measurements=mine.csv \
      --config.space=fbnet_cifar

`measurements` is a file of networks with a column of milliseconds for each
device (`fbnax.search.autobuild.labelled`; the published file of HELP names its
space itself). For each of `devices` and each of `counts` the kinds of
predictors learn from so many networks, once from what can be counted alone and
once from what the other columns say, too, and are judged on networks that are
held out. What was learned from the most is left as a latency table for each
device, `tables/DEVICE.json`, that other jobs take: `configs/dmasking.py` and
`configs/fbnet.py` as `search.table`, `configs/nars.py` and `configs/evolve.py`
as `budgets.table`. Every key, its unit and default: add --explain to the
command.

Method: Dai et al. 2019, "ChamNet", section 3.2.

Results on one CPU core (AMD EPYC, Python 3.11, jax 0.10.2), a minute: additive
tables alone, judged on 1,000 other networks, means of five draws of both.
Median relative error, Spearman's correlation in parentheses, from that many
measurements, and of a table that `costs.fit_table` fits to 4,000:

    python -m fbnax.main --config=configs/latency_predictor.py \
      --config.measurements=fbnet_latency_help.npz \
      --config.kinds="('additive',)" --config.seeds=5 \
      --config.devices="('1080ti_64','essential_ph_1','gold_6226','pixel2',\
      'samsung_s7')" --workdir=runs/latency_additive

                   10            50            200           1,000
    1080ti_64      3.4% (0.916)  2.2% (0.960)  0.9% (0.992)  0.7% (0.995)
      with others  1.0% (0.993)  0.7% (0.995)  0.7% (0.995)  0.7% (0.995)
      fit_table    0.7% (0.995)
    essential_ph_1 9.3% (0.661)  8.1% (0.710)  7.5% (0.724)  7.0% (0.733)
      with others  8.7% (0.699)  7.7% (0.729)  7.1% (0.738)  7.1% (0.744)
      fit_table    7.3% (0.740)
    gold_6226      8.2% (0.930)  6.3% (0.930)  1.8% (0.977)  1.0% (0.980)
      with others  7.6% (0.924)  5.8% (0.932)  1.8% (0.977)  1.0% (0.980)
      fit_table    1.6% (0.980)
    pixel2         8.0% (0.749)  7.2% (0.796)  7.4% (0.810)  7.5% (0.813)
      with others  7.8% (0.779)  7.2% (0.803)  7.3% (0.819)  7.4% (0.821)
      fit_table    7.8% (0.815)
    samsung_s7     9.3% (0.676)  6.1% (0.737)  4.9% (0.751)  4.0% (0.761)
      with others  9.6% (0.714)  5.5% (0.755)  3.9% (0.764)  3.0% (0.767)
      fit_table    7.2% (0.742)

"With others" learns from the other devices' columns, too; the same device with
another batch size does not count as another. Two of the phones are hardly
learned further after 50 measurements, by a table of 4,000 neither; on the
third, some of whose measurements are far off, robust regression halves the
error. Other devices help most where one is alike (1080ti_64).

All three kinds (without `kinds` and `seeds`; 21 minutes beside other work): the
additive table is the best of them for 34 of the 40 combinations of device,
number and start by its error on the held-out networks, and is taken for 30; the
multi-layer perceptron and the graph predictor gain where measurements are few
or parts interact (pixel2: 6.5% and 6.6% from 1,000).
"""

from ml_collections import config_dict

from fbnax.jobs.latency_predictor.config import LatencyPredictorConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The whole config."""
  return config(LatencyPredictorConfig())
