"""Once-for-All's MobileNetV3 space, width 1.2.

Cai et al. 2020, "Once for All", section 4.1: five stages of two to four layers,
each layer with a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6, images of
128 to 224 pixels in steps of 4. Widths, strides, squeeze-excite and activations
are those of MobileNetV3-Large (Howard et al. 2019) times 1.2, rounded to
multiples of 8; the released networks of 389, 482 and 595 M MACs are counted as
published. In the squeeze-excite of the original the inner activation is ReLU
everywhere; here, as in the other spaces, it is the block's. No count depends on
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.space import Decision, SearchSpace, follow

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
DEPTHS = (2, 3, 4)
SLOTS = max(DEPTHS)
RESOLUTIONS = tuple(range(128, 225, 4))

# Output channels, stride of the first layer, squeeze-excite, activation.
Stages = tuple[tuple[int, int, bool, str], ...]
STAGES: Stages = (
  (32, 2, False, "relu"),
  (48, 2, True, "relu"),
  (96, 2, False, "hswish"),
  (136, 1, True, "hswish"),
  (192, 2, True, "hswish"),
)


def space() -> SearchSpace:
  """The whole space."""
  resolution = Decision("resolution", RESOLUTIONS)
  decisions, blocks = elastic_stages(STAGES)
  return SearchSpace(
    name="mobilenetv3",
    decisions=(resolution, *decisions),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=24, bias=False),
      blocks=(Block(channels=24, stage=0), *blocks),
      head=Head(channels=1536, expansion=6.0),
    ),
  )


def genotypes_from_ofa(
  ks: Any, expand: Any, depth: Any, resolution: Any
) -> jax.Array:
  """Canonical genotypes of networks in Once-for-All's notation.

  Args:
    ks: kernel sizes, `[n, 20]`, at 4 x stage + layer; whatever stands behind a
      stage's last layer is ignored.
    expand: expansions, likewise.
    depth: layers of the five stages, `[n, 5]`.
    resolution: pixels, `[n]`.

  Returns:
    `i32[n, D]`.

  Raises:
    ValueError: a shape does not fit, or a value is none of the space's; its
      row and decision are named.
  """
  return elastic_genotypes(space(), ks, expand, depth, resolution)


def elastic_stages(
  stages: Stages, depths: Sequence[tuple[int, ...]] | None = None
) -> tuple[tuple[Decision, ...], tuple[Block, ...]]:
  """Stages whose layers choose kernel and expansion one by one.

  Args:
    stages: see `STAGES`; the first is stage 1.
    depths: numbers of layers that each can have; a stage with one number only
      has no decision about it.

  Returns:
    Decisions and blocks, stage by stage.
  """
  depths = [DEPTHS] * len(stages) if depths is None else depths
  decisions: list[Decision] = []
  blocks: list[Block] = []
  for index, (row, counts) in enumerate(
    zip(stages, depths, strict=True), start=1
  ):
    channels, stride, squeeze_excite, activation = row
    depth = Decision(f"stage{index}.depth", counts)
    if len(counts) > 1:
      decisions.append(depth)
    for slot in range(max(counts)):
      name = f"stage{index}.layer{slot}"
      kernel = Decision(f"{name}.kernel", KERNELS, categorical=True)
      expansion = Decision(f"{name}.expansion", EXPANSIONS)
      reaches = tuple(count > slot for count in counts)
      decisions += [kernel, expansion]
      blocks.append(
        Block(
          channels=channels,
          stage=index,
          kernel=follow(kernel),
          expansion=follow(expansion),
          stride=stride if slot == 0 else 1,
          squeeze_excite=squeeze_excite,
          activation=activation,
          present=True if all(reaches) else follow(depth, reaches),
        )
      )
  return tuple(decisions), tuple(blocks)


def elastic_genotypes(
  space: SearchSpace, ks: Any, expand: Any, depth: Any, resolution: Any
) -> jax.Array:
  """`genotypes_from_ofa` for a space of `elastic_stages` and a resolution."""
  layers = sum(d.name.endswith(".kernel") for d in space.decisions)
  stages = sum(d.name.endswith(".depth") for d in space.decisions)
  given = {
    "ks": (np.asarray(ks, int), layers),
    "expand": (np.asarray(expand, int), layers),
    "depth": (np.asarray(depth, int), stages),
    "resolution": (np.asarray(resolution, int)[..., None], 1),
  }
  rows = len(given["ks"][0])
  for name, (array, width) in given.items():
    if array.shape != (rows, width):
      raise ValueError(
        f"{name} has shape {array.shape}; space {space.name!r} wants "
        f"({rows}, {width})"
      )
  taken = {name: iter(array.T) for name, (array, _) in given.items()}
  source = {"kernel": "ks", "expansion": "expand"}
  columns: list[np.ndarray] = []
  reached = np.full(rows, SLOTS)
  for decision in space.decisions:
    *place, part = decision.name.split(".")
    column = next(taken[source.get(part, part)])
    there = np.ones(rows, bool)
    if part == "depth":
      reached = column
    elif len(place) == 2:
      slot = int(place[1].removeprefix("layer"))
      # A stage without a decision about its depth has one layer.
      has_depth = any(d.name == f"{place[0]}.depth" for d in space.decisions)
      there = reached > slot if has_depth else there
    values = np.asarray(decision.values)
    wrong = np.flatnonzero(there & ~np.isin(column, values))
    if len(wrong):
      raise ValueError(
        f"row {wrong[0]} has {decision.name} = {column[wrong[0]]}; "
        f"legal: {decision.values}"
      )
    columns.append(np.where(there, np.searchsorted(values, column), 0))
  return space.canonical(jnp.asarray(np.stack(columns, 1), jnp.int32))
