"""Scores from the gradient of the loss: grad_norm, snip, grasp, fisher, ZiCo.

All need one batch with labels, and BN with the batch's statistics. The first
four share one gradient.

References: zero-cost-nas (Abdelfattah et al. 2021, "Zero-Cost Proxies for
Lightweight NAS") for how pruning scores become scores of networks; snip: Lee et
al. 2019; grasp: Wang et al. 2020; fisher: Turner et al. 2020; ZiCo: Li et al.
2023, "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients".

Symbols: `w` the weights of convolutions and linear layers, `g` the gradient of
the mean cross entropy toward them, `H` its Hessian, `B` images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fbnax.proxies.probe import Kernels, Probe


def grad_norm(probe: Probe) -> jax.Array:
  """The sum over the layers of the Euclidean norm of `g`, `f32[]`."""
  gradients, _, _ = probe.gradients
  return _sum(jnp.sqrt(jnp.sum(g * g)) for g in gradients.values())


def snip(probe: Probe) -> jax.Array:
  """The sum of |w g|, `f32[]`."""
  gradients, _, _ = probe.gradients
  return _sum(
    jnp.abs(probe.kernels[path] * g).sum() for path, g in gradients.items()
  )


def grasp(probe: Probe) -> jax.Array:
  """The sum of -w (H g), `f32[]`."""
  return -probe.gradients[2]


def fisher(probe: Probe) -> jax.Array:
  """Half the mean square of result times gradient, summed over weights.

  The results are those of convolutions and linear layers before BN; their
  product with the gradient is summed over the pixels of an image before
  squaring. As in zero-cost-nas each weight has the value of its output channel,
  so that a channel counts once for each of its weights.

  Returns:
    `f32[]`.

  Raises:
    ValueError: the network has no convolution.
  """
  if not any(layer.convolves for layer in probe.layers):
    raise ValueError(
      "fisher: the module calls no convolution (a module with a parameter "
      "`kernel` of more than two axes); legal: at least one"
    )
  return probe.gradients[1]


def zico(count: int) -> Callable[[Probe], jax.Array]:
  """The sum over the layers of log(sum(mean |g| / deviation of g)).

  Mean and deviation are over batches, consecutive parts of the given one; what
  is left over after the last is not used. Weights whose gradient does not vary
  are left out, and so are layers of only such.

  Args:
    count: of batches.

  Returns:
    A measure, which gives `f32[]` and raises a ValueError where there are fewer
    images than batches.
  """

  def measure(probe: Probe) -> jax.Array:
    """ZiCo's sum for a probe."""
    size = probe.images.shape[0] // count
    if not size:
      raise ValueError(
        f"zico: the batch has {probe.images.shape[0]} image(s); legal: at "
        f"least {count}, as it compares the gradients of so many parts"
      )

    def gradient(batch: Any) -> Kernels:
      return jax.grad(probe.loss)(probe.kernels, *batch)

    used = probe.images[: size * count], probe.labels[: size * count]
    batches = [a.reshape(count, size, *a.shape[1:]) for a in used]
    gradients = jax.lax.map(gradient, batches)
    return _sum(_inverse_variation(g) for g in gradients.values())

  return measure


def _inverse_variation(gradients: jax.Array) -> jax.Array:
  """The logarithm for a layer, of gradients `[batches, ...]`."""
  mean = jnp.abs(gradients).mean(0)
  # Of the differences to the first: equal gradients differ by exactly 0.
  deviation = (gradients - gradients[0]).std(0)
  varies = deviation > 0
  total = jnp.where(varies, mean / jnp.where(varies, deviation, 1.0), 0.0).sum()
  return jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1.0)), 0.0)


def _sum(terms: object) -> jax.Array:
  return sum(terms, start=jnp.zeros(()))  # type: ignore[call-overload]
