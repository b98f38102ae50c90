"""The contract of every space, and the behaviour of `SearchSpace` itself."""

import dataclasses
import difflib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.follow import Follow
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow

every_space = pytest.mark.parametrize("name", spaces.names())


def uniform(space, seed, n):
  """Genotypes that are not canonical."""
  rng = np.random.default_rng(seed)
  return rng.integers(0, space.choices, (n, len(space.decisions)))


# The contract, over the table of all spaces.


@every_space
def test_architecture_and_recipe_give_the_canonical_genotype(name):
  space = spaces.get(name)
  assert space.name == name
  genotypes = uniform(space, 0, 12)
  canonical = space.canonical(jnp.asarray(genotypes))
  assert canonical.dtype == jnp.int32
  for genotype, expected in zip(genotypes, canonical, strict=True):
    architecture, recipe = space.architecture(genotype), space.recipe(genotype)
    found = space.genotype(architecture, recipe)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, expected)
    assert space.architecture(found) == architecture
    assert space.recipe(found) == recipe


@every_space
def test_canonical_twice_is_canonical(name):
  space = spaces.get(name)
  once = space.canonical(jnp.asarray(uniform(space, 1, 50)))
  np.testing.assert_array_equal(space.canonical(once), once)


@every_space
def test_networks_are_legal_and_survive_json(name):
  space = spaces.get(name)
  for genotype in uniform(space, 2, 6):
    architecture, recipe = space.architecture(genotype), space.recipe(genotype)
    recipe.validate()
    hash(architecture)
    assert (
      spaces.from_json(architecture.to_json()) == architecture
    )  # Validates.
    assert Recipe.from_json(recipe.to_json()) == recipe


@every_space
def test_size_is_exact(name):
  space = spaces.get(name)
  size = 1
  for decision in space.decisions:
    size *= len(decision.values)
  assert space.size == size
  assert isinstance(space.size, int)


@every_space
def test_samples_are_canonical_in_range_and_follow_the_key(name):
  space = spaces.get(name)
  n = 64
  sample = space.sample(jax.random.key(0), n)
  assert sample.shape == (n, len(space.decisions))
  assert sample.dtype == jnp.int32
  assert np.all(np.asarray(sample) >= 0)
  assert np.all(np.asarray(sample) < np.asarray(space.choices))
  np.testing.assert_array_equal(space.canonical(sample), sample)
  np.testing.assert_array_equal(space.sample(jax.random.key(0), n), sample)
  assert np.any(np.asarray(space.sample(jax.random.key(1), n) != sample))


@every_space
def test_sobol_samples_are_canonical_in_range_and_follow_the_seed(name):
  space = spaces.get(name)
  for n in (0, 1, 5, 64):
    sample = space.sobol(n)
    assert sample.shape == (n, len(space.decisions))
    assert sample.dtype == jnp.int32
    assert np.all(np.asarray(sample) >= 0)
    assert np.all(np.asarray(sample) < np.asarray(space.choices))
    np.testing.assert_array_equal(space.canonical(sample), sample)
  np.testing.assert_array_equal(space.sobol(64, seed=0), sample)
  assert np.any(np.asarray(space.sobol(64, seed=1) != sample))


@every_space
def test_encode_is_one_hot_and_min_max(name):
  space = spaces.get(name)
  genotypes = uniform(space, 4, 9)
  rows = []
  for genotype in genotypes:
    row = []
    for decision, index in zip(space.decisions, genotype, strict=True):
      if len(decision.values) == 1:
        continue
      if decision.categorical:
        row += [float(i == index) for i in range(len(decision.values))]
      else:
        low, high = min(decision.values), max(decision.values)
        row.append((decision.values[index] - low) / (high - low))
    rows.append(row)
  encoded = space.encode(jnp.asarray(genotypes))
  assert encoded.shape == (len(genotypes), len(space.features))
  assert encoded.dtype == jnp.float32
  np.testing.assert_allclose(encoded, rows, atol=1e-6)


@every_space
def test_features_are_named_and_the_architectures_come_first(name):
  space = spaces.get(name)
  is_recipe = [recipe for _, recipe in space.features]
  assert is_recipe == sorted(is_recipe)
  assert space.num_architecture_features == is_recipe.count(False)
  by_name = {d.name: d for d in space.decisions}
  for feature, recipe in space.features:
    assert recipe == space.is_recipe(by_name[feature])
  recipes = [space.is_recipe(d) for d in space.decisions]
  assert recipes == sorted(recipes)


@every_space
def test_every_decision_matters(name):
  """Each decision changes the architecture or the recipe of some genotype."""
  space = spaces.get(name)
  # Where one of them has a skip another has none.
  bases = [np.asarray(space.choices) - 1, *uniform(space, 6, 7)]
  for i, decision in enumerate(space.decisions):
    effects = []
    for base in bases:
      results = set()
      for choice in range(len(decision.values)):
        genotype = base.copy()
        genotype[i] = choice
        results.add((space.architecture(genotype), space.recipe(genotype)))
      effects.append(len(results))
      if len(results) > 1:
        break
    assert max(effects) > 1 or len(decision.values) == 1, decision.name


@every_space
def test_space_is_hashable(name):
  assert hash(spaces.get(name)) == hash(spaces.SPACES[name]())
  assert spaces.get(name) == spaces.SPACES[name]()


def test_unknown_space_suggests_the_nearest():
  with pytest.raises(ValueError, match=r"no space 'fbnetv4'.*'fbnetv3'"):
    spaces.get("fbnetv4")
  assert difflib.get_close_matches("????", spaces.names()) == []
  with pytest.raises(ValueError, match=r"nearest: .*'small'"):
    spaces.get("????")


# Sampling.


def marginal_deviation(space, genotypes):
  """Largest distance of a choice's count from its even share, by decision."""
  n = len(genotypes)
  return [
    max(abs(np.bincount(column, minlength=count) - n / count))
    for column, count in zip(genotypes.T, space.choices, strict=True)
  ]


@pytest.mark.parametrize("n", (64, 256))
def test_sobol_spreads_evenly_over_each_decision(n):
  """A power of two of Sobol points has one in each n-th of every axis."""
  space = spaces.get("fbnetv3")  # Every genotype of it is canonical.
  even = marginal_deviation(space, np.asarray(space.sobol(n)))
  random = marginal_deviation(
    space, np.asarray(space.sample(jax.random.key(0), n))
  )
  assert max(even) < 2
  assert np.mean(random) > 2 * np.mean(even)


def test_samples_are_uniform():
  space = spaces.get("fbnetv3")
  n = 20_000
  genotypes = np.asarray(space.sample(jax.random.key(5), n))
  for column, count in zip(genotypes.T, space.choices, strict=True):
    found = np.bincount(column, minlength=count)
    sigma = math.sqrt(n / count * (1 - 1 / count))
    assert np.all(np.abs(found - n / count) < 5 * sigma)


# Construction.


def table(**fields):
  return Architecture(
    resolution=8,
    stem=Stem(channels=8),
    blocks=(Block(channels=8, stage=1, **fields),),
    head=Head(channels=16),
  )


@pytest.mark.parametrize(
  ("arguments", "message"),
  (
    (("x", ()), "'x' has no values"),
    (("x", (1, 1)), "'x' repeats values"),
    (("x", (3, 1)), "ordinal decision 'x' must ascend"),
  ),
)
def test_decision_errors(arguments, message):
  with pytest.raises(ValueError, match=message):
    Decision(*arguments)


def test_categorical_decisions_need_no_order():
  assert Decision("x", ("b", "a"), categorical=True).values == ("b", "a")


def test_space_errors():
  kernel = Decision("kernel", (3, 5), categorical=True)
  SearchSpace("s", (kernel,), table(kernel=follow(kernel)))
  with pytest.raises(ValueError, match=r"'s' repeats decision names"):
    SearchSpace("s", (kernel, kernel), table(kernel=follow(kernel)))
  with pytest.raises(ValueError, match=r"follows 'kernel' with 3 values"):
    SearchSpace("s", (kernel,), table(kernel=follow(kernel, values=(3, 5, 7))))
  with pytest.raises(ValueError, match=r"follows 'size' with 2 values"):
    SearchSpace("s", (kernel,), table(kernel=Follow("size", (3, 5))))
  depth = Decision("depth", (0, 1))
  wide = dataclasses.replace(
    table(present=follow(depth, (False, True))), stem=Stem(channels=4)
  )
  with pytest.raises(ValueError, match=r"stage1.block0 may be absent"):
    SearchSpace("s", (depth,), wide)


# Genotypes.


def test_genotype_of_the_wrong_shape_or_range():
  space = spaces.get("small")
  count = len(space.decisions)
  zeros = np.zeros(count, int)
  with pytest.raises(ValueError, match=rf"shape \({count},\), found \(3,\)"):
    space.architecture([0, 0, 0])
  with pytest.raises(ValueError, match=r"found \(1, "):
    space.recipe(zeros[None])
  for bad in (-1, 5):
    genotype = zeros.copy()
    genotype[0] = bad
    with pytest.raises(
      ValueError, match=rf"choice {bad} of decision 'resolution'.*0 to 4"
    ):
      space.architecture(genotype)


def test_architecture_outside_the_space():
  space = spaces.get("small")
  inside = space.architecture(np.zeros(len(space.decisions), int))
  block = inside.blocks[0]
  cases = (
    (
      dataclasses.replace(inside, resolution=9),
      r"resolution is 9.*\(8, 12, 16, 24, 32\).*'resolution'",
    ),
    (dataclasses.replace(inside, divisor=4), r"divisor is 4.* has 8 only"),
    (
      dataclasses.replace(
        inside,
        blocks=(dataclasses.replace(block, kernel=7), *inside.blocks[1:]),
      ),
      r"stage1.block0.kernel is 7.*\(3, 5\).*'stage1.kernel'",
    ),
    (
      dataclasses.replace(inside, blocks=inside.blocks[1:]),
      r"stage1.block0.present is False",
    ),
    (
      dataclasses.replace(
        inside,
        blocks=(*inside.blocks, dataclasses.replace(block, stage=9)),
      ),
      r"no blocks \['stage9.block0'\]",
    ),
  )
  for architecture, message in cases:
    with pytest.raises(ValueError, match=message):
      space.genotype(architecture)
  with pytest.raises(ValueError, match=r"recipe.optimizer is 'adamw'"):
    space.genotype(inside, Recipe(optimizer="adamw"))


def test_blocks_that_follow_one_decision_must_agree():
  space = spaces.get("small")
  deepest = space.architecture(np.asarray(space.choices) - 1)
  blocks = list(deepest.blocks)
  assert blocks[0].stage == blocks[1].stage
  blocks[1] = dataclasses.replace(blocks[1], kernel=3)
  with pytest.raises(ValueError, match=r"stage1.block1.kernel is 3.*too"):
    space.genotype(dataclasses.replace(deepest, blocks=tuple(blocks)))


def test_genotype_without_recipe_leaves_its_decisions_at_0():
  space = spaces.get("small")
  genotype = np.asarray(space.choices) - 1
  found = np.asarray(space.genotype(space.architecture(genotype)))
  recipe = np.asarray([space.is_recipe(d) for d in space.decisions])
  assert np.all(found[recipe] == 0)
  np.testing.assert_array_equal(found[~recipe], genotype[~recipe])


# Recipes.


@pytest.mark.parametrize(("name", "factor"), (("fbnetv3", 4), ("small", 16)))
def test_sgd_has_a_multiple_of_the_learning_rate(name, factor):
  space = spaces.get(name)
  names = [d.name for d in space.decisions]
  optimizer = names.index("recipe.optimizer")
  rate = names.index("recipe.learning_rate")
  rates = space.decisions[rate].values
  base = np.zeros(len(names), int)
  architecture = space.architecture(base)
  for choice, value in enumerate(rates):
    base[rate] = choice
    base[optimizer] = 0
    plain = space.recipe(base)
    base[optimizer] = 1
    sgd = space.recipe(base)
    assert plain.optimizer == "rmsprop"
    assert plain.learning_rate == value
    assert sgd == dataclasses.replace(
      plain, optimizer="sgd", learning_rate=sgd.learning_rate
    )
    assert sgd.learning_rate == pytest.approx(factor * value, rel=1e-12)
    np.testing.assert_array_equal(space.genotype(architecture, sgd), base)


def test_a_space_without_recipe_decisions_has_the_default_recipe():
  kernel = Decision("kernel", (3, 5), categorical=True)
  space = SearchSpace("s", (kernel,), table(kernel=follow(kernel)))
  assert space.recipe([1]) == Recipe()
  assert space.num_architecture_features == 2
  np.testing.assert_array_equal(
    space.genotype(space.architecture([1]), Recipe()), [1]
  )
  sgd = dataclasses.replace(space, recipe_table=Recipe(optimizer="sgd"))
  assert sgd.recipe([0]).learning_rate == Recipe().learning_rate


# Fixing.


def test_fix_to_a_value_or_to_a_list():
  space = spaces.get("small")
  fixed = space.fix(
    resolution=16, **{"stage3.kernel": [5], "stage2.depth": (3, 1)}
  )
  values = {d.name: d.values for d in fixed.decisions}
  assert values["resolution"] == (16,)
  assert values["stage3.kernel"] == (5,)
  assert values["stage2.depth"] == (1, 3)
  assert fixed.size == space.size // 5 // 2 // 3 * 2
  assert {d.name for d in fixed.decisions} == {d.name for d in space.decisions}
  for genotype in uniform(fixed, 0, 10):
    architecture, recipe = fixed.architecture(genotype), fixed.recipe(genotype)
    assert architecture.resolution == 16
    assert {b.kernel for b in architecture.blocks if b.stage == 3} == {5}
    assert sum(b.stage == 2 for b in architecture.blocks) in (1, 3)
    np.testing.assert_array_equal(
      fixed.genotype(architecture, recipe),
      fixed.canonical(jnp.asarray(genotype)),
    )
    # The same network is in the whole space.
    wide = space.genotype(architecture, recipe)
    assert space.architecture(wide) == architecture
    assert space.recipe(wide) == recipe
  gone = {f for f, _ in space.features} - {f for f, _ in fixed.features}
  assert gone == {"resolution", "stage3.kernel"}


def test_fix_of_the_recipe_keeps_the_factor_of_sgd():
  space = spaces.get("fbnetv3").fix(
    **{"recipe.learning_rate": 0.02, "recipe.optimizer": "sgd"}
  )
  recipe = space.recipe(np.zeros(len(space.decisions), int))
  assert (recipe.optimizer, recipe.learning_rate) == ("sgd", 0.08)


def test_fix_errors():
  space = spaces.get("fbnetv3")
  with pytest.raises(
    ValueError, match=r"no decision 'stage3.kernal'.*'stage3.kernel'"
  ):
    space.fix(**{"stage3.kernal": 3})
  with pytest.raises(
    ValueError, match=r"'stage3.kernel' has no value 4; legal: \(3, 5\)"
  ):
    space.fix(**{"stage3.kernel": 4})
  with pytest.raises(ValueError, match=r"has no value 7"):
    space.fix(**{"stage3.kernel": [3, 7]})
  with pytest.raises(ValueError, match=r"needs at least one value"):
    space.fix(**{"stage3.kernel": []})
