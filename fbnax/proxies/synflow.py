"""synflow: how much weight all paths of a network have together.

Tanaka et al. 2020, "Pruning neural networks without any data by iteratively
conserving synaptic flow", as zero-cost-nas makes a score of it: the network
with the absolute values of all its parameters, without BN and without dropout,
is given one image of ones, and |w times the gradient of the sum of the outputs|
is summed over the weights of convolutions and linear layers. It overflows
float32, so it is computed in float64, in a program of its own, and has its
logarithm beside it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.ops.hand_written import forward_mode
from fbnax.proxies import capture, monotone
from fbnax.proxies.probe import Kernels, Probe, kernels_of, with_kernels


def synflow(probe: Probe) -> jax.Array:
  """The sum of |w dR/dw|, `f64[]` where float64 is switched on.

  Where no weight can lower an output, as in a network of convolutions, ReLUs,
  pools and sums, all terms are positive: the sum is then R's derivative along
  the weights, which needs no backward pass.
  """
  absolute = jax.tree.map(jnp.abs, probe.variables["params"])
  ones = jnp.ones_like(probe.images[:1])

  def total(kernels: Kernels, params: Any, ones: jax.Array) -> jax.Array:
    variables = {**probe.variables, "params": params}
    with capture.intercept(skip_norm=True):
      changed = with_kernels(variables, kernels)
      return probe.forward(changed, ones, train=False).sum()

  kernels = kernels_of({"params": absolute})
  with forward_mode():
    if monotone.increases(total, kernels, absolute, ones):
      along = jax.jvp(
        lambda kernels: total(kernels, absolute, ones), (kernels,), (kernels,)
      )
      return along[1]
  gradients = jax.grad(total)(kernels, absolute, ones)
  return sum(
    (jnp.abs(kernels[p] * g).sum() for p, g in gradients.items()),
    start=jnp.zeros((), ones.dtype),
  )


def logarithm(value: np.ndarray) -> float:
  """The natural logarithm; -inf where no path reaches the outputs."""
  return float(np.log(value)) if value > 0 else -np.inf
