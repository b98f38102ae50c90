"""Where each array of another program's file lies in a network's variables.

Convolutions are OIHW there and HWIO here, linear layers `[K, C]` there, or 1x1
convolutions, and `[C, K]` here.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models import weight_names
from fbnax.models.network import Network
from fbnax.spaces.architecture import Architecture

_LEAVES = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}


class Place(NamedTuple):
  """Where an array of a file lies in a network's variables.

  Attributes:
    path: in the variables.
    shape: there.
    in_file: shape in the file.
  """

  path: tuple[str, ...]
  shape: tuple[int, ...]
  in_file: tuple[int, ...]

  def from_file(self, array: np.ndarray) -> np.ndarray:
    """The array as the network has it."""
    if len(self.shape) == 4:
      return array.transpose(2, 3, 1, 0)
    if len(self.shape) == 2:
      return array.reshape(array.shape[:2]).T
    return array

  def to_file(self, array: Any) -> np.ndarray:
    """The array as the file has it."""
    found = np.asarray(array)
    if len(self.shape) == 4:
      found = found.transpose(3, 2, 0, 1)
    elif len(self.shape) == 2:
      found = found.T.reshape(self.in_file)
    return np.ascontiguousarray(found)


def places(
  architecture: Architecture,
  classes: int,
  layout: str,
  names: Any = (),
) -> dict[str, Place]:
  """Each array of a file of the network, in call order."""
  shapes = _shapes(architecture, classes)
  found = {}
  for module, name in weight_names.modules(architecture, layout, names).items():
    for kind in ("params", "batch_stats"):
      leaves = get(shapes, (kind, *module), {})
      for leaf, wanted in sorted(
        leaves.items(), key=lambda item: list(_LEAVES).index(item[0])
      ):
        shape = wanted.shape
        in_file = shape
        if len(shape) == 4:
          in_file = (shape[3], shape[2], shape[0], shape[1])
        elif len(shape) == 2:
          in_file = (shape[1], shape[0])
          if layout == "official":
            in_file += (1, 1)
        path = (kind, *module, leaf)
        found[f"{name}.{_LEAVES[leaf]}"] = Place(path, shape, in_file)
  return found


@functools.lru_cache(maxsize=4)
def _shapes(architecture: Architecture, classes: int) -> Any:
  """Shapes of a network's variables, without computing any."""
  side, channels = architecture.resolution, architecture.input_channels
  return jax.eval_shape(
    lambda key: Network(architecture, classes).init(
      key, jnp.zeros((1, side, side, channels)), train=False
    ),
    jax.random.key(0),
  )


def get(tree: Any, path: tuple[str, ...], default: Any = None) -> Any:
  """What lies at a path of a tree."""
  for step in path:
    if step not in tree:
      return default
    tree = tree[step]
  return tree


def put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
  """Lays a value at a path of a tree."""
  *parents, last = path
  for step in parents:
    tree = tree.setdefault(step, {})
  tree[last] = value
