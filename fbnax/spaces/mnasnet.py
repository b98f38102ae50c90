"""The MnasNet space of Accel-NASBench: seven stages of inverted residuals.

Each stage (the benchmark says block, and so do the decisions) chooses its
expansion, kernel, number of layers and squeeze-excite. The fixed parts were
solved for from the benchmark's table: its counts are sums over stages, and the
differences between stages give every width. Of the 5,138 networks measured
there, all have exactly the parameters and, in the counter it used, exactly the
MACs of what is here:

* stem of 32 channels, widths and strides as in `STAGES`, a last convolution of
  1280 at 224 pixels; no convolution outside squeeze-excite is biased;
* no expanding convolution where the expansion is 1;
* squeeze-excite of a quarter of the block's input channels, not rounded;
* the table's MACs hold more than convolutions and linear layers: 4 for each
  element that a BN gives, and for each channel of a global average pool (the
  head's and squeeze-excite's) its pixels and one.

The benchmark says 1 to 3 layers; stage 5 of its table has 4 in 1,059 networks,
so 4 is legal there. Counts cannot tell activations; ReLU is MnasNet's (Tan et
al. 2019). The columns of the table are the decisions in order, with 0 and 1
for squeeze-excite.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.space import Decision, SearchSpace, follow

# Output channels, stride of the first layer, most layers.
STAGES = (
  (16, 1, 3),
  (24, 2, 3),
  (40, 2, 3),
  (80, 2, 3),
  (112, 1, 3),
  (192, 2, 4),
  (320, 1, 3),
)


def space() -> SearchSpace:
  """The whole space."""
  decisions: list[Decision] = []
  blocks: list[Block] = []
  for index, (channels, stride, most) in enumerate(STAGES):
    name = f"block{index}"
    expansion = Decision(f"{name}.expansion", (1, 4, 6))
    kernel = Decision(f"{name}.kernel", (3, 5), categorical=True)
    layers = Decision(f"{name}.layers", tuple(range(1, most + 1)))
    squeeze_excite = Decision(
      f"{name}.squeeze_excite", (False, True), categorical=True
    )
    decisions += [expansion, kernel, layers, squeeze_excite]
    for slot in range(most):
      reaches = tuple(count > slot for count in layers.values)
      blocks.append(
        Block(
          channels=channels,
          stage=index,
          kernel=follow(kernel),
          expansion=follow(expansion),
          stride=stride if slot == 0 else 1,
          squeeze_excite=follow(squeeze_excite),
          present=True if all(reaches) else follow(layers, reaches),
        )
      )
  return SearchSpace(
    name="mnasnet",
    decisions=tuple(decisions),
    table=Architecture(
      resolution=224,
      stem=Stem(channels=32, activation="relu", bias=False),
      blocks=tuple(blocks),
      head=Head(channels=1280, expansion=0.0, activation="relu"),
      divisor=1,
      squeeze_from_input=True,
    ),
  )
