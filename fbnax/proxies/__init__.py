"""Zero-cost proxies: scores of networks that have not been trained.

`score` takes any Flax module as it is; `Scorer` is one compiled program for
thousands of networks that one module computes; `majority`, `mean_rank`,
`log_rank` and `one_factor` make one order of several scores.

A score that is not finite (the network overflows, or lets nothing through) is
`-inf` and ranks last. A module or a batch that a proxy has no score of is a
`ValueError`: no ReLU for naswot, no convolution for fisher, one image for
jacob_cov, labels beyond the classes.
"""

from fbnax.base.ranks import (
  best_share,
  kendall,
  partial_spearman,
  spearman,
  spearman_matrix,
)
from fbnax.proxies.activations import regularised
from fbnax.proxies.scoring import (
  PROXIES,
  Proxy,
  Scorer,
  check_batch,
  names,
  score,
)
from fbnax.proxies.votes import (
  VOTES,
  dense_rank,
  log_rank,
  majority,
  mean_rank,
  normal_scores,
  one_factor,
  ranks,
  vkdnw_aggregated,
)

__all__ = [
  "PROXIES",
  "VOTES",
  "Proxy",
  "Scorer",
  "best_share",
  "check_batch",
  "dense_rank",
  "kendall",
  "log_rank",
  "majority",
  "mean_rank",
  "names",
  "normal_scores",
  "one_factor",
  "partial_spearman",
  "ranks",
  "regularised",
  "score",
  "spearman",
  "spearman_matrix",
  "vkdnw_aggregated",
]
