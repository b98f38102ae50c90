"""The chosen operations of a stage's cells, as one loop over the cells.

What makes one program of all cells affordable: each edge is a switch, of which
a program runs one branch, so that what was not chosen costs nothing; the cells
of a stage are alike, so the switches are traced and compiled once a stage; and
the two convolutions are a switch inside the branch that holds their ReLU and
BN. Together a fifteenth of the program that switches each edge of each cell.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from fbnax.models.cell_parts import KERNELS, Conv, Norm, average3x3
from fbnax.spaces.cell import EDGES, OPS

# The branch of each operation: none, skip, pool, or a convolution.
_NONE, _SKIP, _POOL, _CONVOLUTION = range(4)
_BRANCHES = {"none": _NONE, "skip": _SKIP, "avgpool3x3": _POOL}


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
  place = jnp.asarray(
    [list(KERNELS).index(op) if op in KERNELS else 0 for op in OPS]
  )[number]
  before = [own["batch_stats"]["norm"] for own in variables]

  def pick(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: lax.select_n(place, *leaves), *trees)

  def convolution(kernel: int, own: Any) -> Any:
    conv = Conv(width, kernel=kernel, use_bias=biased)
    return lambda x: conv.apply({"params": own["params"]["conv"]}, x)

  def convolve(x: jax.Array) -> tuple[jax.Array, Any]:
    x = lax.switch(
      place,
      [
        convolution(kernel, own)
        for kernel, own in zip(KERNELS.values(), variables, strict=True)
      ],
      nn.relu(x),
    )
    chosen = {"batch_stats": pick(before)}
    if affine:
      chosen["params"] = pick([own["params"]["norm"] for own in variables])
    y, changed = Norm(affine).apply(
      chosen, x, train=train, mutable=["batch_stats"]
    )
    return y, changed.get("batch_stats", chosen["batch_stats"])

  branch = jnp.asarray([_BRANCHES.get(op, _CONVOLUTION) for op in OPS])[number]
  y, after = lax.switch(
    branch,
    [
      lambda x: (jnp.zeros_like(x), pick(before)),
      lambda x: (x, pick(before)),
      lambda x: (average3x3(x), pick(before)),
      convolve,
    ],
    x,
  )
  convolved = branch == _CONVOLUTION
  statistics = [
    {
      "norm": jax.tree.map(
        lambda new, old, i=i: jnp.where(convolved & (place == i), new, old),
        after,
        old,
      )
    }
    for i, old in enumerate(before)
  ]
  return y, statistics
