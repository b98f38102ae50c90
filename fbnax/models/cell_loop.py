"""The chosen operations of a stage's cells, as one loop over the cells.

What makes one program of all cells affordable: each edge is a switch, of which
a program runs one branch, so that what was not chosen costs nothing; its
gradient is a switch again, which computes the chosen branch once more instead
of keeping what any branch would need (half the time of a gradient of
`lax.switch`); and the cells of a stage are alike, so that the switches are
traced and compiled once a stage.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from fbnax.models.cell_parts import KERNELS, ReluConvNorm, average3x3
from fbnax.ops.branching import recomputed_switch
from fbnax.spaces.cell import EDGES, OPS


def loop(
  module: nn.Module,
  names: Sequence[str],
  numbers: Sequence[jax.Array],
  width: int,
  x: jax.Array,
  *,
  affine: bool,
  biased: bool,
  train: bool,
) -> jax.Array:
  """Cells one after the other, of each edge the chosen operation.

  Args:
    module: has the variables of the cells, and gets their running statistics,
      as if it had called them as submodules.
    names: of the cells.
    numbers: for each edge which of `fbnax.spaces.cell.OPS` it is, `i32[]`.
    width: `C`.
    x: `f32[B, H, W, C]`.
    affine: of BN.
    biased: of convolutions.
    train: BN uses the batch's statistics.

  Returns:
    `f32[B, H, W, C]`.
  """
  edge = functools.partial(
    _edge, width, affine=affine, biased=biased, train=train
  )

  def step(x: jax.Array, variables: Any) -> tuple[jax.Array, Any]:
    nodes = [x]
    changed: dict[str, Any] = {}
    for end in range(1, 4):
      into = []
      for number, (start, to) in zip(numbers, EDGES, strict=True):
        if to == end:
          places = [f"edge{start}_{end}_{op}" for op in KERNELS]
          own = [
            {kind: found[place] for kind, found in variables.items()}
            for place in places
          ]
          y, statistics = edge(number, own, nodes[start])
          into.append(y)
          changed |= dict(zip(places, statistics, strict=True))
      nodes.append(sum(into[1:], start=into[0]))
    return nodes[-1], changed

  stacked = {
    kind: jax.tree.map(
      lambda *leaves: jnp.stack(leaves),
      *(module.get_variable(kind, name) for name in names),
    )
    for kind in ("params", "batch_stats")
  }
  if len(names) == 1:  # No loop, so that what is inside can be told apart.
    x, only = step(x, jax.tree.map(lambda leaf: leaf[0], stacked))
    changed = jax.tree.map(lambda leaf: leaf[None], only)
  else:
    x, changed = lax.scan(step, x, stacked)
  if train and module.is_mutable_collection("batch_stats"):
    for index, name in enumerate(names):
      own = jax.tree.map(lambda leaf, i=index: leaf[i], changed)
      module.put_variable("batch_stats", name, own)
  return x


def _edge(
  width: int,
  number: jax.Array,
  variables: Sequence[Any],
  x: jax.Array,
  *,
  affine: bool,
  biased: bool,
  train: bool,
) -> tuple[jax.Array, list[Any]]:
  """The chosen operation's result, and the statistics of both convolutions.

  Args:
    width: `C`.
    number: which of `OPS`.
    variables: of the convolutions with their BN, in the order of `KERNELS`.
    x: `f32[B, H, W, C]`.
    affine: of BN.
    biased: of convolutions.
    train: BN uses the batch's statistics.
  """
  before = [own["batch_stats"] for own in variables]

  def convolve(place: int, kernel: int) -> Callable[..., Any]:
    layer = ReluConvNorm(width, kernel, affine=affine, biased=biased)

    def branch(_: Any, x: jax.Array, variables: Any) -> Any:
      own = variables[place]
      y, changed = layer.apply(own, x, train=train, mutable=["batch_stats"])
      after = list(before)
      after[place] = changed.get("batch_stats", own["batch_stats"])
      return y, after

    return branch

  plain = {
    "none": lambda _, x, __: (jnp.zeros_like(x), before),
    "skip": lambda _, x, __: (x, before),
    "avgpool3x3": lambda _, x, __: (average3x3(x), before),
  }
  kernels = {
    op: convolve(place, kernel)
    for place, (op, kernel) in enumerate(KERNELS.items())
  }
  branches = [(plain | kernels)[op] for op in OPS]
  return recomputed_switch(number, branches, x, list(variables))
