"""Compares searches on a table of trained networks, with many seeds.

    python -m fbnax.main --config=configs/benchmark.py \
      --config.table=nasbench201_cifar10.npz --workdir=runs/nasbench201

NARS, regularized evolution and random search look up 100 distinct genotypes
each, with 20 seeds; about five minutes on two CPU cores.
`fbnax/search/benchmarks/tables.py` describes a table. A search sees the
validation accuracy of what it asks for and nothing else. Every key, its unit
and default: add --explain to the command.

Results on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2). A search sees the
validation accuracy after 12 epochs; its result is the test accuracy after 200
epochs of the cell with the best validation accuracy that it saw. Mean and
deviation of 20 seeds; the best cell of the table has 94.37%:

    search                 seeds 0 to 19   seeds 100 to 119 (--config.seed=100)
    NARS                   94.31 ± 0.19%   94.24 ± 0.22%
    regularized evolution  94.04 ± 0.35%   94.11 ± 0.27%
    random search          93.62 ± 0.28%   93.72 ± 0.45%

NARS is above regularized evolution with p = 0.0004 and p = 0.037 (two-sided
Mann–Whitney), above random search with p < 0.0001. Its sizes were chosen by
looking at seeds 0 to 19, so the second column is the fair one. A search takes
four seconds.

Searches that a zero-cost score assists (Mellor et al. 2021), by the table's
published naswot scores `nwot`: NASWOT trains the best-scored of N random cells,
then of N others; AREA begins regularized evolution with the best-scored 20 of
1,000; with scored moves it trains the best-scored of five children. 9,445 cells
have a score, NASWOT and AREA choose among these, the others among all 15,625;
100 seeds, four minutes:

    python -m fbnax.main --config=configs/benchmark.py \
      --config.table=nasbench201_cifar10.npz --config.seeds=100 \
      --config.methods="('naswot_10','naswot_100','naswot_1000','area',\
      'area_moves','evolution','random')" --workdir=runs/assisted

    search                  after 1 trained cell  after 100
    NASWOT, N = 10          92.66 ± 0.97%         94.12 ± 0.23%
    NASWOT, N = 100         92.80 ± 1.01%         93.68 ± 0.43%
    NASWOT, N = 1,000       93.09 ± 0.74%         93.09 ± 0.43%
    AREA                    93.12 ± 0.74%         94.04 ± 0.36%
    AREA with scored moves  93.12 ± 0.74%         93.60 ± 0.60%
    regularized evolution   87.51 ± 10.38%        94.08 ± 0.32%
    random search           85.78 ± 16.34%        93.71 ± 0.32%

Where one cell is trained the score decides: 7 points more than random search
(part of it is that chance draws from all cells, some of which have no score).
Where 100 are trained AREA is not told apart from evolution (p = 0.46), and the
more the score decides, the worse: it sends the search to the same cells, which
are not the best ones. Scored moves cost evolution half a point (p < 0.0001).
"""

from ml_collections import config_dict

from fbnax.jobs.benchmark.config import BenchmarkConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The comparison on NAS-Bench-201."""
  return config(BenchmarkConfig())
