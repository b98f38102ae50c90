"""What each layer of a residual network costs.

The rows are convolutions with the BN that stands beside each: after it, or in
front of it where the blocks begin with BN. The BN in front of a pool is a row
of its own.
"""

from __future__ import annotations

from fbnax.costs.layer import LayerCost, conv, norm_row
from fbnax.spaces.follow import constant
from fbnax.spaces.resnet import ResNet


def walk(network: ResNet, num_classes: int) -> list[LayerCost]:
  """Costs of all layers of a network, in call order."""
  pre = network.preactivation
  size, width = network.resolution, network.stem
  rows = [
    conv(
      constant,
      "stem",
      "conv",
      c_in=network.input_channels,
      c_out=width,
      kernel=3,
      size=size,
      norm=not pre,
    )
  ]
  stages = zip(network.blocks, network.widths, strict=True)
  for stage, (blocks, channels) in enumerate(stages):
    for index in range(blocks):
      stride = 2 if stage and not index else 1
      size = -(-size // stride)
      name = f"stage{stage}.block{index}"
      rows += _block(name, width, channels, stride, size, pre)
      width = channels
  if pre:
    rows.append(norm_row("norm", width, size))
  rows.append(
    conv(
      constant,
      "classifier",
      "linear",
      c_in=width,
      c_out=num_classes,
      size=1,
      bias=True,
    )
  )
  return rows


def _block(
  name: str, c_in: int, c_out: int, stride: int, size: int, pre: bool
) -> list[LayerCost]:
  rows = []
  for i, channels in enumerate((c_in, c_out)):
    row = conv(
      constant,
      f"{name}.conv{i}",
      "conv",
      c_in=channels,
      c_out=c_out,
      kernel=3,
      stride=1 if i else stride,
      size=size,
      norm=not pre,
    )
    rows.append(row._replace(params=row.params + 2 * channels) if pre else row)
  if stride != 1 or c_in != c_out:
    rows.append(
      conv(
        constant,
        f"{name}.shortcut",
        "conv",
        c_in=c_in,
        c_out=c_out,
        stride=stride,
        size=size,
        norm=not pre,
      )
    )
  return rows
