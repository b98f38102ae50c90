"""A plain PyTorch supernet of Table 3.8's layers: the peer of `supernet_step`.

Every block type of a layer is a module of its own, channels and expansions are
masks (equation 3.3 of Wan 2022). Needs the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fbnax.spaces import fbnetv2
from fbnax.spaces.searched import stepped


class Type(nn.Module):
  """One inverted residual, without its residual."""

  def __init__(
    self, c_in: int, mid: int, out: int, stride: int, fields: Any
  ) -> None:
    """Builds it from the fields of a block type."""
    super().__init__()
    side = fields["kernel"]
    self.activation: Any = (
      functional.hardswish
      if fields["activation"] == "hswish"
      else functional.relu
    )
    self.expand = nn.Conv2d(c_in, mid, 1, bias=False) if mid != c_in else None
    self.norm1 = nn.BatchNorm2d(mid) if mid != c_in else None
    self.depthwise = nn.Conv2d(
      mid, mid, side, stride, side // 2, groups=mid, bias=False
    )
    self.norm2 = nn.BatchNorm2d(mid)
    self.squeeze = self.excite = None
    if fields["squeeze_excite"]:
      self.squeeze = nn.Conv2d(mid, max(mid // 4, 8), 1)
      self.excite = nn.Conv2d(max(mid // 4, 8), mid, 1)
    self.project = nn.Conv2d(mid, out, 1, bias=False)
    self.norm3 = nn.BatchNorm2d(out)

  def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The type's output under a mask of its mid channels."""
    h = x
    if self.expand is not None:
      h = self.activation(self.norm1(self.expand(h))) * mask
    h = self.activation(self.norm2(self.depthwise(h))) * mask
    if self.squeeze is not None:
      gate = self.activation(self.squeeze(h.mean((2, 3), keepdim=True)))
      h = h * functional.hardsigmoid(self.excite(gate))
    return self.norm3(self.project(h))


class Layer(nn.Module):
  """All types of a layer, and its skip."""

  def __init__(self, c_in: int, row: Any, stride: int, options: int) -> None:
    """Builds it from a row of the table."""
    super().__init__()
    out = int(row.channels[1])
    expansion = row.expansion
    widths = (1.0,) if isinstance(expansion, float) else stepped(*expansion)
    mid = round(c_in * max(widths))
    kinds = [f for n, f in fbnetv2.TYPES.items() if n != "skip"]
    self.types = nn.ModuleList(
      Type(c_in, mid, out, stride, fields) for fields in kinds
    )
    self.same = stride == 1 and c_in == out
    self.skip = nn.Sequential(
      nn.Conv2d(c_in, out, 1, stride, bias=False), nn.BatchNorm2d(out)
    )
    self.theta = nn.Parameter(torch.zeros(len(kinds) + 1), False)
    self.widths = nn.Parameter(torch.zeros(options), False)
    self.expansions = nn.Parameter(torch.zeros(len(widths)), False)
    lengths = (torch.arange(options) + 1) * (out // options)
    rows = torch.arange(out)[None] < lengths[:, None]
    self.register_buffer("out_rows", rows.float())
    lengths = torch.tensor([round(c_in * e) for e in widths])
    rows = torch.arange(mid)[None] < lengths[:, None]
    self.register_buffer("mid_rows", rows.float())

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """The weighted sum under one Gumbel sample."""
    choice, width, expansion = (
      functional.gumbel_softmax(t, 5.0)
      for t in (self.theta, self.widths, self.expansions)
    )
    mid = (expansion @ self.mid_rows)[None, :, None, None]
    mask = (width @ self.out_rows)[None, :, None, None]
    total = functional.relu(self.skip(x)) * choice[-1]
    for weight, kind in zip(choice, self.types, strict=False):
      total = total + weight * kind(x, mid)
    total = total * mask
    return total + x if self.same else total


def make_step(
  images: np.ndarray,
  labels: np.ndarray,
  classes: int,
  options: int,
  rows: int,
) -> tuple[Callable[[], None], int]:
  """A training step on a batch, and the number of the supernet's weights.

  Args:
    images: `u8[B, H, W, 3]`.
    labels: `i32[B]`.
    classes: of the classifier.
    options: channels that each layer chooses among.
    rows: of the table, from the first.
  """
  torch.manual_seed(0)
  layers: list[nn.Module] = [
    nn.Conv2d(3, 16, 3, 2, 1),
    nn.BatchNorm2d(16),
    nn.Hardswish(),
  ]
  width = 16
  for row in fbnetv2.F[:rows]:
    for index in range(row.layers):
      stride = row.stride if index == 0 else 1
      layers.append(Layer(width, row, stride, options))
      width = int(row.channels[1])
  layers += [
    nn.Conv2d(width, 1984, 1, bias=False),
    nn.BatchNorm2d(1984),
    nn.Hardswish(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(1984, classes),
  ]
  network = nn.Sequential(*layers)
  trained = [p for p in network.parameters() if p.requires_grad]
  optimizer = torch.optim.SGD(trained, 0.1, 0.9, weight_decay=1e-4)
  x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
  x = x.contiguous(memory_format=torch.channels_last)
  network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
  y = torch.from_numpy(labels).long()

  def step() -> None:
    optimizer.zero_grad(set_to_none=True)
    functional.cross_entropy(network(x), y).backward()
    optimizer.step()

  return step, sum(p.numel() for p in trained)
