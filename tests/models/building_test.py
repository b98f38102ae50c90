"""Networks that are larger than anyone means are not built."""

import dataclasses

import pytest

from fbnax.models.building import build
from fbnax.spaces import Architecture, Block, Head, ResNet, Stem

NETWORK = Architecture(
  resolution=32,
  stem=Stem(8),
  blocks=(Block(8, 1),),
  head=Head(16, expansion=0.0),
)
WIDE = Block(65_536, 1, expansion=4.0)


@pytest.mark.parametrize(
  ("network", "words"),
  [
    (
      dataclasses.replace(NETWORK, stem=Stem(65_536), blocks=(WIDE,) * 9),
      "parameters; legal: at most 2,147,483,648",
    ),
    (
      dataclasses.replace(NETWORK, resolution=4_096, stem=Stem(512, stride=1)),
      "has 8,589,934,592 numbers in one feature map",
    ),
    (
      dataclasses.replace(NETWORK, resolution=4_096, input_channels=4_096),
      "has 68,719,476,736 numbers in one feature map",
    ),
    (ResNet((500, 400), (65_536, 65_536), 64), "parameters; legal: at most"),
  ],
)
def test_the_product_of_legal_numbers_may_be_too_large(network, words):
  with pytest.raises(ValueError, match=words):
    build(network, 10)


def test_the_head_counts():
  build(NETWORK, 1_000)
  with pytest.raises(ValueError, match="parameters; legal"):
    build(NETWORK, 2**28)
