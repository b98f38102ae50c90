"""The FBNetV2 spaces against Tables 3.3 and 3.7 to 3.9, typed in again."""

import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces import tables

# Layer by layer: lowest and highest expansion, its step, widths as (low, high,
# step), stride.
SMALL_STEP = (0.75, 3.25, 0.5)
MIDDLE = (0.75, 3.75, 0.5)
WIDE = (0.75, 4.5, 0.75)
ONE = (1.0, 1.0, 1.0)
LAYERS = {
  "fbnetv2_l": [
    (ONE, (12, 16, 4), 1),
    (SMALL_STEP, (16, 28, 4), 2),
    *2 * [(SMALL_STEP, (16, 28, 4), 1)],
    (SMALL_STEP, (16, 40, 8), 2),
    *2 * [(SMALL_STEP, (16, 40, 8), 1)],
    (MIDDLE, (48, 96, 8), 2),
    *2 * [(MIDDLE, (48, 96, 8), 1)],
    *4 * [(WIDE, (72, 128, 8), 1)],
    (WIDE, (112, 216, 8), 2),
    *3 * [(WIDE, (112, 216, 8), 1)],
  ],
  "fbnetv2_f": [
    (ONE, (12, 16, 4), 1),
    (WIDE, (16, 24, 4), 2),
    *2 * [(WIDE, (16, 24, 4), 1)],
    (WIDE, (16, 40, 8), 2),
    *2 * [(WIDE, (16, 40, 8), 1)],
    (WIDE, (48, 80, 8), 2),
    *2 * [(WIDE, (48, 80, 8), 1)],
    *3 * [(WIDE, (72, 112, 8), 1)],
    (WIDE, (112, 184, 8), 2),
    *3 * [(WIDE, (112, 184, 8), 1)],
  ],
  "fbnetv2_p": [
    (ONE, (16, 28, 4), 1),
    (WIDE, (16, 40, 4), 2),
    *2 * [(WIDE, (16, 40, 4), 1)],
    (WIDE, (16, 48, 8), 2),
    *2 * [(WIDE, (16, 48, 8), 1)],
    (WIDE, (48, 96, 8), 2),
    *2 * [(WIDE, (48, 96, 8), 1)],
    *4 * [(WIDE, (72, 128, 8), 1)],
    (WIDE, (112, 216, 8), 2),
    *3 * [(WIDE, (112, 216, 8), 1)],
    (WIDE, (112, 216, 8), 1),
  ],
}
RESOLUTIONS = {
  "fbnetv2_l": (160, 192, 224, 256),
  "fbnetv2_f": (128, 160, 192, 224),
  "fbnetv2_p": (192, 224, 256, 288),
}
HEADS = {"fbnetv2_l": 1984, "fbnetv2_f": 1984, "fbnetv2_p": 1280}
every_space = pytest.mark.parametrize("name", tuple(LAYERS))


def between(low, high, step):
  return tuple(np.arange(low, high + step / 2, step))


@every_space
def test_macro_architecture(name):
  space = spaces.get(name)
  found = {d.name: d for d in space.decisions}
  assert found.pop("resolution").values == RESOLUTIONS[name]
  table = space.table
  assert (table.stem.channels, table.stem.stride) == (16, 2)
  assert (table.head.channels, table.head.expansion) == (HEADS[name], 0)
  assert table.divisor == 8
  assert len(table.blocks) == len(LAYERS[name])
  rows = zip(table.blocks, LAYERS[name], strict=True)
  for i, (block, (expansions, channels, stride)) in enumerate(rows, start=1):
    assert block.stride == stride
    assert len(found.pop(f"layer{i}.block").values) == 9
    assert found.pop(f"layer{i}.channels").values == between(*channels)
    if expansions == ONE:
      assert block.expansion == 1
    else:
      assert found.pop(f"layer{i}.expansion").values == between(*expansions)
  assert not found


def test_block_types_of_table_3_3():
  wanted = [
    (kernel, squeeze_excite, activation)
    for squeeze_excite in (False, True)
    for activation in ("relu", "hswish")
    for kernel in (3, 5)
  ]
  for name in LAYERS:
    space = spaces.get(name)
    for block in space.table.blocks:
      *residuals, skip = tables.alternatives(block)
      assert [
        (b.kernel, b.squeeze_excite, b.activation) for b in residuals
      ] == wanted
      assert skip.op == "skip"
      assert {b.op for b in residuals} == {"inverted_residual"}
  names = spaces.get("fbnetv2_f").decisions[1].values
  assert names == (
    *("k3", "k5", "k3_hs", "k5_hs"),
    *("k3_se", "k5_se", "k3_se_hs", "k5_se_hs"),
    "skip",
  )


def test_the_largest_space_has_more_than_1e35_networks():
  """Section 3.4; skips make some genotypes equal, so those do not count."""
  space = spaces.get("fbnetv2_l")
  networks = len(RESOLUTIONS["fbnetv2_l"])
  for expansions, channels, _ in LAYERS["fbnetv2_l"]:
    networks *= len(between(*channels)) * (8 * len(between(*expansions)) + 1)
  assert space.size > networks > 10**35


@every_space
def test_maps_are_those_of_the_tables(name):
  """From the largest resolution to the last map: a 32nd."""
  last = {"fbnetv2_l": 8, "fbnetv2_f": 7, "fbnetv2_p": 9}
  side = RESOLUTIONS[name][-1] // 2
  for _, _, stride in LAYERS[name]:
    side = side // stride
  assert side == last[name]
