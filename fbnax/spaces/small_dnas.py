"""A space of FBNetV2's kinds of decisions for images of 16 and 32 pixels.

Seven layers choose type, channels and expansion, the network its resolution,
at a size that two CPU cores search and train in minutes: 0.2 to 2.5 M MACs at
16 pixels, 1 to 10 M at 32. The types are a part of Table 3.3 (Wan 2022) in
which each of kernel, activation and squeeze-excite occurs both ways. The stem
keeps the resolution; stages 2, 3 and 4 halve it.
"""

from __future__ import annotations

from fbnax.spaces.fbnetv2 import TYPES, masked_space
from fbnax.spaces.searched import Range, Row
from fbnax.spaces.space import SearchSpace

EXPANSIONS: Range = (1.5, 4.5, 1.5)

ROWS = (
  Row(1, 1.0, (12, 16, 4)),
  Row(2, EXPANSIONS, (16, 24, 4), 1, 2),
  Row(2, EXPANSIONS, (16, 24, 4)),
  Row(3, EXPANSIONS, (24, 40, 8), 1, 2),
  Row(3, EXPANSIONS, (24, 40, 8)),
  Row(4, EXPANSIONS, (48, 80, 16), 1, 2),
  Row(4, EXPANSIONS, (48, 80, 16)),
)


def space() -> SearchSpace:
  """The small space."""
  names = ("k3", "k5", "k3_hs", "k5_se_hs", "skip")
  return masked_space(
    "small_dnas",
    ROWS,
    (16, 32),
    head_channels=256,
    types={name: TYPES[name] for name in names},
    stem_stride=1,
  )
