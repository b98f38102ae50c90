"""A space of FBNetV3's kinds of decisions for images of 8 to 32 pixels.

Kernel, first and rest expansion, width, depth, squeeze-excite by stage, shared
expansions, resolution and recipe, at a size that two CPU cores train: 0.1 to
2 M MACs at 8 pixels. The stem keeps the resolution; stages 2 and 3 halve it.
Learning rates suit short trainings with batches of 64; SGD's are 16 times
RMSProp's.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.fbnetv3 import Expansions, recipe_table, scaled, stage, steps
from fbnax.spaces.space import Decision, SearchSpace, follow


def space() -> SearchSpace:
  """The small space."""
  resolution = Decision("resolution", (8, 12, 16, 24, 32))
  stem = Decision("stem.channels", steps(8, 16, 4))
  kernels = [
    Decision(f"stage{i}.kernel", (3, 5), categorical=True) for i in range(1, 5)
  ]
  channels = [
    Decision("stage1.channels", steps(8, 16, 4)),
    Decision("stage2.channels", steps(16, 32, 4)),
    Decision("stage3.channels", steps(32, 56, 8)),
    Decision("stage4.channels", steps(56, 88, 8)),
  ]
  depths = [
    Decision(f"stage{i}.depth", steps(1, high))
    for i, high in enumerate((2, 3, 3, 2), start=1)
  ]
  first2 = Decision("stage2.expansion_first", steps(2, 4))
  rest2 = Decision("stage2.expansion_rest", steps(2, 3))
  first34 = Decision("stage3_4.expansion_first", steps(2, 4))
  rest34 = Decision("stage3_4.expansion_rest", steps(2, 3))
  expansions: tuple[Expansions, ...] = (
    (1, 1),
    (first2, rest2),
    (first34, rest34),
    (first34, rest34),
  )
  strides_and_squeeze = ((1, False), (2, False), (2, True), (1, True))
  blocks: tuple[Block, ...] = ()
  for i, (expansion, (stride, squeeze_excite)) in enumerate(
    zip(expansions, strides_and_squeeze, strict=True), start=1
  ):
    blocks += stage(
      i,
      channels[i - 1],
      depths[i - 1],
      kernels[i - 1],
      expansion,
      stride,
      squeeze_excite,
    )
  recipe = (
    Decision("recipe.learning_rate", scaled(10, 60, 1000)),
    Decision("recipe.optimizer", ("rmsprop", "sgd"), categorical=True),
    Decision("recipe.ema", (True, False), categorical=True),
    Decision("recipe.dropout", scaled(0, 30, 100)),
    Decision("recipe.stochastic_depth", scaled(0, 20, 100)),
    Decision("recipe.mixup", scaled(0, 40, 100)),
    Decision("recipe.weight_decay", scaled(1, 100, 1_000_000)),
  )
  return SearchSpace(
    name="small",
    decisions=(
      resolution,
      stem,
      *kernels,
      first2,
      rest2,
      first34,
      rest34,
      *channels,
      *depths,
      *recipe,
    ),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=follow(stem), stride=1),
      blocks=blocks,
      head=Head(channels=128, expansion=3),
      squeeze_from_input=True,
    ),
    recipe_table=recipe_table(recipe),
    sgd_factor=16.0,
  )
