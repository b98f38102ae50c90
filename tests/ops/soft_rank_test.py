import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax import ops
from fbnax.ops.soft_rank import soft_spearman

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


@pytest.fixture(scope="module")
def golden():
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "golden" / "softrank.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  with np.load(path) as file:
    return dict(file)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", ["normal", "ties", "wide"])
@pytest.mark.parametrize("n", [5, 17, 128])
def test_ranks_and_derivatives_are_the_original_programs(
  golden, n, kind, descending
):
  case = f"n{n}_{kind}"
  with jax.enable_x64(True):
    x, direction, cotangent = (
      jnp.asarray(golden[f"{case}/{name}"])
      for name in ("x", "jvp_dir", "vjp_cot")
    )
    for strength in STRENGTHS:
      name = f"{case}_eps{strength:g}_{'des' if descending else 'asc'}"

      def ranked(values, strength=strength):
        return ops.soft_rank(values, strength, descending)

      rank, tangent = jax.jvp(ranked, (x,), (direction,))
      back = jax.vjp(ranked, x)[1](cotangent)[0]
      for found, key in ((rank, "rank"), (tangent, "jvp"), (back, "vjp")):
        np.testing.assert_allclose(
          found, golden[f"{name}/{key}"], rtol=1e-5, atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("n", [5, 17, 128])
def test_float32_ranks_are_those_of_float64(golden, n):
  found = jax.jit(ops.soft_rank)(jnp.asarray(golden[f"n{n}_normal/x"], "f"))
  wanted = golden[f"n{n}_normal_eps1_asc/rank"]
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [5, 17, 128])
def test_the_soft_correlation_is_the_original_programs(golden, n):
  case = f"n{n}_normal"
  with jax.enable_x64(True):
    x, target = (jnp.asarray(golden[f"{case}/{k}"]) for k in ("x", "target"))
    value, gradient = jax.value_and_grad(soft_spearman)(x, target)
  wanted = golden[f"{case}_eps1_asc/srcc"]
  np.testing.assert_allclose(value, wanted, rtol=1e-5)
  np.testing.assert_allclose(
    gradient, golden[f"{case}_eps1_asc/srcc_grad"], rtol=1e-5, atol=1e-8
  )


def projection(x):
  """Onto the permutahedron: sorted, minimum over maximum of block means."""
  n = len(x)
  order = np.argsort(-x, kind="stable")
  gap = x[order] - np.arange(n, 0, -1)
  means = np.full((n, n), np.nan)
  for j in range(n):
    for k in range(j, n):
      means[j, k] = gap[j : k + 1].mean()
  fitted = [
    min(max(means[j, k] for k in range(i, n)) for j in range(i + 1))
    for i in range(n)
  ]
  result = np.empty(n)
  result[order] = x[order] - fitted
  return result


@settings(max_examples=30, deadline=None)
@given(
  st.lists(st.floats(-20, 20, width=32), min_size=9, max_size=9),
  st.sampled_from(STRENGTHS),
)
def test_it_is_the_projection(values, strength):
  x = np.asarray(values, np.float64)
  with jax.enable_x64(True):
    found = np.asarray(_jitted(jnp.asarray(x), strength))
  np.testing.assert_allclose(found, projection(x / strength), atol=1e-6)
  np.testing.assert_allclose(found.sum(), 45.0)


_jitted = jax.jit(ops.soft_rank)


def test_constants_share_the_middle_and_rows_are_apart():
  rows = jnp.asarray([[2.0, 2.0, 2.0], [3.0, 1.0, 2.0]])
  found = jax.vmap(lambda r: ops.soft_rank(r, 0.1))(rows)
  np.testing.assert_allclose(found, [[2, 2, 2], [3, 1, 2]], atol=1e-5)
  np.testing.assert_allclose(found, ops.soft_rank(rows, 0.1), atol=1e-6)


def test_what_it_refuses():
  with pytest.raises(ValueError, match="strength is 0; legal: above 0"):
    ops.soft_rank(jnp.ones(3), 0)
  with pytest.raises(ValueError, match="values is a scalar"):
    ops.soft_rank(jnp.ones(()))


@pytest.mark.parametrize("strength", [0, -1.0, np.float32(0.0), np.int64(0)])
def test_a_strength_not_above_0_is_refused(strength):
  with pytest.raises(ValueError, match=r"strength is .*; legal: above 0"):
    ops.soft_rank(jnp.arange(3.0), strength)
