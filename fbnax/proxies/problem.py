"""What a score is computed from, and what several scores share.

The properties are computed once where several proxies ask for them: the
gradient of the loss is that of grad_norm, snip, grasp and fisher. They belong
inside one traced function.

Symbols: `B` images, `K` classes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fbnax.proxies import capture

Forward = Callable[..., jax.Array]
Kernels = dict[tuple[str, ...], jax.Array]


@dataclasses.dataclass(frozen=True)
class Problem:
  """A network, a batch, and what is asked.

  Attributes:
    forward: gives the logits `f32[B, K]` of variables and images, as in
      training with BN of the batch's statistics, or with `train=False`.
    variables: of the network.
    images: `f32[B, H, W, C]`.
    labels: `i32[B]`.
    key: for what a proxy draws.
    names: all proxies that are asked for.
  """

  forward: Forward
  variables: Any
  images: jax.Array
  labels: jax.Array
  key: jax.Array
  names: tuple[str, ...]

  @functools.cached_property
  def kernels(self) -> Kernels:
    """The weights of convolutions and linear layers by path."""
    return kernels_of(self.variables)

  @functools.cached_property
  def layers(self) -> list[capture.Layer]:
    """All calls of layers with weights."""
    return capture.layers(self.forward, self.variables, self.images)

  @functools.cached_property
  def gradients(self) -> tuple[Kernels, list[jax.Array], jax.Array]:
    """Of the loss: toward kernels, toward gates; and w (H g).

    A gate `f32[B, C]` scales the result of a layer, image by image and channel
    by channel; the gradient toward it is the sum over the pixels of result
    times gradient. Gates are there for fisher alone, w (H g) for grasp.
    """
    gates = [
      jnp.ones((layer.output[0], layer.output[-1]))
      for layer in (self.layers if "fisher" in self.names else ())
    ]

    def gradient(kernels: Kernels) -> tuple[Kernels, list[jax.Array]]:
      return jax.grad(self._loss, argnums=(0, 1))(kernels, gates)

    if "grasp" not in self.names:
      return *gradient(self.kernels), jnp.zeros(())
    # H g is the derivative of the gradient along itself, taken backwards: a
    # gradient that is written by hand has no forward derivative.
    (toward, to_gates), pull = jax.vjp(gradient, self.kernels)
    [second] = pull((toward, jax.tree.map(jnp.zeros_like, to_gates)))
    return toward, to_gates, _dot(second, self.kernels)

  def loss(
    self, kernels: Kernels, images: jax.Array, labels: jax.Array
  ) -> jax.Array:
    """The mean cross entropy, with other kernels."""
    logits = self.forward(with_kernels(self.variables, kernels), images)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, labels
    ).mean()

  def _loss(self, kernels: Kernels, gates: list[jax.Array]) -> jax.Array:
    if not gates:
      return self.loss(kernels, self.images, self.labels)
    left = iter(gates)

    def scale(layer: capture.Layer, result: jax.Array) -> jax.Array:
      gate = next(left)
      between = (1,) * (result.ndim - 2)
      return result * gate.reshape(gate.shape[0], *between, gate.shape[1])

    with capture.intercept(output=scale):
      return self.loss(kernels, self.images, self.labels)


def kernels_of(variables: Any) -> Kernels:
  """The parameters named `kernel` with at least 2 axes, by path."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(variables["params"])
  named = ((tuple(step.key for step in path), leaf) for path, leaf in leaves)
  return {p: leaf for p, leaf in named if p[-1] == "kernel" and leaf.ndim > 1}


def with_kernels(variables: Any, kernels: Kernels) -> Any:
  """The variables with other kernels."""

  def replace(path: Any, leaf: jax.Array) -> jax.Array:
    return kernels.get(tuple(step.key for step in path), leaf)

  params = jax.tree_util.tree_map_with_path(replace, variables["params"])
  return {**variables, "params": params}


def _dot(a: Kernels, b: Kernels) -> jax.Array:
  return sum((jnp.vdot(a[p], b[p]) for p in a), start=jnp.zeros(()))
