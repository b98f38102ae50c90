"""Channels sorted by importance, so that the leading ones matter most.

A smaller network inside a larger one has the leading part of its channels (see
`fbnax.spaces.around`). Which channels lead is free: whoever permutes what makes
a set of channels permutes what reads them, and the network computes what it
computed. The sets of a network (`channel_sets`) are

* each residual stream (`fbnax.spaces.streams`): of the stem and projections
  that write it, and of the expansions, head or classifier that read it;
* the mid channels of each block that expands; of one that does not, they are
  those of the stream it reads;
* the channels between the two convolutions of each squeeze-excite;
* those of the head's convolutions.

How important a channel is, `CRITERIA` says by name:

* `norm`: the L1 norm of the weights that read it (Cai et al. 2020,
  "Once-for-All", section 3.3);
* `bn_scale`: the absolute scales of its BN (Liu et al. 2017, "Network
  slimming"); the norm where it has none;
* `taylor`: the sum of |weight x gradient| over all that belongs to it, what the
  loss would change to first order without it (Molchanov et al. 2019,
  "Importance estimation for neural network pruning").

Symbols: `C` channels of a set, `K` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from fbnax.base.names import nearest
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture
from fbnax.spaces.streams import streams
from fbnax.spaces.tables import blocks_of

# Arrays by their paths in the tree of variables.
Arrays = Mapping[tuple[str, ...], np.ndarray]


class ChannelAxis(NamedTuple):
  """Where each channel of a set has numbers of its own.

  Attributes:
    path: of the array in the tree of variables.
    axis: of the array, along which the channels lie.
    reads: the array multiplies the channels; else it makes them.
  """

  path: tuple[str, ...]
  axis: int
  reads: bool = False


# The places of each set, by its name: that of a stream, `<block>.mid`,
# `<block>.squeeze`, `head.expand` or `head.project`.
Sets = Mapping[str, tuple[ChannelAxis, ...]]


def channel_sets(
  architecture: Architecture,
) -> dict[str, tuple[ChannelAxis, ...]]:
  """All sets of channels of a network that can be permuted.

  Their places are those that a layer can have; where a network's layers have no
  bias or no BN, their arrays are not there.

  Raises:
    ValueError: a block's convolutions have groups.
  """
  sets: dict[str, list[ChannelAxis]] = {}
  written = streams(architecture)
  _write(sets, written[0], ("stem",))
  channels = architecture.stem.channels
  for i, (name, block) in enumerate(blocks_of(architecture).items()):
    if block.groups != 1:
      raise ValueError(
        f"{name}.groups is {block.groups}; legal: 1 where channels are sorted"
      )
    module = name.replace(".", "_")
    layers = kinds.layers(architecture, block, channels)
    expands = any(r.c_in == "in" and r.c_out == "mid" for r in layers)
    of = {
      "in": written[i],
      "mid": f"{name}.mid" if expands else written[i],
      "out": written[i + 1],
    }
    for layer in layers:
      path = (module, layer.name)
      if layer.op == "squeeze_excite":
        squeezed = f"{name}.squeeze"
        for part, left, right in (
          ("squeeze", of[layer.c_in], squeezed),
          ("excite", squeezed, of[layer.c_out]),
        ):
          _read(sets, left, (*path, part))
          _write_convolution(sets, right, (*path, part))
      else:
        if layer.op != "depthwise":
          _read(sets, of[layer.c_in], (*path, "conv"))
        _write(sets, of[layer.c_out], path)
    channels = block.channels
  _head(sets, architecture, written[-1])
  return {name: tuple(places) for name, places in sets.items()}


def sort_channels(
  architecture: Architecture, variables: Any, importance: Mapping[str, Any]
) -> Any:
  """The variables with the most important channels of each set in front.

  The network's outputs stay what they are, but for the order of sums.

  Args:
    architecture: of the network.
    variables: of `Network(architecture, K)`.
    importance: of the channels of each set, `f32[C]` each, as
      `channel_importance` gives; a set that is left out stays as it is.

  Returns:
    The same tree, of NumPy's arrays.

  Raises:
    ValueError: there is no such set, it has another number of channels, or a
      number is not finite.
  """
  arrays = _arrays(variables)
  sets = _existing(channel_sets(architecture), arrays)
  for name, scores in importance.items():
    if name not in sets:
      near = nearest(name, sets)
      raise ValueError(
        f"importance has {name!r}; nearest sets of channels: "
        f"{near or list(sets)}"
      )
    scores = np.asarray(scores)
    width = _width(sets[name], arrays)
    if scores.shape != (width,) or not np.isfinite(scores).all():
      raise ValueError(
        f"importance of {name!r} has shape {scores.shape}"
        f"{'' if np.isfinite(scores).all() else ' and is not finite'}; legal:"
        f" finite numbers ({width},)"
      )
    order = np.argsort(-scores, kind="stable")
    for place in sets[name]:
      arrays[place.path] = arrays[place.path].take(order, place.axis)
  return unflatten_dict(arrays)


def channel_importance(
  criterion: str,
  architecture: Architecture,
  variables: Any,
  gradients: Any = None,
) -> dict[str, np.ndarray]:
  """How important the channels of each set are.

  Args:
    criterion: a name of `CRITERIA`.
    architecture: of the network.
    variables: of `Network(architecture, K)`.
    gradients: of a loss by the parameters, the tree `variables["params"]`, as
      `log_loss_gradients` gives; for criteria that need them.

  Returns:
    For each set `f32[C]`.

  Raises:
    ValueError: there is no such criterion, or it needs gradients.
  """
  if criterion not in CRITERIA:
    raise ValueError(
      f"criterion is {criterion!r}; legal: {', '.join(CRITERIA)}"
    )
  row = CRITERIA[criterion]
  if row.needs_gradients and gradients is None:
    raise ValueError(
      f"criterion {criterion!r} needs gradients; legal: those of"
      " log_loss_gradients"
    )
  arrays = _arrays(variables)
  slopes = {} if gradients is None else _arrays({"params": gradients})
  sets = _existing(channel_sets(architecture), arrays)
  return {n: row.score(places, arrays, slopes) for n, places in sets.items()}


def log_loss_gradients(
  module: nn.Module, variables: Any, batches: Iterable[tuple[Any, Any]]
) -> Any:
  """Gradients of the mean log-loss by the parameters.

  BN normalises by its running statistics, as it does where the network is used.

  Args:
    module: a network.
    variables: its.
    batches: images `f32[B, H, W, C]`, normalised, and labels `i32[B]`; best of
      one size, which is compiled once.

  Returns:
    The tree `variables["params"]`.

  Raises:
    ValueError: there are no batches.
  """
  rest = {k: v for k, v in variables.items() if k != "params"}

  def loss(params: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    logits = module.apply({"params": params, **rest}, images, train=False)
    assert isinstance(logits, jax.Array)
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - chosen).sum()

  slope = jax.jit(jax.grad(loss))
  total, count = None, 0
  for images, labels in batches:
    found = slope(variables["params"], images, labels)
    total = found if total is None else jax.tree.map(jnp.add, total, found)
    count += len(labels)
  if not count:
    raise ValueError("there are no batches; legal: at least one")
  return jax.tree.map(lambda g: g / count, total)


@dataclasses.dataclass(frozen=True)
class Criterion:
  """How important channels are.

  Attributes:
    score: `f32[C]` from a set's places, the arrays, and the gradients of those
      that are parameters.
    needs_gradients: whether it looks at them.
  """

  score: Callable[[tuple[ChannelAxis, ...], Arrays, Arrays], np.ndarray]
  needs_gradients: bool = False


def _norm(
  places: tuple[ChannelAxis, ...], arrays: Arrays, slopes: Arrays
) -> np.ndarray:
  del slopes
  return _total(
    _by_channel(np.abs(arrays[p.path]), p.axis) for p in places if p.reads
  )


def _bn_scale(
  places: tuple[ChannelAxis, ...], arrays: Arrays, slopes: Arrays
) -> np.ndarray:
  scales = [p for p in places if p.path[-1] == "scale"]
  if not scales:
    return _norm(places, arrays, slopes)
  return _total(np.abs(arrays[p.path]) for p in scales)


def _taylor(
  places: tuple[ChannelAxis, ...], arrays: Arrays, slopes: Arrays
) -> np.ndarray:
  return _total(
    _by_channel(np.abs(arrays[p.path] * slopes[p.path]), p.axis)
    for p in places
    if p.path in slopes
  )


CRITERIA: dict[str, Criterion] = {
  "norm": Criterion(_norm),
  "bn_scale": Criterion(_bn_scale),
  "taylor": Criterion(_taylor, needs_gradients=True),
}


def _total(terms: Iterable[np.ndarray]) -> np.ndarray:
  return np.sum(list(terms), axis=0)


def _by_channel(array: np.ndarray, axis: int) -> np.ndarray:
  """Sums along all other axes, `[C]`."""
  others = tuple(a for a in range(array.ndim) if a != axis % array.ndim)
  return array.sum(others)


def _head(
  sets: dict[str, list[ChannelAxis]], architecture: Architecture, stream: str
) -> None:
  """The head's places, among them those that read the trunk's stream."""
  head, last = architecture.head, stream
  if head.expand:
    _read(sets, last, ("head", "expand", "conv"))
    last = "head.expand"
    _write(sets, last, ("head", "expand"))
  if head.kernel > 1:
    _write(sets, last, ("head", "depthwise"))
  if head.expansion:
    _read(sets, last, ("head", "project"))
    last = "head.project"
    _write_convolution(sets, last, ("head", "project"))
  _read(sets, last, ("head", "classifier"))


def _add(
  sets: dict[str, list[ChannelAxis]], name: str, *places: ChannelAxis
) -> None:
  sets.setdefault(name, []).extend(places)


def _read(
  sets: dict[str, list[ChannelAxis]], name: str, module: tuple[str, ...]
) -> None:
  """A convolution or linear layer reads a set."""
  _add(sets, name, ChannelAxis(("params", *module, "kernel"), -2, reads=True))


def _write_convolution(
  sets: dict[str, list[ChannelAxis]], name: str, module: tuple[str, ...]
) -> None:
  for array in ("kernel", "bias"):
    _add(sets, name, ChannelAxis(("params", *module, array), -1))


def _write(
  sets: dict[str, list[ChannelAxis]], name: str, module: tuple[str, ...]
) -> None:
  """A convolution with its BN writes a set."""
  _write_convolution(sets, name, (*module, "conv"))
  for kind, array in (
    ("params", "scale"),
    ("params", "bias"),
    ("batch_stats", "mean"),
    ("batch_stats", "var"),
  ):
    _add(sets, name, ChannelAxis((kind, *module, "norm", array), -1))


def _arrays(tree: Any) -> dict[tuple[str, ...], np.ndarray]:
  return {path: np.asarray(leaf) for path, leaf in flatten_dict(tree).items()}


def _existing(sets: Sets, arrays: Arrays) -> dict[str, tuple[ChannelAxis, ...]]:
  """The places whose arrays are there."""
  for place in (place for places in sets.values() for place in places):
    # Biases and BN may lack, kernels may not.
    if place.path[-1] == "kernel" and place.path not in arrays:
      raise ValueError(
        f"the variables lack {'/'.join(place.path)}; legal: those of the"
        " architecture's network"
      )
  return {
    name: tuple(place for place in places if place.path in arrays)
    for name, places in sets.items()
  }


def _width(places: tuple[ChannelAxis, ...], arrays: Arrays) -> int:
  return arrays[places[0].path].shape[places[0].axis]
