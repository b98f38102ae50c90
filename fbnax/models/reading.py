"""Numbers and masks from entries of a layer table.

Where an entry is open, a reader (see `fbnax.spaces.follow`) gives its value
under choice weights. Under weights of each example, `f32[B, choices]`, numbers
are `f32[B, 1, 1, 1]` and channel masks `f32[B, 1, 1, C]`, to broadcast against
maps `f32[B, H, W, C]` as those of a batch, `f32[]` and `f32[C]`, do.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fbnax.ops.masks import prefix_mask
from fbnax.spaces.follow import Reader, decisions_of, largest


def read_field(read: Reader | None, function: Any, *fields: Any) -> Any:
  """A number from the table; plain where nothing in it is open."""
  if read is None or not decisions_of(*fields):
    return function(*fields)
  found = read(function, *fields)
  return found[:, None, None, None] if found.ndim == 1 else found


def read_open(read: Reader | None, function: Any, *fields: Any) -> Any:
  """As `read_field`, but None where nothing is open."""
  if read is None or not decisions_of(*fields):
    return None
  return read_field(read, function, *fields)


def read_prefix(read: Reader | None, width: Any, *fields: Any) -> Any:
  """The channel mask of an open width, None where it is not open."""
  if read is None or not decisions_of(*fields):
    return None
  high = largest(width, *fields)
  mask = read(lambda *a: prefix_mask(width(*a), high), *fields)
  return mask[:, None, None, :] if mask.ndim == 2 else mask


def resize_channels(x: jax.Array, channels: int) -> jax.Array:
  """Cuts or pads with zeros to a number of channels."""
  more = channels - x.shape[-1]
  if more > 0:
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, more)])
  return x[..., :channels]


def shuffle(x: jax.Array, groups: int) -> jax.Array:
  """Interleaves the channels of the groups."""
  split = x.reshape(*x.shape[:-1], groups, -1)
  return split.swapaxes(-1, -2).reshape(x.shape)
