"""Recipe-only and architecture-only parts of spaces."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.models import one_hot
from fbnax.spaces.recipe import Recipe

RECIPE = Recipe(optimizer="sgd", learning_rate=0.3, stochastic_depth=0.09)


def check(space):
  """What holds in every space, for a part of one."""
  n, count = 32, len(space.decisions)
  assert space.size == np.prod([len(d.values) for d in space.decisions])
  samples = (space.sample(jax.random.key(0), n), space.sobol(n))
  for genotypes in samples:
    assert genotypes.shape == (n, count)
    np.testing.assert_array_equal(space.canonical(genotypes), genotypes)
    features = space.encode(genotypes)
    assert features.shape == (n, len(space.features))
    assert np.all((np.asarray(features) >= 0) & (np.asarray(features) <= 1))
  genotypes = samples[1]
  found = costs.batch(space, genotypes, 10)
  for i, genotype in enumerate(np.asarray(genotypes[:8])):
    architecture, recipe = space.architecture(genotype), space.recipe(genotype)
    np.testing.assert_array_equal(
      space.genotype(architecture, recipe), genotype
    )
    exact = costs.count(architecture, 10)
    np.testing.assert_allclose(found.macs[i], exact.macs, rtol=1e-6)
    np.testing.assert_allclose(found.params[i], exact.params, rtol=1e-6)
  expected = costs.expected(space, one_hot(space, genotypes[0]), 10)
  np.testing.assert_allclose(expected.macs, found.macs[0], rtol=1e-6)


def test_recipes_of_one_network():
  whole, network = spaces.get("fbnetv3"), spaces.zoo.get("fbnetv2_l3")
  part = whole.with_architecture(network)
  check(part)
  assert part.name == "fbnetv3"
  assert [d.name for d in part.decisions] == [
    d.name for d in whole.decisions if d.name.startswith("recipe.")
  ]
  assert part.size == 11 * 2 * 2 * 31 * 22 * 42 * 15
  assert part.num_architecture_features == 0
  # Categorical decisions of two values have two features each.
  assert len(part.features) == 7 + 2
  genotypes = np.asarray(part.sobol(32))
  assert {part.architecture(g) for g in genotypes} == {network}
  assert len({part.recipe(g) for g in genotypes}) == 32
  exact = costs.count(network)
  found = costs.batch(part, jnp.asarray(genotypes))
  assert found.macs.shape == (32,)
  np.testing.assert_allclose(found.macs, exact.macs, rtol=1e-6)
  with pytest.raises(ValueError, match=r"resolution is 224; .* has 256 only"):
    part.genotype(dataclasses.replace(network, resolution=224))


def test_recipes_scale_the_rate_of_sgd_as_in_the_whole_space():
  part = spaces.get("fbnetv3").with_architecture(spaces.zoo.get("fbnetv3_a"))
  names = [d.name for d in part.decisions]
  genotype = np.zeros(len(names), int)
  genotype[names.index("recipe.optimizer")] = 1
  assert part.recipe(genotype).learning_rate == 0.08


@pytest.mark.parametrize(
  "name", ("fbnetv3", "small", "mnasnet", "nasbench201", "small_dnas")
)
def test_networks_under_one_recipe(name):
  whole = spaces.get(name)
  part = whole.with_recipe(RECIPE)
  check(part)
  assert [d.name for d in part.decisions] == [
    d.name for d in whole.decisions if not d.name.startswith("recipe.")
  ]
  assert part.num_architecture_features == len(part.features)
  assert part.num_architecture_features == whole.num_architecture_features
  # The learning rate of SGD is as given, not scaled once more.
  assert part.recipe(np.asarray(part.choices) - 1) == RECIPE
  with pytest.raises(ValueError, match=r"recipe.optimizer is 'rmsprop'"):
    part.genotype(part.architecture([0] * len(part.decisions)), Recipe())


def test_parts_share_the_networks_of_the_whole():
  whole = spaces.get("small")
  part = whole.with_recipe(RECIPE)
  for genotype in np.asarray(part.sample(jax.random.key(1), 10)):
    architecture = part.architecture(genotype)
    wide = np.asarray(whole.genotype(architecture))
    np.testing.assert_array_equal(wide[: len(genotype)], genotype)


def test_parts_can_be_fixed():
  recipes = spaces.get("small").with_architecture(spaces.zoo.get("fbnet_96"))
  cut = recipes.fix(**{"recipe.optimizer": "sgd", "recipe.ema": [True]})
  check(cut)
  assert cut.size == recipes.size // 4
  assert {cut.recipe(g).optimizer for g in np.asarray(cut.sobol(8))} == {"sgd"}
  networks = spaces.get("small").with_recipe(RECIPE).fix(resolution=16)
  check(networks)
  assert networks.size == spaces.get("small").with_recipe(RECIPE).size // 5


def test_fixing_every_decision_of_the_architecture():
  whole = spaces.get("small")
  part = whole.fix(
    **{d.name: d.values[-1] for d in whole.decisions if not whole.is_recipe(d)}
  )
  check(part)
  assert len(part.decisions) == len(whole.decisions)
  assert part.num_architecture_features == 0
  biggest = whole.architecture(np.asarray(whole.choices) - 1)
  genotypes = np.asarray(part.sobol(16))
  assert {part.architecture(g) for g in genotypes} == {biggest}
  recipes = whole.with_architecture(biggest)
  assert part.size == recipes.size
  np.testing.assert_array_equal(
    part.encode(jnp.asarray(genotypes)),
    recipes.encode(jnp.asarray(genotypes[:, -len(recipes.decisions) :])),
  )


def test_nothing_left_to_decide():
  cells = spaces.get("nasbench201")
  with pytest.raises(
    ValueError, match=r"'nasbench201' has no decision about the recipe.*edge0_1"
  ):
    cells.with_architecture(cells.architecture([0] * 6))
  recipes = spaces.get("small").with_architecture(spaces.zoo.get("fbnet_96"))
  with pytest.raises(
    ValueError, match=r"'small' has no decision about the architecture"
  ):
    recipes.with_recipe(RECIPE)
  with pytest.raises(ValueError, match=r"recipe.dropout is 2"):
    cells.with_recipe(dataclasses.replace(RECIPE, dropout=2))


def test_recipes_of_a_cell():
  cell = spaces.CellNetwork(("conv3x3",) * 6)
  part = spaces.get("small").with_architecture(cell)
  check(part)
  assert part.architecture([0] * 7) == cell
