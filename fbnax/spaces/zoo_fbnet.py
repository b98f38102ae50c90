"""FBNet's published networks A, B, C and the one for images of 96 pixels.

Facts measured from mobile-vision. Widths are not rounded, every convolution
but fbnet_96's is biased, and the last one is a plain convolution.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture
from fbnax.spaces.zoo_notation import parse

A = """
stem c16
1 skip c16
2 c24 k3 e3 s2
2 c24 k3 e1
2 skip c24 x2
3 c32 k5 e6 s2
3 c32 k3 e3
3 c32 k5 e1
3 c32 k3 e3
4 c64 k5 e6 s2
4 c64 k5 e3
4 c64 k5 e1 g2
4 c64 k5 e6
4 c112 k3 e6
4 c112 k5 e1 g2
4 c112 k5 e3
4 c112 k3 e1 g2
5 c184 k5 e6 x2 s2
5 c184 k5 e3
5 c184 k5 e6
5 c352 k5 e6
head c1504
"""

B = """
stem c16
1 c16 k3 e1
2 c24 k3 e6 s2
2 c24 k5 e1
2 c24 k3 e1 x2
3 c32 k5 e6 s2
3 c32 k5 e3
3 c32 k3 e6
3 c32 k5 e6
4 c64 k5 e6 x2 s2
4 skip c64
4 c64 k5 e3
4 c112 k5 e6
4 c112 k3 e1
4 c112 k5 e1
4 c112 k5 e3
5 c184 k5 e6 s2
5 c184 k5 e1
5 c184 k5 e6 x2
5 c352 k3 e6
head c1984
"""

C = """
stem c16
1 c16 k3 e1
2 c24 k3 e6 s2
2 skip c24
2 c24 k3 e1 x2
3 c32 k5 e6 s2
3 c32 k5 e3
3 c32 k5 e6
3 c32 k3 e6
4 c64 k5 e6 s2
4 c64 k5 e3
4 c64 k5 e6 x2
4 c112 k5 e6 x3
4 c112 k5 e3
5 c184 k5 e6 x4 s2
5 c352 k3 e6
head c1984
"""

AT_96 = """
stem c8
1 c8 k3 e1
2 c16 k3 e6 x2 s2
3 c16 k5 e6 x2 s2
4 c24 k5 e6 s2
4 c40 k3 e6
5 c72 k5 e6 x2 s2
5 c128 k5 e6
head c1416
"""


def networks() -> dict[str, Architecture]:
  """The networks by name."""
  unbiased = {"divisor": 1, "zero_last_gamma": False}
  biased = unbiased | {"block_bias": True, "head_bias": True}
  return {
    "fbnet_a": parse(A, 224, **biased),
    "fbnet_b": parse(B, 224, **biased),
    "fbnet_c": parse(C, 224, **biased),
    "fbnet_96": parse(AT_96, 96, **unbiased),
  }
