"""Measures what pretraining saves in labels: Figure 4.4 of Wan 2022.

    python -m fbnax.main --config=configs/predictors.py \
      --config.table=accel_nasbench_imagenet.npz --workdir=runs/predictors

Error and rank correlation of the accuracy predictor with and without
pretraining, of ridge regression and of a Gaussian process against the number of
labels, 10 draws of labels; five minutes on two CPU cores. The trials of a
finished search serve as the table with

    --config.run=runs/digits --config.labels="(6, 12, 24)" --config.held_out=12

With the scores of a finished run of `configs/zero_cost.py` on the same space
there is one more learner, pretrained on costs and on these
(`--config.proxies=runs/scores`; in a search `--config.search.proxies`). It
learns each score by rank, as `fbnax.search.nars.free_labels` says. Every key,
its unit and default: add --explain to the command.

Results on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2). Error in
percentage points of ImageNet top-1 on 4,000 held-out networks of
Accel-NASBench, Kendall's rank correlation in parentheses, by the first command:

    labels  pretrained    from scratch  ridge         Gaussian process
    25      1.41 (0.754)  2.78 (0.389)  2.64 (0.461)  3.10 (0.250)
    50      1.16 (0.795)  2.14 (0.575)  1.76 (0.679)  1.82 (0.666)
    100     0.94 (0.828)  1.69 (0.691)  1.41 (0.753)  1.42 (0.752)
    200     0.82 (0.849)  1.32 (0.757)  1.29 (0.781)  1.27 (0.783)
    400     0.69 (0.873)  1.08 (0.799)  1.24 (0.792)  1.18 (0.800)
    800     0.59 (0.890)  0.87 (0.840)  1.22 (0.796)  0.83 (0.851)

From scratch the predictor needs 6.2 to 6.6 times the labels for the same error
(the paper says 5), a Gaussian process 4.2 to 8.2 times, where 800 labels
suffice at all.

On the digits' trials (`--config.run=runs/digits`, as above) pretraining saves
no labels: with 6, 12 and 24 of the 36 trials as labels the error on the other
12 is 4.30, 3.70 and 3.18 points of likelihood, from scratch 4.01, 3.46 and
3.15, with ridge regression 4.38, 4.28 and 4.02.

Scores of untrained networks beside the costs (synflow, jacob_cov, snip), of 400
networks and of 1,000 cells; 6 CPU-minutes for the scores of 400 networks, two
minutes for each comparison. `runs/scores` is the run of `nasbench201` in
`configs/zero_cost.py`:

    python -m fbnax.main --config=configs/zero_cost.py:mnasnet \
      --config.data.path=cifar10.npz \
      --config.table=accel_nasbench_imagenet.npz --workdir=runs/scores_mnasnet
    python -m fbnax.main --config=configs/predictors.py \
      --config.table=accel_nasbench_imagenet.npz \
      --config.labels="(25, 50, 100, 200, 400)" \
      --config.proxies=runs/scores_mnasnet --workdir=runs/proxies_mnasnet
    python -m fbnax.main --config=configs/predictors.py \
      --config.table=nasbench201_cifar10.npz --config.num_classes=10 \
      --config.labels="(25, 50, 100, 200, 400)" \
      --config.proxies=runs/scores --workdir=runs/proxies_nasbench201

            NAS-Bench-201                             Accel-NASBench
    labels  costs         and proxies   from scratch  costs         and proxies
    25      14.4 (0.366)  11.4 (0.525)  14.8 (0.333)  1.41 (0.754)  1.36 (0.762)
    50      12.4 (0.389)  10.1 (0.561)  12.5 (0.399)  1.16 (0.795)  1.21 (0.789)
    100     11.5 (0.459)  9.3 (0.556)   11.2 (0.466)  0.94 (0.828)  1.07 (0.808)
    200     10.6 (0.563)  8.1 (0.602)   9.9 (0.533)   0.82 (0.849)  0.97 (0.822)
    400     9.3 (0.652)   6.5 (0.675)   8.4 (0.638)   0.69 (0.873)  0.84 (0.845)

Scores save three quarters and more of the labels on cells: with 100 labels the
error is that of costs alone with 400, and it is lower in 49 of 50 draws. There
costs alone do not beat no pretraining. On Accel-NASBench, whose accuracies
follow the costs, scores do harm from 50 labels on. So they are no default.
"""

from ml_collections import config_dict

from fbnax.jobs.predictors.config import PredictorsConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The comparison on a table of trained networks."""
  return config(PredictorsConfig())
