"""The shapes that flow through a network, block by block."""

from __future__ import annotations

import dataclasses

from fbnax.spaces import Architecture, Block
from fbnax.spaces.activations import NONLINEARITIES
from fbnax.spaces.architecture import out_size
from fbnax.spaces.kinds import KINDS, adds_input


@dataclasses.dataclass(frozen=True)
class Step:
  """A block and what flows through it; sizes are pixels along a side."""

  name: str
  block: Block
  channels_in: int
  size_in: int
  size_out: int

  @property
  def residual(self) -> bool:
    """Whether the input is added to the output."""
    block = self.block
    added = adds_input(block)(self.channels_in, block.channels)
    return (
      not KINDS[block.op].passes and added and self.size_in == self.size_out
    )

  @property
  def words(self) -> str:
    """Everything about the block in one line."""
    b = self.block
    kind = KINDS[b.op]
    parts = [f"{self.name}: {kind.label}"]
    if not kind.passes:
      parts.append(f"kernel {b.kernel}×{b.kernel}, expansion {b.expansion:g}")
    parts.append(f"channels {self.channels_in} to {b.channels}")
    parts.append(f"stride {b.stride}")
    parts.append(f"{self.size_in} to {self.size_out} px")
    if not kind.passes:
      parts.append(NONLINEARITIES[b.activation].label)
    if b.groups > 1:
      parts.append(f"{b.groups} groups")
    if b.squeeze_excite:
      parts.append("squeeze-excite")
    if self.residual:
      parts.append("residual")
    return ", ".join(parts)


def steps(architecture: Architecture) -> list[Step]:
  """The blocks of a network with the shapes that flow between them."""
  stem = architecture.stem
  channels = stem.channels
  size = out_size(architecture.resolution, stem.kernel, stem.stride, None)
  found = []
  for name, block in zip(
    architecture.block_names, architecture.blocks, strict=True
  ):
    after = out_size(size, block.kernel, block.stride, block.padding)
    found.append(Step(name, block, channels, size, after))
    channels, size = block.channels, after
  return found
