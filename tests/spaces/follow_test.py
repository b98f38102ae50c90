import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from fbnax.spaces.follow import (
  Follow,
  at_genotypes,
  constant,
  decisions_of,
  expectation,
  joint_values,
  largest,
  smallest,
)

A = Follow("a", (3, 5, 7))
A_SQUARED = Follow("a", (9, 25, 49))
B = Follow("b", (2.5, 1.0))
C = Follow("c", (False, True, True, False))
CHOICES = {"a": 3, "b": 2, "c": 4}


def function(a, fixed, b, c):
  return a * fixed + b * (c + 1) + a * b


FIELDS = (A, 10, B, C)


def value_at(choice):
  return function(
    A.values[choice["a"]], 10, B.values[choice["b"]], C.values[choice["c"]]
  )


def all_choices():
  for indices in itertools.product(*(range(n) for n in CHOICES.values())):
    yield dict(zip(CHOICES, indices, strict=True))


def random_weights(seed):
  rng = np.random.default_rng(seed)
  return {
    name: rng.dirichlet(np.ones(n)).astype(np.float32)
    for name, n in CHOICES.items()
  }


def test_decisions_of_names_each_once_in_order():
  assert decisions_of(B, 3, A, A_SQUARED, "x", B) == ("b", "a")
  assert decisions_of(1, None) == ()


def test_constant_calls_the_function():
  assert constant(lambda x, y: x + y, 2, 3) == 5


def test_joint_values_cover_the_product_of_distinct_decisions():
  joint = joint_values(lambda x, y, z: (x, y, z), (A, B, A_SQUARED))
  assert [value for _, value in joint] == [
    (x, y, x * x) for x in A.values for y in B.values
  ]
  assert joint[3] == ({"a": 1, "b": 1}, (5, 1.0, 25))


def test_largest_and_smallest():
  values = [value_at(choice) for choice in all_choices()]
  assert largest(function, *FIELDS) == max(values)
  assert smallest(function, *FIELDS) == min(values)
  assert largest(lambda x: x, 4) == smallest(lambda x: x, 4) == 4


def test_expectation_at_one_hot_is_the_value():
  for choice in all_choices():
    weights = {
      name: jax.nn.one_hot(choice[name], n) for name, n in CHOICES.items()
    }
    assert float(expectation(weights)(function, *FIELDS)) == value_at(choice)


@pytest.mark.parametrize("seed", range(3))
def test_expectation_is_the_weighted_sum(seed):
  weights = random_weights(seed)
  expected = sum(
    np.prod([np.float64(weights[n][i]) for n, i in choice.items()])
    * value_at(choice)
    for choice in all_choices()
  )
  read = expectation({n: jnp.asarray(w) for n, w in weights.items()})
  np.testing.assert_allclose(read(function, *FIELDS), expected, rtol=1e-6)


def test_expectation_of_shared_decisions_is_joint():
  """Two fields of one decision: E[ab], not E[a] E[b]."""
  weights = random_weights(0)
  read = expectation({n: jnp.asarray(w) for n, w in weights.items()})
  expected = sum(
    w * x * y
    for w, x, y in zip(weights["a"], A.values, A_SQUARED.values, strict=True)
  )
  np.testing.assert_allclose(
    read(lambda x, y: x * y, A, A_SQUARED), expected, rtol=1e-6
  )


def test_expectation_of_arrays_and_constants():
  weights = random_weights(1)
  read = expectation({n: jnp.asarray(w) for n, w in weights.items()})
  mask = read(lambda a: (np.arange(8) < a) * 1.0, A)
  expected = sum(
    w * (np.arange(8) < a) for w, a in zip(weights["a"], A.values, strict=True)
  )
  assert mask.shape == (8,)
  np.testing.assert_allclose(mask, expected, rtol=1e-6)
  assert read(lambda x, y: x - y, 7, 4) == 3


def test_expectation_differentiates():
  def read_b(weights):
    return expectation({"b": weights})(lambda b: b * b, B)

  np.testing.assert_allclose(
    jax.grad(read_b)(jnp.asarray([0.3, 0.7])), [2.5**2, 1.0], rtol=1e-6
  )


def test_expectation_keeps_large_integers():
  """Up to 24 bits, one-hot weights must not lose the last one."""
  large = Follow("a", (2**24 - 1, 2**23 + 1, 3))
  for i, value in enumerate(large.values):
    read = expectation({"a": jax.nn.one_hot(i, 3)})
    assert int(read(lambda v: v, large)) == value


VALUES = (
  (3, 5, 7),
  (16, 20, 24, 28),
  (1, 4, 9, 100),
  (5, 5, 5),
  (7,),
  (0.02, 0.021, 0.022, 0.023),
  (6, 4, 1),
  (True, False),
  (False, True, True, True),
  (1.5, 1.5, -2.0),
)


@pytest.mark.parametrize("values", VALUES)
def test_at_genotypes_reads_the_values(values):
  columns = jnp.arange(len(values), dtype=jnp.float32)
  read = at_genotypes({"d": columns})
  np.testing.assert_allclose(
    read(lambda v: v * 1, Follow("d", values)),
    np.asarray(values, np.float32),
    rtol=1e-6,
  )


def test_at_genotypes_calls_the_function_on_populations():
  choices = list(all_choices())
  columns = {
    name: jnp.asarray([c[name] for c in choices], jnp.float32)
    for name in CHOICES
  }
  np.testing.assert_allclose(
    at_genotypes(columns)(function, *FIELDS),
    [value_at(choice) for choice in choices],
    rtol=1e-6,
  )
  assert at_genotypes(columns)(lambda x: x + 1, 3) == 4


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
  st.lists(st.integers(-1000, 1000), min_size=1, max_size=9),
  st.lists(st.integers(0, 8), min_size=1, max_size=9),
)
def test_at_genotypes_is_exact_on_integers(values, indices):
  indices = [i % len(values) for i in indices]
  read = at_genotypes({"d": jnp.asarray(indices, jnp.float32)})
  result = read(lambda v: v, Follow("d", tuple(values)))
  assert [int(v) for v in result] == [values[i] for i in indices]
