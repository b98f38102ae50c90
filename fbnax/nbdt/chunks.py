"""Functions of columns, applied to a batch of rows a chunk at a time.

A scan that touches one row of a buffer per step is fast while the buffer fits
in the cache, so on a CPU a batch goes through in chunks; elsewhere it goes at
once. Under vmap the batches are put end to end, so that a function of one
sample costs under vmap what it costs of a batch.

Symbols: `N` samples, `W` values per sample, `n` samples of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Values of a chunk, and the samples it has at least and at most.
_VALUES, _LEAST, _MOST = 1 << 18, 64, 1 << 13


def in_chunks(kernel: Callable, shared: Any, *batches: jax.Array) -> Any:
  """`kernel(shared, *columns)` over batches, in chunks of samples.

  Args:
    kernel: takes what is shared and columns `[n]` or `[W, n]` of each batch,
      and returns a pytree of such columns. Samples do not depend on each other.
    shared: a pytree handed to every call.
    *batches: `[N]` or `[N, W]`.

  Returns:
    A pytree of `[N]` or `[N, W]`.
  """

  @jax.custom_batching.custom_vmap
  def apply(shared: Any, *batches: jax.Array) -> Any:
    return _by_chunk(kernel, shared, batches)

  @apply.def_vmap
  def rule(
    size: int, batched: list, shared: Any, *batches: jax.Array
  ) -> tuple[Any, Any]:
    shared_batched, *each = batched
    if any(jax.tree.leaves(shared_batched)):
      results = _one_by_one(apply, size, batched, shared, batches)
    else:
      full = [
        x if has else jnp.broadcast_to(x, (size, *x.shape))
        for x, has in zip(batches, each, strict=True)
      ]
      flat = apply(shared, *(x.reshape(-1, *x.shape[2:]) for x in full))
      results = jax.tree.map(lambda x: x.reshape(size, -1, *x.shape[1:]), flat)
    return results, jax.tree.map(lambda _: True, results)

  return apply(shared, *batches)


def _one_by_one(
  apply: Callable, size: int, batched: list, shared: Any, batches: tuple
) -> Any:
  """Where what is shared differs between the batches."""

  def at(index: jax.Array) -> Any:
    chosen = jax.tree.map(
      lambda has, x: x[index] if has else x, batched, [shared, *batches]
    )
    return apply(*chosen)

  return lax.map(at, jnp.arange(size))


def _by_chunk(kernel: Callable, shared: Any, batches: tuple) -> Any:
  total = batches[0].shape[0]
  values = max(x.size for x in batches) // max(total, 1)
  width = min(max(_VALUES // max(values, 1), _LEAST), _MOST)
  # Elsewhere the steps of a scan are launched one by one: the fewer the better.
  chunks = -(-total // width) if jax.default_backend() == "cpu" else 1
  if chunks <= 1:
    return jax.tree.map(jnp.transpose, kernel(shared, *map(_columns, batches)))
  width = -(-total // chunks)

  def strided(x: jax.Array) -> jax.Array:
    padding = [(0, width * chunks - total)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, padding).reshape(width, chunks, *x.shape[1:])

  parts = [strided(x) for x in batches]

  def call(index: jax.Array) -> Any:
    taken = [
      lax.dynamic_index_in_dim(x, index, 1, keepdims=False) for x in parts
    ]
    return jax.tree.map(jnp.transpose, kernel(shared, *map(_columns, taken)))

  def body(index: jax.Array, results: Any) -> Any:
    return jax.tree.map(
      lambda all_, one: lax.dynamic_update_index_in_dim(all_, one, index, 1),
      results,
      call(index),
    )

  shapes = jax.eval_shape(call, jnp.int32(0))
  empty = jax.tree.map(
    lambda s: jnp.zeros((width, chunks, *s.shape[1:]), s.dtype), shapes
  )
  results = lax.fori_loop(0, chunks, body, empty)
  return jax.tree.map(
    lambda x: x.reshape(width * chunks, *x.shape[2:])[:total], results
  )


def _columns(x: jax.Array) -> jax.Array:
  return x.T
