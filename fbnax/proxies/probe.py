"""What a score is computed from, and what several scores share.

The properties are computed once where several proxies ask for them: the
gradient of the loss is that of grad_norm, snip, grasp and fisher. They belong
inside one traced function.

Symbols: `B` images, `K` classes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fbnax.ops.hand_written import forward_mode
from fbnax.proxies import capture

Forward = Callable[..., jax.Array]
Kernels = dict[tuple[str, ...], jax.Array]


@dataclasses.dataclass(frozen=True)
class Probe:
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
  def gradients(self) -> tuple[Kernels, jax.Array, jax.Array]:
    """Of the loss: toward kernels; fisher's sum, if asked for; w (H g), too."""

    def gradient(kernels: Kernels) -> tuple[Kernels, jax.Array]:
      if "fisher" not in self.names:
        return jax.grad(self._loss)(kernels), jnp.zeros(())
      sink = jnp.zeros(())
      return jax.grad(self._tapped_loss, argnums=(0, 1))(kernels, sink)

    toward, fisher = gradient(self.kernels)
    if "grasp" not in self.names:
      return toward, fisher, jnp.zeros(())
    return toward, fisher, self._curvature(toward)

  def _curvature(self, toward: Kernels) -> jax.Array:
    """The product w (H g), where g is `toward`.

    It is the loss's second derivative along w and g. Two forward derivatives
    are 10 convolutions' work for a convolution where the derivative of a
    gradient is 16, and keep nothing.
    """

    def along_kernels(step: jax.Array) -> jax.Array:
      moved = {p: w + step * toward[p] for p, w in self.kernels.items()}
      return jax.jvp(self._loss, (moved,), (self.kernels,))[1]

    with forward_mode():
      if not _has_own_gradient(self._loss, self.kernels):
        return jax.jvp(along_kernels, (0.0,), (1.0,))[1]
    # A gradient that a module brings along has no forward derivative.
    _, pull = jax.vjp(jax.grad(self._loss), self.kernels)
    [second] = pull(toward)
    return _dot(second, self.kernels)

  def loss(
    self, kernels: Kernels, images: jax.Array, labels: jax.Array
  ) -> jax.Array:
    """The mean cross entropy, with other kernels."""
    logits = self.forward(with_kernels(self.variables, kernels), images)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, labels
    ).mean()

  def _loss(self, kernels: Kernels) -> jax.Array:
    return self.loss(kernels, self.images, self.labels)

  def _tapped_loss(self, kernels: Kernels, sink: jax.Array) -> jax.Array:
    """The loss; its gradient toward `sink`, which is 0, is fisher's sum."""

    def tap(layer: capture.Layer, result: jax.Array) -> jax.Array:
      return _tap(result, sink, math.prod(layer.kernel[:-1]))

    with capture.intercept(output=tap):
      return self._loss(kernels)


def _has_own_gradient(function: Callable[..., Any], kernels: Kernels) -> bool:
  """Whether a part of it is a `jax.custom_vjp`."""
  traced = jax.make_jaxpr(function)(kernels)
  return any(
    equation.primitive.name.startswith("custom_vjp")
    for equation in capture.equations(traced.jaxpr)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _tap(result: jax.Array, sink: jax.Array, weights: int) -> jax.Array:
  """The result; what fisher makes of it is its "gradient" toward the sink.

  A gradient toward what a loop or a branch closes over is summed over all that
  is executed, so that a layer counts as often as it is called.

  Args:
    result: of a layer, `f32[B, ..., C]`.
    sink: `f32[]`.
    weights: those of one output channel.
  """
  return result


def _tap_forward(
  result: jax.Array, sink: jax.Array, weights: int
) -> tuple[jax.Array, jax.Array]:
  return result, result


def _tap_backward(
  weights: int, result: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  between = tuple(range(1, result.ndim - 1))
  gates = (result * gradient).sum(between)
  return gradient, 0.5 * weights * (gates * gates).mean(0).sum()


_tap.defvjp(_tap_forward, _tap_backward)


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
