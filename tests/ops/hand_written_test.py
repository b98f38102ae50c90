"""Forward derivatives of what has a gradient written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fbnax.ops import conv, norm, shifted
from fbnax.ops.activations import ACTIVATIONS
from fbnax.ops.branch_conv import branch_conv
from fbnax.ops.branching import recomputed_switch
from fbnax.ops.hand_written import forward_mode, gradient_by_hand

RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(2, 6, 6, 4)), jnp.float32)
FULL = jnp.asarray(RANDOM.normal(size=(3, 3, 4, 4)), jnp.float32)
SINGLE = jnp.asarray(RANDOM.normal(size=(3, 3, 1, 4)), jnp.float32)


@gradient_by_hand
def wrong_cube(x):
  """Its gradient is not that of what it computes: tells who is asked."""
  return x**3


wrong_cube.defvjp(lambda x: (x**3, None), lambda _, up: (7.0 * up,))


def plain_norm(x, w):
  mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
  z = (x - mean) / jnp.sqrt(variance + 1e-3) * w[0, 0, 0] + w[0, 1, 0]
  return jnp.where(z > 0, z, 0.0)


def own_norm(x, w):
  return norm.normalized(
    x,
    w[0, 0, 0],
    w[0, 1, 0],
    jnp.ones(4),
    (),
    (ACTIVATIONS["relu"],),
    1e-3,
  )[0]


def own_switch(x, w):
  branches = [lambda _, x: x, lambda _, x: jnp.sin(x * w[0, 0])]
  return recomputed_switch(jnp.int32(1), branches, x)


PAIRS = {
  "branch_conv": (
    lambda x, w: branch_conv(x, w, (1, 1)),
    lambda x, w: conv.lax_conv(x, w, 1, 1),
    FULL,
  ),
  "depthwise": (
    lambda x, w: shifted.depthwise(x, w, 2, 1),
    lambda x, w: conv.lax_conv(x, w, 2, 1, groups=4),
    SINGLE,
  ),
  "norm": (own_norm, plain_norm, SINGLE),
  "switch": (own_switch, lambda x, w: jnp.sin(x * w[0, 0]), SINGLE),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_forward_derivatives_are_those_of_the_plain_form(name):
  own, plain, kernel = PAIRS[name]
  ones = [
    jnp.asarray(RANDOM.normal(size=k.shape), k.dtype) for k in (X, kernel)
  ]
  others = [
    jnp.asarray(RANDOM.normal(size=k.shape), k.dtype) for k in (X, kernel)
  ]

  def second(function):
    def first(x, w):
      along = jax.jvp(lambda *a: (function(*a) ** 3).sum(), (x, w), tuple(ones))
      return along[1]

    return lambda x, w: jax.jvp(first, (x, w), tuple(others))

  with forward_mode():
    found = jax.jit(second(own))(X, kernel)
  np.testing.assert_allclose(
    found, jax.jit(second(plain))(X, kernel), rtol=2e-4
  )


def test_the_gradient_by_hand_is_taken_outside_of_the_block_alone():
  assert jax.grad(wrong_cube)(2.0) == 7.0
  with pytest.raises(TypeError, match="forward-mode"):
    jax.jvp(wrong_cube, (2.0,), (1.0,))
  with forward_mode():
    assert jax.jvp(wrong_cube, (2.0,), (1.0,))[1] == 12.0

    def looped(x):
      return lax.fori_loop(0, 2, lambda _, y: wrong_cube(y), x)

    assert jax.jvp(looped, (1.0,), (1.0,))[1] == 9.0
  assert jax.grad(wrong_cube)(2.0) == 7.0


def test_an_error_ends_the_block_too():
  with pytest.raises(RuntimeError), forward_mode():
    raise RuntimeError
  assert jax.grad(wrong_cube)(2.0) == 7.0
