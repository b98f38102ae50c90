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


def get_config() -> config_dict.ConfigDict:
  """The comparison on NAS-Bench-201."""
  return config_dict.create(
    job="benchmark",
    seed=0,
    table="",
    methods=("nars", "evolution", "random"),
    evaluations=100,
    epochs=1,
    seeds=20,
    num_classes=10,
    search=config_dict.create(
      first=20,
      candidates=5,
      bins=1,
      exploration=0.5,
      predictors=8,
      ranks=True,
    ),
    evolution=config_dict.create(
      population=20,
      sample=5,
    ),
    assisted=config_dict.create(
      score="nwot",
      samples=1000,
      moves=5,
    ),
  )
