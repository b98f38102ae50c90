"""AutoBuild: which building blocks matter, learned from labelled networks.

  python -m fbnax.main --config=configs/autobuild.py --workdir=runs/autobuild \
    --config.labels=ofa_mbv3.npz

`labels` is a CSV or JSON file of networks with numbers (`fbnax.search.labelled`
says how; then `space` names the space), or a published .npz of Once-for-All
networks. Each of `expressions` is a label that a graph predictor learns;
modules are ranked, networks put together, and reduced spaces searched. With
`region` an expression is chosen by itself for networks of that cost.

Method: Mills et al. 2024, "Building Optimal Neural Architectures using
Interpretable Knowledge".
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.autobuild import AutobuildConfig


def get_config() -> config_dict.ConfigDict:
  """The whole config."""
  return config(AutobuildConfig())
