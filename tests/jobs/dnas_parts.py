"""A space for a search of seconds: two layers, images of 8 pixels.

Named as `tests/jobs/dnas_parts.py:space`.
"""

from fbnax.spaces.fbnetv2 import TYPES, masked_space
from fbnax.spaces.searched import Row


def space():
  """Type, width and expansion of two layers."""
  return masked_space(
    "two_layers",
    (Row(1, 1.0, (4, 8, 4)), Row(2, (1.0, 2.0, 1.0), (8, 12, 4), 1, 2)),
    (8,),
    head_channels=16,
    types={name: TYPES[name] for name in ("k3", "skip")},
    stem_stride=1,
  )
