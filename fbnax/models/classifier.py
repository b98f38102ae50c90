"""The last layer of a network: its weights, and the features it is given.

Every network here ends in a linear layer called `classifier`.

Symbols: `B` images, `D` features, `K` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

NAME = "classifier"


def final_weights(variables: Any) -> jax.Array:
  """The weights of the last layer, a row for each class, `f32[K, D]`.

  Args:
    variables: of a network; its `params` count.

  Raises:
    ValueError: no layer, or several, are called `classifier`.
  """
  found = list(_named(variables["params"]))
  if len(found) != 1:
    raise ValueError(
      f"the network has {len(found)} layers called {NAME!r}; legal: one"
    )
  return found[0]["kernel"].T


def logits_and_features(
  module: nn.Module, variables: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Logits in evaluation `f32[B, K]`, and what the last layer makes them of.

  Args:
    module: a network.
    variables: of the module.
    images: as the module takes them.

  Returns:
    The logits and `f32[B, D]`.

  Raises:
    ValueError: no layer is called `classifier`.
  """
  seen = []

  def watch(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
    if context.module.name == NAME and context.method_name == "__call__":
      seen.append(arguments[0])
    return call(*arguments, **keywords)

  with nn.intercept_methods(watch):
    logits = module.apply(variables, images, train=False)
  if not seen:
    raise ValueError(f"the network has no layer called {NAME!r}")
  return jnp.asarray(logits), seen[-1]


def _named(tree: Any) -> Any:
  if isinstance(tree, Mapping):
    for key, value in tree.items():
      if key == NAME:
        yield value
      else:
        yield from _named(value)
