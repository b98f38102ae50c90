"""Measures what pretraining saves in labels: Figure 4.4 of Wan 2022.

    python -m fbnax.main --config=configs/predictors.py \
      --config.table=accel_nasbench_imagenet.npz --workdir=runs/predictors

Error and rank correlation of the accuracy predictor with and without
pretraining, of ridge regression and of a Gaussian process against the number
of labels, 10 seeds; about ten minutes on two CPU cores. On the trials of a
finished search:

    --config.run=runs/digits --config.labels="(6, 12, 24)" --config.held_out=12

With the scores of a finished run of `configs/zero_cost.py` on the same space
there is one more learner, pretrained on costs and on these:

    --config.proxies=runs/scores
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The comparison on a table of trained networks."""
  return config_dict.create(
    job="predictors",
    seed=0,
    table="",
    run="",
    labels=(25, 50, 100, 200, 400, 800),
    held_out=4000,
    seeds=10,
    pool=20_000,
    predictors=8,
    num_classes=1000,
    proxies="",
    # The three that vote in Abdelfattah et al. 2021: chosen by no accuracy.
    proxy_names=("synflow", "jacob_cov", "snip"),
  )
