"""The FBNetV3 space, architecture and recipe: Table 4.2 of Wan 2022.

Triples of the table are lowest, highest and step; pairs step by one; brackets
list all choices. Stages 4 and 5 share both expansions (the superscripts). The
last stage's kernel (`head.kernel`) is a depthwise convolution between the
expanding convolution and the pool. The published networks are not points of
this space: they have no such convolution (kernel 1), different kernels in the
first and the other blocks of a stage, and depthwise paddings of their own.

`fbnetv3_cifar` is its transfer to images of 32 pixels (section 4.4): the second
stage of stride two has stride one, and resolutions are a seventh, so that the
smallest, 224, becomes 32. `spaces.scaling.for_small_images` moves one network.
"""

from __future__ import annotations

from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow

Expansions = tuple[Decision | int, Decision | int]


def steps(low: int, high: int, step: int = 1) -> tuple[int, ...]:
  """All values from `low` to `high`, both included."""
  return tuple(range(low, high + 1, step))


def scaled(low: int, high: int, denominator: int) -> tuple[float, ...]:
  """`low` to `high` by one, divided by `denominator`."""
  return tuple(value / denominator for value in steps(low, high))


def stage(
  index: int,
  channels: Decision,
  depth: Decision | None,
  kernel: Decision,
  expansions: Expansions,
  stride: int,
  squeeze_excite: bool,
) -> tuple[Block, ...]:
  """The blocks of one stage; the first may have an expansion of its own."""
  blocks = []
  for slot in range(max(depth.values) if depth else 1):
    expansion = expansions[min(slot, 1)]
    reaches = tuple(n > slot for n in depth.values) if depth else (True,)
    blocks.append(
      Block(
        channels=follow(channels),
        stage=index,
        kernel=follow(kernel),
        expansion=follow(expansion)
        if isinstance(expansion, Decision)
        else expansion,
        stride=stride if slot == 0 else 1,
        squeeze_excite=squeeze_excite,
        activation="hswish",
        present=True
        if depth is None or all(reaches)
        else follow(depth, reaches),
      )
    )
  return tuple(blocks)


def recipe_decisions() -> tuple[Decision, ...]:
  """The recipe part of Table 4.2, in the powers of ten that make sense.

  The table prints stochastic depth and mixup in tenths, which would exceed
  one; hundredths agree with the published recipe (Table 4.9).
  """
  return (
    Decision("recipe.learning_rate", scaled(20, 30, 1000)),
    Decision("recipe.optimizer", ("rmsprop", "sgd"), categorical=True),
    Decision("recipe.ema", (True, False), categorical=True),
    Decision("recipe.dropout", scaled(1, 31, 100)),
    Decision("recipe.stochastic_depth", scaled(10, 31, 100)),
    Decision("recipe.mixup", scaled(0, 41, 100)),
    Decision("recipe.weight_decay", scaled(7, 21, 1_000_000)),
  )


def recipe_table(decisions: tuple[Decision, ...]) -> Recipe:
  """A recipe whose fields follow the decisions named after them."""
  fields = {d.name.removeprefix("recipe."): follow(d) for d in decisions}
  return Recipe(**fields)


def space() -> SearchSpace:
  """The whole of Table 4.2."""
  return _space("fbnetv3", steps(224, 272, 8), stage3_stride=2)


def cifar_space() -> SearchSpace:
  """The same for images of 32 pixels."""
  resolutions = tuple(round(side / 7) for side in steps(224, 272, 8))
  return _space("fbnetv3_cifar", resolutions, stage3_stride=1)


def _space(
  name: str, resolutions: tuple[int, ...], stage3_stride: int
) -> SearchSpace:
  resolution = Decision("resolution", resolutions)
  stem = Decision("stem.channels", steps(16, 24, 2))
  kernels = [
    Decision(f"stage{i}.kernel", (3, 5), categorical=True) for i in range(1, 8)
  ]
  ranges = (
    steps(16, 24, 2),
    steps(20, 32, 4),
    steps(24, 48, 4),
    steps(56, 84, 4),
    steps(96, 144, 4),
    steps(180, 224, 4),
    steps(180, 224, 4),
  )
  channels = [
    Decision(f"stage{i}.channels", values)
    for i, values in enumerate(ranges, start=1)
  ]
  depths = [
    Decision(f"stage{i}.depth", steps(*limits))
    for i, limits in enumerate(
      ((1, 4), (4, 7), (4, 7), (4, 8), (6, 10), (5, 9)), start=1
    )
  ]
  first = {
    i: Decision(f"stage{i}.expansion_first", steps(4, 7)) for i in (2, 3)
  }
  rest = {i: Decision(f"stage{i}.expansion_rest", steps(2, 5)) for i in (2, 3)}
  first[4] = first[5] = Decision("stage4_5.expansion_first", steps(4, 7))
  rest[4] = rest[5] = Decision("stage4_5.expansion_rest", steps(2, 5))
  first[6] = rest[6] = Decision("stage6.expansion", steps(4, 7))
  head_kernel = Decision("head.kernel", (3, 5), categorical=True)
  blocks = stage(1, channels[0], depths[0], kernels[0], (1, 1), 1, False)
  strides_and_squeeze = (
    (2, False),
    (stage3_stride, True),
    (2, False),
    (1, True),
    (2, True),
  )
  for i, (stride, squeeze_excite) in enumerate(strides_and_squeeze, start=2):
    blocks += stage(
      i,
      channels[i - 1],
      depths[i - 1],
      kernels[i - 1],
      (first[i], rest[i]),
      stride,
      squeeze_excite,
    )
  blocks += stage(7, channels[6], None, kernels[6], (6, 6), 1, True)
  expansions = [*first.values(), *rest.values()]
  recipe = recipe_decisions()
  return SearchSpace(
    name=name,
    decisions=(
      resolution,
      stem,
      *kernels,
      *dict.fromkeys(expansions),
      *channels,
      *depths,
      head_kernel,
      *recipe,
    ),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=follow(stem), stride=2),
      blocks=blocks,
      head=Head(channels=1984, expansion=6, kernel=follow(head_kernel)),
      squeeze_from_input=True,
    ),
    recipe_table=recipe_table(recipe),
  )
