"""Compares searches on a table of trained networks, with many seeds.

    python -m fbnax.main --config=configs/benchmark.py \
      --config.table=nasbench201_cifar10.npz --workdir=runs/nasbench201

NARS, regularized evolution and random search, 100 evaluations of distinct
genotypes each, 20 seeds; about five minutes on two CPU cores. The format of a
table: `fbnax/search/tables.py`. With the zero-cost scores of a table, searches
that these assist:

    --config.methods="('naswot_10','naswot_100','naswot_1000','area',
    'area_moves','evolution','random')" --config.seeds=100
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.benchmark import BenchmarkConfig


def get_config() -> config_dict.ConfigDict:
  """The comparison on NAS-Bench-201."""
  return config(BenchmarkConfig())
