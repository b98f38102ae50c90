"""Fronts against a double loop, and the edge cases by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.search import hypervolume, pareto_front


def by_hand(points):
  front = []
  for own in points:
    dominated = any(
      all(o <= s for o, s in zip(other, own, strict=True))
      and any(o < s for o, s in zip(other, own, strict=True))
      for other in points
    )
    front.append(not dominated)
  return front


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_against_a_double_loop(objectives):
  # Few values, so that many points tie in an objective or in all; more points
  # than one block of the program.
  points = np.random.default_rng(objectives).integers(0, 12, (300, objectives))
  found = pareto_front(jnp.asarray(points, jnp.float32))
  assert found.tolist() == by_hand(points.tolist())
  assert 0 < found.sum() < len(points)


def test_duplicates_are_kept_and_nan_never():
  points = jnp.asarray(
    [[1.0, 2.0], [1.0, 2.0], [2.0, 1.0], [jnp.nan, 0.0], [2.0, 2.0]]
  )
  assert pareto_front(points).tolist() == [True, True, True, False, False]
  assert pareto_front(jnp.full((2, 2), jnp.nan)).tolist() == [False, False]


def test_infinite_objectives():
  points = jnp.asarray([[jnp.inf, 0.0], [0.0, jnp.inf], [jnp.inf, 1.0]])
  assert pareto_front(points).tolist() == [True, True, False]


def test_hypervolume_by_counting_cells():
  random = np.random.default_rng(0)
  points = random.integers(0, 12, size=(30, 2)).astype(float)
  reference = np.asarray([10.0, 9.0])
  cells = [
    any(x <= i and y <= j for x, y in points)
    for i in range(10)
    for j in range(9)
  ]
  assert hypervolume(points, reference) == sum(cells)
  assert hypervolume([[np.nan, 1.0], [11.0, 1.0]], reference) == 0
  with pytest.raises(ValueError, match=r"legal: \[n, 2\]"):
    hypervolume(np.zeros((3, 3)), np.zeros(3))
