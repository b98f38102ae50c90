"""Once-for-All's ProxylessNAS space, width 1.3.

Cai et al. 2020, "Once for All", around the mobile network of Cai et al. 2019,
"ProxylessNAS": five stages of two to four layers and a sixth of one, each layer
with a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6, images of 128 to 224
pixels in steps of 4. Widths are ProxylessNAS's times 1.3, rounded to multiples
of 8. There is no squeeze-excite. The original's activation is ReLU6, here it is
ReLU; no count depends on it.
"""

from __future__ import annotations

from typing import Any

import jax

from fbnax.spaces import mobilenetv3
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.space import Decision, SearchSpace, follow

# Output channels, stride of the first layer, squeeze-excite, activation.
STAGES: mobilenetv3.Stages = (
  (32, 2, False, "relu"),
  (56, 2, False, "relu"),
  (104, 2, False, "relu"),
  (128, 1, False, "relu"),
  (248, 2, False, "relu"),
  (416, 1, False, "relu"),
)


def space() -> SearchSpace:
  """The whole space."""
  resolution = Decision("resolution", mobilenetv3.RESOLUTIONS)
  depths = [mobilenetv3.DEPTHS] * (len(STAGES) - 1) + [(1,)]
  decisions, blocks = mobilenetv3.elastic_stages(STAGES, depths)
  return SearchSpace(
    name="proxylessnas",
    decisions=(resolution, *decisions),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=40, activation="relu", bias=False),
      blocks=(Block(channels=24, stage=0), *blocks),
      head=Head(channels=1664, expansion=0.0, activation="relu"),
    ),
  )


def genotypes_from_ofa(
  ks: Any, expand: Any, depth: Any, resolution: Any
) -> jax.Array:
  """Canonical genotypes of networks in Once-for-All's notation.

  Args:
    ks: kernel sizes, `[n, 21]`, at 4 x stage + layer; whatever stands behind a
      stage's last layer is ignored.
    expand: expansions, likewise.
    depth: layers of the first five stages, `[n, 5]`.
    resolution: pixels, `[n]`.

  Returns:
    `i32[n, D]`.

  Raises:
    ValueError: a shape does not fit, or a value is none of the space's; its
      row and decision are named.
  """
  return mobilenetv3.elastic_genotypes(space(), ks, expand, depth, resolution)
