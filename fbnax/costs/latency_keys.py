"""What a latency table has entries for: parts of networks by their geometry.

A part is a stem, a block of the trunk as a whole, or a head with its pool and
classifier, since that is what the published tables measure. A key holds what
its time depends on. What only shifts it a little is left out: biases, BN,
paddings, the rule for squeeze widths, and whether an expansion of 1 has a
convolution of its own.

`slots` goes through a layer table, and `joint_keys` gives the key of a slot for
all joint choices of the decisions that its fields follow.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from fbnax.costs.layer import mapped
from fbnax.spaces import tables
from fbnax.spaces.architecture import (
  Architecture,
  Block,
  Head,
  Stem,
  out_size,
)
from fbnax.spaces.cell import CellNetwork
from fbnax.spaces.follow import Follow, decisions_of
from fbnax.spaces.kinds import KINDS, BlockKind, head_width, mid_channels
from fbnax.spaces.space import SearchSpace


def _measured(kind: BlockKind) -> tuple[str, ...]:
  """The fields of the key of a kind of block."""
  every = (
    "size",
    "c_in",
    "c_mid",
    "c_out",
    "kernel",
    "stride",
    "groups",
    "squeeze_excite",
    "activation",
  )
  has_mid = any("mid" in (layer.c_in, layer.c_out) for layer in kind.layers)
  left_out = (*kind.ignores, *(() if has_mid else ("c_mid",)))
  return tuple(name for name in every if name not in left_out)


# The fields of a key that mean something, by what the part is.
FIELDS: dict[str, tuple[str, ...]] = {
  "stem": ("size", "c_in", "c_out", "kernel", "stride", "activation"),
  **{op: _measured(kind) for op, kind in KINDS.items()},
  "head": ("size", "c_in", "c_mid", "c_out", "kernel", "activation"),
}


class Key(NamedTuple):
  """The geometry of a part; what means nothing to its `op` has the default.

  Attributes:
    op: "stem", a kind of block or "head".
    size: height and width of the input, pixels.
    c_in: input channels.
    c_mid: mid channels of a block; in a head those in front of
      the pool.
    c_out: output channels; in a head those in front of the classifier.
    kernel: side of the k x k convolution.
    stride: pixels.
    groups: of both 1x1 convolutions.
    squeeze_excite: whether there is one.
    activation: its name; a table's relu may be one that stops at 6.
  """

  op: str
  size: int
  c_in: int
  c_mid: int = 0
  c_out: int = 0
  kernel: int = 1
  stride: int = 1
  groups: int = 1
  squeeze_excite: bool = False
  activation: str = ""

  @property
  def is_identity(self) -> bool:
    """A skip that passes its input on; it needs no entry."""
    return self.op == "skip" and self.stride == 1 and self.c_in == self.c_out

  @property
  def values(self) -> dict[str, Any]:
    """The fields that mean something, by name."""
    names = FIELDS[self.op]
    return {"op": self.op} | {name: getattr(self, name) for name in names}

  def __str__(self) -> str:
    """As messages name it: `skip size=8 c_in=16 c_out=24 stride=2`."""
    pairs = list(self.values.items())[1:]
    return " ".join([self.op, *(f"{k}={_short(v)}" for k, v in pairs)])


class Slot(NamedTuple):
  """A place of a layer table where a part stands.

  Attributes:
    name: `stem`, `stage2.block0`, …, `head`.
    table: the table.
    item: its entry there, maybe open.
    c_in: the width of the entry before, maybe open.
    size: pixels of its input, maybe open.
  """

  name: str
  table: Architecture
  item: Stem | Block | Head
  c_in: Any
  size: Any

  @property
  def fields(self) -> tuple[Any, ...]:
    """All that decides what stands there."""
    own = dataclasses.fields(self.item)
    return (self.size, self.c_in, *(getattr(self.item, f.name) for f in own))

  @property
  def decisions(self) -> tuple[str, ...]:
    """Names of the decisions that decide it, in the order of joint choices."""
    return decisions_of(*self.fields)


class Part(NamedTuple):
  """What a key stands for, so that it can be built and measured.

  Attributes:
    item: the entry, without open fields.
    c_in: input channels.
    size: pixels of the input.
  """

  item: Stem | Block | Head
  c_in: int
  size: int


def made_of_blocks(table: Any) -> Architecture:
  """The network or a space's table itself.

  Raises:
    ValueError: it is of another kind, which has no parts.
  """
  if not isinstance(table, Architecture):
    made = "cells" if isinstance(table, CellNetwork) else type(table).__name__
    raise ValueError(
      f"a latency table has entries for blocks; the network is made of {made}"
    )
  return table


def slots(table: Architecture | CellNetwork) -> Iterator[Slot]:
  """All places of a network or of a space's table, in call order.

  Raises:
    ValueError: it is not made of blocks.
  """
  table = made_of_blocks(table)
  stem = table.stem
  yield Slot("stem", table, stem, table.input_channels, table.resolution)
  size = mapped(
    table.resolution, lambda s: out_size(s, stem.kernel, stem.stride, None)
  )
  channels = stem.channels
  for name, block in tables.blocks_of(table).items():
    yield Slot(name, table, block, channels, size)
    size = mapped(
      size, lambda s, b=block: out_size(s, b.kernel, b.stride, b.padding)
    )
    channels = block.channels
  yield Slot("head", table, table.head, channels, size)


def joint_keys(slot: Slot) -> Iterator[tuple[tuple[int, ...], Key | None]]:
  """The key of a slot for all joint choices; None where nothing stands there.

  There may be tens of thousands. The order is that of `itertools.product` over
  the slot's decisions.
  """
  place = {name: i for i, name in enumerate(slot.decisions)}
  counts = [1] * len(place)
  readers: list[tuple[int, tuple[Any, ...]]] = []
  for field in slot.fields:
    if isinstance(field, Follow):
      counts[place[field.decision]] = len(field.values)
      readers.append((place[field.decision], field.values))
    else:
      readers.append((-1, (field,)))
  kind, table = type(slot.item), slot.table
  for choice in itertools.product(*map(range, counts)):
    index = (*choice, 0)  # The last one is that of constants.
    size, c_in, *own = [values[index[i]] for i, values in readers]
    yield choice, key_of(table, Part(kind(*own), c_in, size))


def keys(architecture: Architecture) -> list[Key]:
  """The keys of a network's parts in call order."""
  found = (key for s in slots(architecture) for _, key in joint_keys(s))
  return [key for key in found if key is not None]


def space_keys(space: SearchSpace) -> set[Key]:
  """The keys of everything that can stand in a network of the space."""
  found = {key for s in slots(space.table) for _, key in joint_keys(s)}
  return {key for key in found if key is not None}


def parts(space: SearchSpace) -> dict[Key, Part]:
  """Everything that can stand in a network of the space, each key once.

  Of choices that give the same key the first one is the part.
  """
  found: dict[Key, Part] = {}
  for slot in slots(space.table):
    for choice, key in joint_keys(slot):
      if key is not None and key not in found:
        chosen = dict(zip(slot.decisions, choice, strict=True))
        fill = functools.partial(tables.fill, chosen=chosen)
        found[key] = Part(fill(slot.item), fill(slot.c_in), fill(slot.size))
  return found


def key_of(table: Architecture, part: Part) -> Key | None:
  """The key of a part under the table's rules; None for an absent block."""
  item, c_in, size = part
  if isinstance(item, Stem):
    return Key(
      "stem",
      size,
      c_in,
      c_out=item.channels,
      kernel=item.kernel,
      stride=item.stride,
      activation=item.activation,
    )
  if isinstance(item, Head):
    pooled, fields = head_width(dataclasses.replace(table, head=item), c_in)
    return Key(
      "head",
      size,
      c_in,
      c_mid=pooled(*fields),
      c_out=item.channels,
      kernel=item.kernel,
      activation=item.activation,
    )
  if not item.present:
    return None
  values = {
    name: getattr(item, name)
    for name in FIELDS[item.op]
    if name not in ("size", "c_in", "c_mid", "c_out")
  }
  if "c_mid" in FIELDS[item.op]:
    values["c_mid"] = mid_channels(table, item)(c_in, item.expansion)
  return Key(item.op, size, c_in, c_out=item.channels, **values)


def _short(value: Any) -> Any:
  return int(value) if isinstance(value, bool) else value
