"""Which blocks write the same channels."""

from fbnax.spaces import Architecture, Block, Head, Stem, zoo
from fbnax.spaces.streams import streams


def test_a_stem_and_a_first_block_may_have_one():
  names = streams(zoo.get("timm_mobilenetv3_large_100"))
  assert names[:5] == ("stem", "stem", "stage2", "stage2", "stage4")


def test_lite0s_are_its_stages():
  network = zoo.get("timm_tf_efficientnet_lite0")
  stages = tuple(f"stage{block.stage}" for block in network.blocks)
  assert streams(network) == ("stem", *stages)


def test_what_begins_one_within_a_stage():
  blocks = (
    Block(16, 1),
    Block(16, 1),
    Block(16, 1, residual=False),
    Block(16, 1, op="skip"),
    Block(24, 1, op="skip"),
    Block(24, 2, stride=2),
    Block(24, 2, op="fused_mbconv"),
  )
  network = Architecture(32, Stem(8), blocks, Head(16))
  assert streams(network) == (
    "stem",
    "stage1",
    "stage1",
    "stage1.block2",
    "stage1.block2",
    "stage1.block4",
    "stage2",
    "stage2",
  )
