"""Names for values, by which an analysis of a traced program finds them.

A name changes no value and no compiled program.
"""

from __future__ import annotations

import jax
from jax.ad_checkpoint import checkpoint_name

FEATURE_MAP = "fbnax.feature_map"


def feature_map(x: jax.Array) -> jax.Array:
  """The same array, marked as the feature map that a block has made.

  Scores that compare successive blocks (`fbnax.proxies.features`) take the
  marked maps where a module marks any.

  Args:
    x: `f32[B, H, W, C]`, through which all later layers see the images.
  """
  return checkpoint_name(x, FEATURE_MAP)
