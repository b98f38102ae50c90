"""The last layer of a network: its weights, and the features it sees.

All networks here end in a linear layer that is called `classifier`; so may
those of others.

Symbols: `B` images, `D` features, `K` classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

NAME = "classifier"


class Seen(NamedTuple):
  """Logits `f32[B, K]`, and the features they are of, `f32[B, D]`."""

  logits: jax.Array
  features: jax.Array


def weights(variables: Any) -> np.ndarray:
  """The classifier's weights with a row per class, `f32[K, D]`.

  Raises:
    ValueError: no layer, or several, are called `classifier`.
  """
  found = list(_kernels(variables["params"]))
  if len(found) != 1 or np.ndim(found[0]) != 2:
    raise ValueError(
      f"the network has {len(found)} linear layers that are called {NAME!r}; "
      "legal: one"
    )
  return np.asarray(found[0]).T


def see(module: nn.Module, variables: Any, images: jax.Array) -> Seen:
  """Logits in evaluation with the classifier's input.

  Args:
    module: called as `module.apply(variables, images, train=False)`.
    variables: of the module.
    images: as the module takes them.

  Raises:
    ValueError: no layer, or several, are called `classifier`.
  """
  found: list[jax.Array] = []

  def listen(
    call: Any, arguments: tuple, keywords: dict, context: Any
  ) -> jax.Array:
    if context.module.name == NAME and context.method_name == "__call__":
      found.append(arguments[0])
    return call(*arguments, **keywords)

  with nn.intercept_methods(listen):
    logits: Any = module.apply(variables, images, train=False)
  if len(found) != 1:
    raise ValueError(
      f"{len(found)} layers that are called {NAME!r} were run; legal: one"
    )
  return Seen(logits, found[0])


def _kernels(params: Any) -> Any:
  for name, value in params.items():
    if name == NAME and "kernel" in value:
      yield value["kernel"]
    elif hasattr(value, "items"):
      yield from _kernels(value)
