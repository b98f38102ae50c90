"""timm's versions of four of the networks.

They differ from the published ones: no biased convolutions outside
squeeze-excite, symmetric padding, no gamma that starts at 0, and fbnetc_100
has the expanding convolution everywhere, no skips, and a larger BN epsilon.
"""

from __future__ import annotations

import dataclasses

from fbnax.spaces import zoo_fbnet, zoo_fbnetv3
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.zoo_notation import parse


def networks() -> dict[str, Architecture]:
  """The networks by name, at the resolution they are evaluated at."""
  fbnetc = "\n".join(
    line for line in zoo_fbnet.C.splitlines() if "skip" not in line
  )
  networks = {
    "timm_fbnetc_100": parse(
      fbnetc,
      224,
      stem_bias=False,
      expand_at_one=True,
      zero_last_gamma=False,
      bn_epsilon=1e-3,
    )
  }
  for letter in "bdg":
    network = zoo_fbnetv3.network(
      f"fbnetv3_{letter}", stem_bias=False, zero_last_gamma=False
    )
    networks[f"timm_fbnetv3_{letter}"] = dataclasses.replace(
      network,
      blocks=tuple(
        dataclasses.replace(b, padding=None) for b in network.blocks
      ),
    )
  return networks
