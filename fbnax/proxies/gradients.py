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

import jax
import jax.numpy as jnp

from fbnax.proxies.probe import Probe


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


def zico(probe: Probe) -> jax.Array:
  """The sum over the layers of log(sum(mean |g| / deviation of g)).

  Mean and deviation are over two batches, the halves of the given one. Weights
  whose gradient does not vary are left out, and so are layers of only such.

  Returns:
    `f32[]`.

  Raises:
    ValueError: the batch has fewer than two images.
  """
  half = probe.images.shape[0] // 2
  if not half:
    raise ValueError(
      "zico: the batch has 1 image; legal: at least 2, as it compares the "
      "gradients of its halves"
    )

  def gradient(images: jax.Array, labels: jax.Array) -> dict:
    return jax.grad(probe.loss)(probe.kernels, images, labels)

  images, labels = probe.images, probe.labels
  first = gradient(images[:half], labels[:half])
  second = gradient(images[half : 2 * half], labels[half : 2 * half])
  return _sum(_inverse_variation(first[p], second[p]) for p in first)


def _inverse_variation(a: jax.Array, b: jax.Array) -> jax.Array:
  mean = (jnp.abs(a) + jnp.abs(b)) / 2
  deviation = jnp.abs(a - b) / 2  # Of two values.
  varies = deviation > 0
  total = jnp.where(varies, mean / jnp.where(varies, deviation, 1.0), 0.0).sum()
  return jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1.0)), 0.0)


def _sum(terms: object) -> jax.Array:
  return sum(terms, start=jnp.zeros(()))  # type: ignore[call-overload]
