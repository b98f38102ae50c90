"""Populations on a space of two blocks."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models import Supernet, extract
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.hull import hull
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.training import loop, population, programs
from fbnax.training.recipes import Settings
from fbnax.training.step import Model

K, C = 3, 1


def _space():
  first = Decision("stage1.channels", (4, 8))
  kernel = Decision("stage1.kernel", (3, 5), categorical=True)
  depth = Decision("stage2.depth", (0, 1))
  return SearchSpace(
    name="tiny",
    decisions=(first, kernel, depth),
    table=Architecture(
      resolution=4,
      stem=Stem(channels=4, stride=1),
      blocks=(
        Block(channels=follow(first), stage=1, kernel=follow(kernel)),
        Block(
          channels=follow(first),
          stage=2,
          expansion=2,
          squeeze_excite=True,
          present=follow(depth, (False, True)),
        ),
      ),
      head=Head(channels=8, expansion=0),
      input_channels=C,
    ),
  )


def _initial(members):
  """In NumPy, where picking members compiles nothing."""
  return jax.device_get(population.initial(SPACE, K, C, members))


SPACE = _space()
GENOTYPES = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]], np.int32)
RECIPES = (
  Recipe("rmsprop", 0.05, 1e-5, True, 0.1, 0.2, 0.2),
  Recipe("sgd", 0.5, 1e-4, False, 0.0, 0.1, 0.0),
  Recipe("adamw", 0.02, 1e-2, True, 0.3, 0.0, 0.4),
)
SETTINGS = Settings(
  epochs=2, batch_size=8, resolution=4, mean=(0.5,), std=(0.25,)
)


def _members(order, seeds=(7, 8, 9)):
  rows = list(order)
  return population.members(
    SPACE, GENOTYPES[rows], [RECIPES[i] for i in rows], [seeds[i] for i in rows]
  )


def _examples():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (24, 4, 4, C), np.uint8)
  return loop.Examples(jnp.asarray(images), jnp.arange(24, dtype=np.int32) % K)


def _fit(members):
  fitted = loop.fit(
    Model(Supernet(_space(), K)),
    SETTINGS,
    population.initial(SPACE, K, C, members),
    members,
    _examples(),
    epochs=2,
    validation=_examples(),
    stacked=True,
  )
  return fitted._replace(state=jax.device_get(fitted.state))


@functools.cache
def _whole():
  return _fit(_members(range(3)))


def test_members():
  members = _members(range(3), seeds=(0, 2**31, 2**32 - 1))
  assert len(members.choice) == 3
  for d, weights in enumerate(members.choice):
    assert weights.shape == (3, 2)
    np.testing.assert_array_equal(weights.argmax(-1), GENOTYPES[:, d])
    np.testing.assert_array_equal(np.sort(weights), [[0.0, 1.0]] * 3)
  np.testing.assert_allclose(members.recipe.learning_rate, [0.05, 0.5, 0.02])
  np.testing.assert_array_equal(members.recipe.adamw, [0, 0, 1])
  keys = jax.random.key_data(members.key)
  for found, seed in zip(keys, (0, 2**31, 2**32 - 1), strict=True):
    wanted = jax.random.key_data(jax.random.key(np.uint32(seed)))
    np.testing.assert_array_equal(found, wanted)


def test_pick():
  members = _members(range(3))
  second = population.pick(members, 1)
  assert second.recipe.sgd == 1 and second.key.shape == ()
  chex.assert_trees_all_equal(
    second.choice, population.pick(_members([1]), 0)[1]
  )


def test_initial_states_do_not_depend_on_the_population():
  together = _initial(_members(range(3)))
  for order in ([0], [1], [2, 0]):
    states = _initial(_members(order))
    for i, which in enumerate(order):
      chex.assert_trees_all_equal(
        population.pick(states, i), population.pick(together, which)
      )
  kernels = together.variables["params"]["head"]["classifier"]["kernel"]
  assert kernels.shape[0] == 3
  assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
  np.testing.assert_array_equal(together.step, [0, 0, 0])


def test_a_part_of_the_space_starts_with_the_weights_of_the_space():
  part, inside = hull(SPACE, GENOTYPES[[0, 2]])
  members = _members([0, 2])
  whole = _initial(members)
  cut = jax.device_get(population.initial(SPACE, K, C, members, part))
  for i, genotype in enumerate(GENOTYPES[[0, 2]]):
    chex.assert_trees_all_equal(
      extract(part, inside[i], population.pick(cut.variables, i)),
      extract(SPACE, genotype, population.pick(whole.variables, i)),
    )
  # Stage 2, which neither has, is left out; averages start at the weights.
  assert "stage2_block0" not in cut.variables["params"]
  assert cut.ema.shape == (
    2,
    sum(leaf[0].size for leaf in jax.tree.leaves(cut.variables)),
  )
  np.testing.assert_array_equal(cut.step, [0, 0])


def test_initial_states_follow_from_seed_and_architecture_alone():
  one = population.members(SPACE, GENOTYPES[:1], RECIPES[:1], [5])
  for recipe, seed, same in ((1, 5, True), (0, 6, False)):
    other = population.members(SPACE, GENOTYPES[:1], [RECIPES[recipe]], [seed])
    a, b = (_initial(m).ema for m in (one, other))
    assert np.array_equal(a, b) == same


def test_members_with_three_optimizers_train_together():
  fitted = _whole()
  assert fitted.curves.train_loss.shape == (2, 3)
  assert np.isfinite(fitted.curves.train_loss).all()
  np.testing.assert_array_equal(fitted.state.step, [6, 6, 6])
  start = _initial(_members(range(3)))
  moved = jax.tree.map(
    lambda a, b: np.abs(np.asarray(a - b)).reshape(3, -1).max(-1),
    fitted.state.variables["params"]["head"],
    start.variables["params"]["head"],
  )
  for change in jax.tree.leaves(moved):
    assert (change > 1e-5).all()


def test_the_order_of_the_members_does_not_matter():
  fitted, turned = _whole(), _fit(_members([2, 0, 1]))
  for i, which in enumerate([2, 0, 1]):
    chex.assert_trees_all_close(
      population.pick(turned.state, i),
      population.pick(fitted.state, which),
      rtol=1e-5,
      atol=1e-6,
    )
    np.testing.assert_allclose(
      turned.curves.log_loss[:, i], fitted.curves.log_loss[:, which], rtol=1e-5
    )


def test_a_population_is_compiled_once():
  """Other genotypes, recipes, seeds and module objects: the same program."""
  _whole()
  compiled = (
    programs.epoch,
    programs.measured,
    population._initial,
  )
  before = [function._cache_size() for function in compiled]
  members = population.members(
    SPACE,
    np.array([[0, 1, 1], [0, 0, 1], [1, 1, 0]], np.int32),
    [RECIPES[2], Recipe(), Recipe("sgd", ema=False)],
    [1, 2, 3],
  )
  fitted = _fit(members)
  assert np.isfinite(fitted.curves.train_loss).all()
  assert [function._cache_size() for function in compiled] == before
  assert all(before)
