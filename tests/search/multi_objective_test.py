import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.evolution.multi_objective import (
  change_layer,
  crowding,
  evolve_front,
  ranks,
  swap_groups,
)

SPACE = spaces.get("mobilenetv3")


def ranks_by_hand(objectives):
  """Fronts taken away one after the other, by comparing all pairs."""
  left = [i for i, row in enumerate(objectives) if not np.isnan(row).any()]
  found = np.full(len(objectives), len(objectives))
  level = 0
  while left:
    front = [
      i
      for i in left
      if not any(
        all(a <= b for a, b in zip(objectives[j], objectives[i], strict=True))
        and any(
          a < b for a, b in zip(objectives[j], objectives[i], strict=True)
        )
        for j in left
      )
    ]
    found[front] = level
    left = [i for i in left if i not in front]
    level += 1
  return found


@pytest.mark.parametrize("number", [2, 3])
def test_ranks_are_those_of_all_pairs(number):
  random = np.random.default_rng(number)
  # Few values, so that there are ties and equal candidates.
  objectives = random.integers(0, 6, size=(60, number)).astype(np.float32)
  objectives[7, 0] = np.nan
  np.testing.assert_array_equal(
    ranks(jnp.asarray(objectives)), ranks_by_hand(objectives)
  )


def test_ranks_and_crowding_are_pymoos():
  pytest.importorskip("pymoo")
  from pymoo.operators.survival.rank_and_crowding.metrics import (
    calc_crowding_distance,
  )
  from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

  objectives = np.random.default_rng(0).normal(size=(80, 2))
  found = np.asarray(ranks(jnp.asarray(objectives)))
  alone = np.asarray(crowding(jnp.asarray(objectives), jnp.asarray(found)))
  for level, front in enumerate(NonDominatedSorting().do(objectives)):
    np.testing.assert_array_equal(
      np.flatnonzero(found == level), np.sort(front)
    )
    wanted = calc_crowding_distance(objectives[front])
    # Pymoo divides by the number of objectives.
    np.testing.assert_allclose(alone[front], 2 * wanted, rtol=1e-4)


def test_crowding_by_hand():
  objectives = jnp.asarray([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [9.0, 9.0]])
  found = np.asarray(crowding(objectives, jnp.asarray([0, 0, 0, 1])))
  assert np.isinf(found[[0, 2, 3]]).all()
  np.testing.assert_allclose(found[1], 4 / 4 + 4 / 4)


def test_swapped_groups_are_choices_of_one_group():
  choices = np.asarray([[0, 1], [2, 0], [1, 1]])
  groups = [((0, 2), choices), ((1,), np.asarray([[0], [4]]))]
  vary = swap_groups(groups, 4)
  parents = jnp.tile(jnp.asarray([[0, 4, 1, 7]]), (300, 1))
  children = np.asarray(vary(jax.random.key(0), parents))
  first = (children[:, [0, 2]] != [0, 1]).any(axis=1)
  second = children[:, 1] != 4
  assert (first ^ second).all()
  assert {tuple(r) for r in children[first][:, [0, 2]].tolist()} == {
    (2, 0),
    (1, 1),
  }
  assert (children[:, 3] == 7).all()
  with pytest.raises(ValueError, match="no group"):
    swap_groups([((0,), np.asarray([[3]]))], 4)


def test_a_changed_layer_is_one_layer():
  parents = SPACE.sample(jax.random.key(0), 200)
  vary = change_layer(SPACE)
  children = jax.jit(vary)(jax.random.key(1), parents)
  np.testing.assert_array_equal(SPACE.canonical(children), children)
  names = [d.name for d in SPACE.decisions]
  grown = 0
  for parent, child in zip(
    np.asarray(parents), np.asarray(children), strict=True
  ):
    differs = [names[i] for i in np.flatnonzero(parent != child)]
    assert differs
    depth = [n for n in differs if n.endswith("depth")]
    if depth:
      # What else differs are layers that came or went.
      assert len(depth) == 1
      stage = depth[0].split(".")[0]
      assert all(n.startswith(stage) for n in differs)
      grown += len(differs) > 1
    else:
      assert len(differs) == 1
  assert grown > 5


def test_evolution_finds_a_front():
  target = jnp.asarray(SPACE.choices) - 1

  def objectives(genotypes):
    # Both ends of every decision are good for one of them.
    share = (genotypes / target).mean(axis=1)
    return jnp.stack([share, (1 - share) ** 2], axis=1)

  first = SPACE.sample(jax.random.key(0), 20)
  vary = change_layer(SPACE)
  found = evolve_front(
    jax.random.key(1), objectives, vary, first, rounds=10, children=20
  )
  assert found.genotypes.shape == (220, len(SPACE.decisions))
  np.testing.assert_allclose(
    found.objectives, objectives(found.genotypes), rtol=1e-6
  )
  span = np.ptp(np.asarray(found.objectives[:, 0]))
  assert span > 1.5 * np.ptp(np.asarray(objectives(first)[:, 0]))
