"""AutoBuild: which building blocks matter, learned from labelled networks.

    python -m fbnax.main --config=configs/autobuild.py \
      --workdir=runs/autobuild --config.labels=ofa_mbv3.npz

`labels` is a CSV or JSON file of networks with numbers
(`fbnax.search.autobuild.labelled` says how; then `space` names the space), or a
published .npz of Once-for-All networks. Each of `expressions` is a label that a
graph predictor learns; modules are ranked, networks put together, and reduced
spaces searched. With `region` an expression is chosen by itself for networks of
that cost. Every key, its unit and default: add --explain to the command.

Method: Mills et al. 2024, "Building Optimal Neural Architectures using
Interpretable Knowledge". `fbnax/search/autobuild/construction.py` shows it in
Python.

Results on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2), 4 minutes for each
of the spaces MobileNetV3 and ProxylessNAS (`ofa_pn.npz`):

    python -m fbnax.main --config=configs/autobuild.py \
      --config.labels=ofa_mbv3.npz --config.test_rows=test_rows.json \
      --workdir=runs/autobuild_mbv3

`test_rows.json` is the list of test rows in the published `splits.json`;
without it a tenth is held out at random. The job puts together the 243 networks
that the three best modules of every stage make, and compares them with the
labelled ones, the largest and as many random ones: accuracy against GPU
latency, both by the additive stand-in, since constructed networks have no
label. AutoBuild-NAS searches the 15 best modules by every label, Stage-Full and
Layer-Full all modules, the latter with single layers changed; 250 evaluations,
ten seeds. "beyond" counts the networks beyond the labels' front; the
hypervolume is with the labelled networks, and of the last three rows alone:

                           MobileNetV3             ProxylessNAS
    networks               beyond  hypervolume     beyond  hypervolume
    3,000 labelled                 0.2183                  0.1316
    243 by accuracy        243     0.2189          243     0.1365
    243 by accuracy * 100
      / latency            241     0.2199          243     0.1367
    243 random             5       0.2185          4       0.1326
    the largest            1       0.2191          1       0.1334
    AutoBuild-NAS, alone           0.2382 ± 0.0012         0.1559 ± 0.0014
    Layer-Full, alone              0.138 ± 0.019           0.084 ± 0.014
    Stage-Full, alone              0.109 ± 0.016           0.071 ± 0.009

The networks of a label sit in one corner of the front, so they add little to
its hypervolume by themselves; 250 networks of the reduced space cover more than
all 3,000 labelled ones do. `tests/benchmarks/graph_predictor.py` has the rank
correlations of the predictor.
"""

from ml_collections import config_dict

from fbnax.jobs.autobuild.config import AutobuildConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The whole config."""
  return config(AutobuildConfig())
