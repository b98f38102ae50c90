"""Pure array functions."""

from fbnax.ops.gumbel import gumbel_softmax, relaxed, straight_through
from fbnax.ops.marks import feature_map
from fbnax.ops.masks import channel_mask
from fbnax.ops.resolution import intersperse, resolution_subsampled, subsample
from fbnax.ops.soft_rank import soft_rank, soft_spearman

__all__ = [
  "channel_mask",
  "feature_map",
  "gumbel_softmax",
  "intersperse",
  "relaxed",
  "resolution_subsampled",
  "soft_rank",
  "soft_spearman",
  "straight_through",
  "subsample",
]
