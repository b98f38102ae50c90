"""What each layer of a NAS-Bench-201 network costs.

The counting is that of the benchmark: every operation counts, also where no
path of the cell leads through it; BN has a scale and an offset everywhere; no
convolution is biased; BN, pools and sums cost no MACs. All 15,625 published
counts are these numbers.
"""

from __future__ import annotations

from typing import Any

from fbnax.costs.layer import LayerCost, conv, mapped, norm_row, value
from fbnax.spaces.cell import EDGES, STAGES, CellNetwork
from fbnax.spaces.follow import Reader, largest

KERNELS = {"conv3x3": 3, "conv1x1": 1}


def walk(table: CellNetwork, read: Reader, num_classes: int) -> list[LayerCost]:
  """Costs of all layers of a network or of a space's table, in call order.

  The row of an edge is the convolution on it. Where the operation is open, it
  has the mean weights under the choices, not those of a mean kernel.
  """
  size, width = table.resolution, table.channels
  rows = [
    conv(
      read,
      "stem",
      "conv",
      c_in=table.input_channels,
      c_out=width,
      kernel=3,
      size=size,
      norm=True,
    )
  ]
  for stage in range(STAGES):
    if stage:
      rows += _reduction(read, f"stage{stage}.reduction", width, size // 2)
      size, width = size // 2, width * 2
    for index in range(table.cells):
      name = f"stage{stage}.cell{index}"
      for (start, end), op in zip(EDGES, table.ops, strict=True):
        rows += _edge(read, f"{name}.edge{start}_{end}", op, width, size)
  rows.append(norm_row("head.norm", width, size))
  rows.append(
    conv(
      read,
      "classifier",
      "linear",
      c_in=width,
      c_out=num_classes,
      size=1,
      bias=True,
    )
  )
  return rows


def _edge(
  read: Reader, name: str, op: Any, width: int, size: int
) -> list[LayerCost]:
  kernel = mapped(op, lambda o: KERNELS.get(o, 0))
  if not largest(int, kernel):
    return []
  return [
    conv(
      read,
      name,
      "conv",
      c_in=width,
      c_out=width,
      kernel=kernel,
      size=size,
      norm=value(read, mapped(kernel, lambda k: int(k > 0))),
    )
  ]


def _reduction(
  read: Reader, name: str, c_in: int, size: int
) -> list[LayerCost]:
  """The residual block to twice the channels; `size` is that of its output."""
  width = 2 * c_in
  return [
    conv(
      read,
      f"{name}.conv1",
      "conv",
      c_in=c_in,
      c_out=width,
      kernel=3,
      stride=2,
      size=size,
      norm=True,
    ),
    conv(
      read,
      f"{name}.conv2",
      "conv",
      c_in=width,
      c_out=width,
      kernel=3,
      size=size,
      norm=True,
    ),
    conv(
      read,
      f"{name}.shortcut",
      "conv",
      c_in=c_in,
      c_out=width,
      size=size,
    ),
  ]
