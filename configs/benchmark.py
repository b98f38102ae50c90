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
epochs of the cell that it returns. Mean and deviation of 20 seeds on which
nothing was chosen (`--config.seed=400`); the best cell of the table has 94.37%.
What is seen may have noise (`--config.noise=0.0148`); 1.48 points is the
deviation between validation and test accuracy after 12 epochs, of the better
half of the cells:

    noise, points         0             1.48          2.96          4.44
    NARS                  94.31 ± 0.17  93.99 ± 0.59  93.80 ± 0.67  93.69 ± 0.57
    NARS, predictor alone 94.26 ± 0.26  93.86 ± 0.40  93.29 ± 0.73  93.24 ± 0.70
    regularized evolution 93.99 ± 0.24  93.60 ± 0.55  93.44 ± 0.66  93.20 ± 0.86
    random search         93.76 ± 0.41  93.54 ± 0.58  93.16 ± 0.72  92.69 ± 1.09
    p, NARS and evolution 0.00005       0.0006        0.024         0.028

NARS's candidates come of its predictor and of a Gaussian process which knows
how noisy measurements are (`search.learner=both`), and by that it chooses what
it returns, not by the best measurement (`search.choice=posterior`). The second
row has neither: `--config.search.learner=predictor
--config.search.choice=measured`. NARS's sizes were chosen by looking at seeds 0
to 19, the process's prior at seeds 100 to 119, 200 to 219 and 300 to 311. p is
two-sided, of Mann and Whitney. A search takes four to five seconds.

On Accel-NASBench (`--config.table=accel_nasbench_imagenet.npz
--config.num_classes=1000 --config.seed=400 --config.seeds=10`), whose 5,138
networks have one accuracy, NARS finds the best (67.05%) with every seed, by the
predictor alone too; regularized evolution has 66.04 ± 0.39% (p = 0.00006),
random search 65.72 ± 0.50%. A search takes twenty seconds.

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
