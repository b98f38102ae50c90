"""Tables that no search space can have are refused when it is built."""

import dataclasses

import pytest

from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.fbnetv2 import masked_space
from fbnax.spaces.searched import SKIP, Row, typed_block
from fbnax.spaces.space import Decision, SearchSpace, follow

KIND = Decision("kind", ("k3", "skip"), categorical=True)
TYPES = {"k3": {"kernel": 3}, "skip": SKIP}
WIDTH = Decision("width", (8, 16))


def build(block, decisions=(KIND, WIDTH), **fields):
  table = Architecture(
    resolution=16,
    stem=Stem(channels=8),
    blocks=(block,),
    head=Head(channels=16, expansion=0.0),
  )
  return SearchSpace("s", decisions, dataclasses.replace(table, **fields))


def searched(**fields):
  return typed_block(KIND, TYPES, **({"channels": 8, "stage": 1} | fields))


def test_what_is_right_is_built():
  build(searched(channels=follow(WIDTH)))
  build(Block(channels=8, stage=1, expansion=follow(WIDTH)))


@pytest.mark.parametrize(
  "values", ((16, 8), (8, 8)), ids=("descending", "repeated")
)
def test_channels_ascend(values):
  message = rf"'s': stage1.block0.channels offers \({values[0]}, .*ascending"
  for make in (searched, lambda **f: Block(stage=1, **f)):
    with pytest.raises(ValueError, match=message):
      build(make(channels=follow(WIDTH, values)))
  stem = Stem(channels=follow(WIDTH, values))
  with pytest.raises(ValueError, match=r"stem.channels offers .*ascending"):
    build(searched(), stem=stem)
  with pytest.raises(ValueError, match=r"ordinal decision 'c' must ascend"):
    Decision("c", (16, 8))


def test_widths_have_at_least_a_channel():
  width = Decision("width", (0, 16))
  with pytest.raises(ValueError, match=r"block0.channels offers 0; .* least 1"):
    build(searched(channels=follow(width)), (KIND, width))


@pytest.mark.parametrize("value", (0, -1.0, float("nan")))
def test_expansions_are_above_zero(value):
  expansion = Decision("e", (value, 3.0))
  message = rf"'s': stage1.block0.expansion offers {value!r}; legal: above 0"
  with pytest.raises(ValueError, match=message):
    build(searched(expansion=follow(expansion)), (KIND, expansion))
  with pytest.raises(ValueError, match=message):
    build(Block(channels=8, stage=1, expansion=value))


def test_resolutions_divide_by_every_stride():
  rows = (Row(1, 1.0, 8, stride=2), Row(2, 1.0, 16, stride=2))
  arguments = {"head_channels": 16, "types": TYPES}
  masked_space("s", rows, (32, 40), **arguments)
  with pytest.raises(
    ValueError, match=r"'s': resolution offers 36; legal: multiples of 8"
  ):
    masked_space("s", rows, (32, 36), **arguments)
  # Without a stride in the stem they divide by less.
  masked_space("s", rows, (32, 36), stem_stride=1, **arguments)


def test_types_of_a_layer_have_one_shape():
  with pytest.raises(ValueError, match=r"block0.stride follows 'kind'"):
    build(searched(stride=follow(KIND, (1, 2))))
  with pytest.raises(ValueError, match=r"block0.padding is 0; legal: None"):
    build(searched(padding=0))
  with pytest.raises(ValueError, match=r"op offers 'pool'; legal: inverted"):
    build(
      typed_block(KIND, TYPES | {"skip": {"op": "pool"}}, channels=8, stage=1)
    )


def test_groups_divide_all_widths():
  types = {"k3": {"groups": 3}, "skip": SKIP}
  with pytest.raises(
    ValueError, match=r"block0.groups is 3; legal: a divisor .* 8 is one"
  ):
    build(typed_block(KIND, types, channels=8, stage=1))


@pytest.mark.parametrize(
  ("fields", "words"),
  [
    ({"channels": follow(WIDTH, (8, 10**6))}, "channels offers 1000000; legal"),
    ({"kernel": 1001}, "kernel offers 1001; legal: at most 255"),
    ({"expansion": follow(WIDTH, (6.0, 1e4))}, "expansion offers 10000.0;"),
  ],
)
def test_what_asks_for_more_memory_than_anyone_means(fields, words):
  with pytest.raises(ValueError, match=words):
    build(Block(**{"channels": 8, "stage": 1} | fields))
  with pytest.raises(ValueError, match=r"resolution offers 8192; .* 4,096"):
    build(Block(channels=8, stage=1), resolution=8192)
  with pytest.raises(ValueError, match="blocks has 1,001 entries; legal"):
    build(searched(), blocks=(Block(channels=8, stage=1),) * 1001)
