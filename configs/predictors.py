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

from fbnax.jobs.configs import config
from fbnax.jobs.configs.predictors import PredictorsConfig


def get_config() -> config_dict.ConfigDict:
  """The comparison on a table of trained networks."""
  return config(PredictorsConfig())
