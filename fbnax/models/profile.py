"""Measures the latency table of a space on this device, and whole networks.

A part (see `fbnax.costs.latency_keys`) is the module that a network has in its
place, measured by itself (`fbnax.models.timing`). The overhead of a call is
taken off every part and counts once, as the table's constant.

Where a space has more widths than one would measure, `thinned` leaves a few
values of each decision that is taken by widths alone, and the table answers
widths between them (`fbnax.costs.latency_widths`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import (
  Key,
  Part,
  made_of_blocks,
  parts,
  space_keys,
)
from fbnax.models.blocks import TrunkBlock
from fbnax.models.head import NetworkHead
from fbnax.models.layers import ConvNorm
from fbnax.models.network import Network
from fbnax.models.timing import TimingSettings, device, measure, overhead
from fbnax.spaces import architecture, tables
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.follow import Follow
from fbnax.spaces.space import SearchSpace


def thinned(space: SearchSpace, widths: int) -> SearchSpace:
  """The space with so many values of each decision about widths.

  The lowest and the highest are among them. Decisions that something else
  follows too, types, kernels, depths, resolutions, keep all of their values.

  Args:
    space: the space.
    widths: how many; 0 for all.

  Raises:
    ValueError: `widths` is 1 or below 0.
  """
  if widths != 0 and widths < 2:
    raise ValueError(f"widths is {widths!r}; legal: 0 for all, or at least 2")
  if not widths:
    return space
  table = made_of_blocks(space.table)
  about = {d.name for d in space.decisions if len(d.values) > widths}
  for block in tables.blocks_of(table).values():
    rest = dataclasses.replace(block, channels=1, expansion=1.0)
    about -= {f.decision for f in tables.open_fields(rest)}
  kept = (table.resolution, table.head.kernel, table.stem.kernel)
  about -= {f.decision for f in kept if isinstance(f, Follow)}
  cut = {}
  for decision in space.decisions:
    if decision.name in about and not space.is_recipe(decision):
      last = len(decision.values) - 1
      chosen = np.linspace(0, last, widths).round().astype(int)
      cut[decision.name] = [decision.values[i] for i in chosen]
  return space.fix(**cut)


def wanted(space: SearchSpace, widths: int) -> dict[Key, Part]:
  """What is measured for the table of a space.

  Identities take no time and are left out.

  Args:
    space: the space.
    widths: values of each width, from the lowest to the highest, and all keys
      that these leave unanswered; 0 for all.

  Raises:
    ValueError: `widths` is 1 or below 0, or the space is not made of blocks.
  """
  found = parts(thinned(space, widths))
  found = {key: part for key, part in found.items() if not key.is_identity}
  if widths:
    begun = LatencyTable(dict.fromkeys(found, Entry(0.0)), interpolate=True)
    left = {key for key in space_keys(space) if begun.time(key) is None}
    if left:
      found |= {key: p for key, p in parts(space).items() if key in left}
  return found


def begin(settings: TimingSettings, widths: int) -> LatencyTable:
  """A table of this device without entries; its constant is measured."""
  return LatencyTable(
    {},
    const=overhead(settings).ms,
    device=device(),
    note=f"fbnax on jax {jax.__version__}, medians of up to {settings.repeats} "
    f"calls of {settings.loops} passes",
    batch_size=settings.batch_size,
    interpolate=widths > 0,
  )


def profile(
  space: SearchSpace, settings: TimingSettings | None = None, widths: int = 2
) -> LatencyTable:
  """Measures the table of a space on this device.

  Args:
    space: the space.
    settings: how; by default as `Settings()`.
    widths: as in `wanted`.

  Raises:
    ValueError: as `wanted`.
  """
  settings = settings or TimingSettings()
  rules = made_of_blocks(space.table)
  table = begin(settings, widths)
  entries = {
    key: measure_part(rules, part, settings, table.const)
    for key, part in wanted(space, widths).items()
  }
  return dataclasses.replace(table, entries=entries)


def measure_part(
  table: Architecture, part: Part, settings: TimingSettings, overhead: float
) -> Entry:
  """What a part takes besides the overhead of a call.

  Args:
    table: the network's or the space's, for its rules.
    part: without open fields.
    settings: how.
    overhead: of a call, ms.
  """
  module, arguments = _module(table, part, settings.num_classes)
  shape = (settings.batch_size, part.size, part.size, part.c_in)
  return measure(module, arguments, shape, settings, overhead)


def measure_network(
  network: Architecture, settings: TimingSettings, overhead: float
) -> Entry:
  """What a whole network takes, with the overhead of one call."""
  side = network.resolution
  shape = (settings.batch_size, side, side, network.input_channels)
  module = Network(network, settings.num_classes)
  found = measure(module, {"train": False}, shape, settings, overhead)
  return found._replace(ms=found.ms + overhead)


def _module(
  table: Architecture, part: Part, num_classes: int
) -> tuple[nn.Module, dict[str, Any]]:
  """The module of a part, and the arguments of its call but the images."""
  item = part.item
  if isinstance(item, architecture.Stem):
    module: nn.Module = ConvNorm(
      features=item.channels,
      kernel=item.kernel,
      stride=item.stride,
      padding=table.padding,
      use_bias=item.bias,
      norm=item.norm,
      activation=item.activation,
      epsilon=table.bn_epsilon,
    )
    return module, {"train": False}
  if isinstance(item, architecture.Head):
    closed = dataclasses.replace(table, head=item)
    module = NetworkHead(table=closed, c_in=part.c_in, num_classes=num_classes)
    return module, {
      "read": None,
      "train": False,
      "dropout_rate": 0.0,
      "key": None,
    }
  module = TrunkBlock(table=table, block=item, c_in=part.c_in)
  return module, {
    "read": None,
    "train": False,
    "drop_rate": 0.0,
    "uniform": None,
  }
