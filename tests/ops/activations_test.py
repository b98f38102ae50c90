"""Activations against closed forms, derivatives against autodiff's."""

import math

import jax
import numpy as np
import pytest

from fbnax.ops.activations import ACTIVATIONS
from fbnax.spaces.activations import ACTIVATIONS as NAMES
from fbnax.spaces.activations import GATES, NONLINEARITIES

# Away from the corners at -3, 0, 3 and 6, where the derivative jumps.
X = np.asarray(
  [-40, -6.5, -3.001, -2.999, -0.7, -1e-3, 1e-3, 0.4, 2.999, 3.001, 6.5, 40],
  np.float32,
)

# In double precision, number by number.
CLOSED = {
  "relu": lambda x: x if x > 0 else 0.0,
  "relu6": lambda x: min(max(x, 0.0), 6.0),
  "hswish": lambda x: x * min(max(x + 3.0, 0.0), 6.0) / 6.0,
  "silu": lambda x: x / (1.0 + math.exp(-x)),
  "hard_sigmoid": lambda x: min(max(x / 6.0 + 0.5, 0.0), 1.0),
  "sigmoid": lambda x: 1.0 / (1.0 + math.exp(-x)),
}


def test_both_tables_have_the_same_names():
  assert set(ACTIVATIONS) == set(NONLINEARITIES) == set(CLOSED)
  assert {*NAMES, *GATES} == set(ACTIVATIONS)
  assert not set(NAMES) & set(GATES)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_are_those_of_the_closed_form(name):
  wanted = [CLOSED[name](float(x)) for x in X]
  got = jax.jit(ACTIVATIONS[name].apply)(X)
  assert got.dtype == X.dtype
  np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_are_those_of_autodiff_and_of_differences(name):
  activation = ACTIVATIONS[name]
  got = jax.jit(activation.derivative)(X)
  automatic = jax.vmap(jax.grad(activation.apply))(X)
  np.testing.assert_allclose(got, automatic, rtol=1e-5, atol=1e-6)
  step = 1e-5
  differences = [
    (CLOSED[name](float(x) + step) - CLOSED[name](float(x) - step)) / 2 / step
    for x in X
  ]
  np.testing.assert_allclose(got, differences, atol=1e-5)


@pytest.mark.parametrize("name", GATES)
def test_gates_lie_between_0_and_1(name):
  gates = np.asarray(ACTIVATIONS[name].apply(X))
  assert gates.min() >= 0
  assert gates.max() <= 1
  assert np.all(np.diff(gates) >= 0)
