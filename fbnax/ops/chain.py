"""What a graph network does with whole batches of chains, fast on a CPU.

Arrays are `[D, N, B]`: features first, so that sums over features or over all
nodes are products with a matrix or a vector, and chains last, so that what
happens to a node is one run over memory. Gradients are written by hand: those
that JAX derives transpose every operand, and take several times as long.

Symbols: `D` and `E` features, `N` nodes, `B` chains.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_vjp
def project(weights: jax.Array, nodes: jax.Array) -> jax.Array:
  """A linear map of nodes, `f32[E, D]` and `f32[D, N, B]` to `[E, N, B]`."""
  return (weights @ _flat(nodes)).reshape(-1, *nodes.shape[1:])


def _project_forward(
  weights: jax.Array, nodes: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return project(weights, nodes), (weights, nodes)


def _project_backward(
  kept: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
  weights, nodes = kept
  flat = _flat(cotangent)
  by_weights = lax.dot_general(flat, _flat(nodes), (((1,), (1,)), ((), ())))
  return by_weights, (weights.T @ flat).reshape(nodes.shape)


project.defvjp(_project_forward, _project_backward)


@jax.custom_vjp
def feature_sum(nodes: jax.Array) -> jax.Array:
  """The sum over features, `f32[D, N, B]` to `f32[N, B]`."""
  ones = jnp.ones((1, len(nodes)), nodes.dtype)
  return (ones @ _flat(nodes)).reshape(nodes.shape[1:])


def _sum_forward(nodes: jax.Array) -> tuple[jax.Array, jax.Array]:
  return feature_sum(nodes), nodes[:, 0, 0]


def _sum_backward(kept: jax.Array, cotangent: jax.Array) -> tuple[jax.Array]:
  return (jnp.broadcast_to(cotangent, (len(kept), *cotangent.shape)),)


feature_sum.defvjp(_sum_forward, _sum_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalize_relu(
  nodes: jax.Array,
  mask: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """BN by the statistics of all nodes, and ReLU; 0 where there is no node.

  Args:
    nodes: `f32[D, N, B]`.
    mask: 1 where there is a node, 0 elsewhere, `f32[N, B]`; with one at least.
    scale: `f32[D]`.
    bias: `f32[D]`.
    epsilon: of the BN.

  Returns:
    `f32[D, N, B]`, and the mean and variance of each feature, `f32[D]` each,
    through which no gradient flows.
  """
  found, mean, variance = _normalize_forward(nodes, mask, scale, bias, epsilon)[
    0
  ]
  return found, mean, variance


def _normalize_forward(
  nodes: jax.Array,
  mask: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  epsilon: float,
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, ...]]:
  count = mask.sum()
  mean = _total(nodes, mask) / count
  variance = _total((nodes - _wide(mean)) ** 2, mask) / count
  inverse = lax.rsqrt(variance + epsilon)
  found = affine_relu(
    nodes, mask, scale * inverse, bias - mean * scale * inverse
  )
  kept = nodes, mask, scale, bias, mean, inverse, count
  return (found, mean, variance), kept


def _normalize_backward(
  epsilon: float,
  kept: tuple[jax.Array, ...],
  cotangents: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, None, jax.Array, jax.Array]:
  nodes, mask, scale, bias, mean, inverse, count = kept
  factor = scale * inverse
  normal = nodes * _wide(factor) + _wide(bias - mean * factor)
  through = jnp.where(normal > 0, cotangents[0], 0.0)
  by_bias = _total(through, mask)
  by_scale = _total(through * (nodes - _wide(mean)), mask) * inverse
  # The statistics depend on every node, and give each its share.
  slope = factor * by_scale * inverse / count
  shared = nodes * _wide(slope) + _wide(factor * by_bias / count - mean * slope)
  by_nodes = (through * _wide(factor) - shared) * mask
  return by_nodes, None, by_scale, by_bias


normalize_relu.defvjp(_normalize_forward, _normalize_backward)


def affine_relu(
  nodes: jax.Array, mask: jax.Array, factor: jax.Array, offset: jax.Array
) -> jax.Array:
  """`max(nodes factor + offset, 0)`, and 0 where there is no node.

  Args:
    nodes: `f32[D, N, B]`.
    mask: `f32[N, B]`.
    factor: `f32[D]`.
    offset: `f32[D]`.
  """
  return jnp.maximum(nodes * _wide(factor) + _wide(offset), 0.0) * mask


def _total(nodes: jax.Array, mask: jax.Array) -> jax.Array:
  """Each feature's sum over the nodes that are there, `f32[D]`."""
  return _flat(nodes) @ mask.reshape(-1)


def _flat(nodes: jax.Array) -> jax.Array:
  return nodes.reshape(len(nodes), -1)


def _wide(features: jax.Array) -> jax.Array:
  return features[:, None, None]
