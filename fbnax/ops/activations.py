"""What each activation computes, and its derivative.

One entry each, by the names of `fbnax.spaces.activations`, which says what else
the house has to know of them. The derivatives are for backward passes that are
written by hand, such as that of `fbnax.ops.norm`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Activation(NamedTuple):
  """A function of each number of an array, whatever its shape.

  Attributes:
    apply: the function.
    derivative: its derivative; at a corner that of one side.
  """

  apply: Callable[[jax.Array], jax.Array]
  derivative: Callable[[jax.Array], jax.Array]


def _between(x: jax.Array, low: float, high: float) -> jax.Array:
  """1 between two numbers, 0 elsewhere."""
  return ((x > low) & (x < high)).astype(x.dtype)


def _hard_sigmoid(x: jax.Array) -> jax.Array:
  return jax.nn.relu6(x + 3.0) / 6.0


def _hswish(x: jax.Array) -> jax.Array:
  return x * jax.nn.relu6(x + 3.0) / 6.0


def _hswish_derivative(x: jax.Array) -> jax.Array:
  gated = jnp.clip(x + 3.0, 0.0, 6.0)
  return gated / 6.0 + jnp.where(jnp.abs(x) < 3.0, x / 6.0, 0.0)


def _sigmoid_derivative(x: jax.Array) -> jax.Array:
  gate = jax.nn.sigmoid(x)
  return gate * (1.0 - gate)


def _silu_derivative(x: jax.Array) -> jax.Array:
  gate = jax.nn.sigmoid(x)
  return gate * (1.0 + x * (1.0 - gate))


ACTIVATIONS: dict[str, Activation] = {
  "relu": Activation(jax.nn.relu, lambda x: (x > 0).astype(x.dtype)),
  "hswish": Activation(_hswish, _hswish_derivative),
  "relu6": Activation(jax.nn.relu6, lambda x: _between(x, 0.0, 6.0)),
  "silu": Activation(jax.nn.silu, _silu_derivative),
  "hard_sigmoid": Activation(
    _hard_sigmoid, lambda x: _between(x, -3.0, 3.0) / 6.0
  ),
  "sigmoid": Activation(jax.nn.sigmoid, _sigmoid_derivative),
}
