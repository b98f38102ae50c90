"""Chunks and vmap change nothing but the time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.nbdt import chunks


def kernel(shared, z, w):
  """Columns: values `[W, n]`, weights `[n]`."""
  return {"sum": (z * w).sum(0) + shared, "rows": jnp.flip(z, 0)}


@pytest.mark.parametrize("samples", [0, 1, 7, 12])
def test_against_the_whole_batch(monkeypatch, samples):
  monkeypatch.setattr(chunks, "_LEAST", 3)
  monkeypatch.setattr(chunks, "_MOST", 3)
  random = np.random.default_rng(samples)
  z = jnp.asarray(random.normal(size=(samples, 4)), jnp.float32)
  w = jnp.asarray(random.normal(size=samples), jnp.float32)
  found = jax.jit(lambda z, w: chunks.in_chunks(kernel, 2.0, z, w))(z, w)
  np.testing.assert_allclose(
    found["sum"], (z * w[:, None]).sum(1) + 2.0, atol=1e-6
  )
  np.testing.assert_array_equal(found["rows"], z[:, ::-1])


def test_vmap_puts_batches_end_to_end():
  z, w = jnp.arange(24.0).reshape(2, 3, 4), jnp.ones(3)
  found = jax.vmap(lambda z: chunks.in_chunks(kernel, 0.0, z, w))(z)
  np.testing.assert_allclose(found["sum"], z.sum(-1))
  shared = jnp.asarray([1.0, 2.0])
  found = jax.vmap(lambda s, z: chunks.in_chunks(kernel, s, z, w))(shared, z)
  np.testing.assert_allclose(found["sum"], z.sum(-1) + shared[:, None])
