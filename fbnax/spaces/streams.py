"""Residual streams: channels that a network has in common for many blocks.

A residual adds channel by channel, so what it adds up is one *stream*: it is
begun by the stem, or by a block whose input is not added to its output, and
every block up to the next such one writes it again. Its width is one width, and
who reorders its channels reorders them for all that write and read it. A stream
is not always a stage (MobileNetV3's stem and first block have one).
"""

from __future__ import annotations

from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture


def streams(architecture: Architecture) -> tuple[str, ...]:
  """The stream that the stem and each block write, `[1 + blocks]`.

  A stream is called what begins it: `stem`, `stage4`, or `stage4.block2` where
  that is not a stage's first block.
  """
  written = ["stem"]
  channels = architecture.stem.channels
  for name, block in zip(
    architecture.block_names, architecture.blocks, strict=True
  ):
    # A skip that keeps the shape passes its input on: it adds nothing to it.
    joins = kinds.adds_input(block)(channels, block.channels)
    written.append(written[-1] if joins else name.removesuffix(".block0"))
    channels = block.channels
  return tuple(written)
