"""The network's size against the counts, and the supernet against networks."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.models import Network, Supernet, extract, initialize, one_hot
from fbnax.models.network import narrow
from fbnax.spaces import zoo
from fbnax.spaces.hull import hull
from fbnax.spaces.recipe import Recipe
from fbnax.training import population, step
from fbnax.training.model_files import number_of_parameters, variable_shapes
from fbnax.training.recipes import Settings, as_numbers
from fbnax.training.step import Member, Model

CLASSES = 10


def _perturbed(architecture, seed):
  """Another network of the same family: kernels, widths, SE, expansions."""
  rng = np.random.default_rng(seed)
  blocks = []
  for block in architecture.blocks:
    if block.op == "inverted_residual" and block.groups == 1:
      block = dataclasses.replace(
        block,
        kernel=int(rng.choice([3, 5, 7])),
        padding=None,
        expansion=float(rng.choice([1, 1.7, 3, 4.5])),
        channels=block.channels + 4 * int(rng.integers(0, 3)),
        squeeze_excite=bool(rng.integers(2)),
      )
    blocks.append(block)
  return dataclasses.replace(
    architecture,
    blocks=tuple(blocks),
    block_bias=bool(rng.integers(2)),
    expand_at_one=bool(rng.integers(2)),
  )


# One of each family by default: tracing the others takes a minute.
COUNTED = {
  "fbnet_a",
  "fbnetv2_f1",
  "fbnetv3_a",
  "timm_fbnetc_100",
  "timm_fbnetv3_b",
  "timm_mobilenetv3_small_100",
}


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=() if name in COUNTED else pytest.mark.slow)
    for name in zoo.names()
  ],
)
def test_counts_are_what_flax_makes(name):
  for seed in (None, 0):
    architecture = zoo.get(name)
    if seed is not None and all(b.groups == 1 for b in architecture.blocks):
      architecture = _perturbed(architecture, seed)
    shapes = variable_shapes(Network(architecture, CLASSES))
    counted = costs.count(architecture, CLASSES)
    assert number_of_parameters(shapes) == counted.params


def test_backbone_features():
  architecture = dataclasses.replace(zoo.get("timm_fbnetv3_b"), resolution=64)
  module = Network(architecture, CLASSES)
  shapes = jax.eval_shape(
    lambda key: module.init_with_output(
      key, jnp.zeros((2, 64, 64, 3)), train=False, features=True
    )[0],
    jax.random.key(0),
  )
  assert {s: m.shape for s, m in shapes.items()} == {
    4: (2, 16, 16, 24),
    8: (2, 8, 8, 40),
    16: (2, 4, 4, 120),
    32: (2, 2, 2, 224),
  }


def test_initialize_draws_from_the_same_distribution():
  space = spaces.get("small").fix(resolution=8)
  genotype = space.sobol(1)[0]
  module = Network(space.architecture(genotype), CLASSES)
  images = jnp.zeros((1, 8, 8, 3))
  fast = jax.jit(lambda key: initialize(module, key, images, train=False))(
    jax.random.key(0)
  )
  plain = jax.jit(lambda key: module.init(key, images, train=False))(
    jax.random.key(0)
  )
  chex.assert_trees_all_equal_shapes(fast, plain)

  def compare(path, a, b):
    if a.size > 2000:  # Large enough for their deviations to be alike.
      np.testing.assert_allclose(a.std(), b.std(), rtol=0.1, err_msg=str(path))
    if path[-1].key != "kernel":
      np.testing.assert_array_equal(a, b)

  jax.tree_util.tree_map_with_path(compare, fast, plain)


def test_a_masked_candidate_starts_as_its_own_network():
  """Initial weights have the variance of the candidate's own size."""
  space = spaces.get("small").fix(resolution=8)
  low = jnp.zeros(len(space.decisions), jnp.int32)
  module = Supernet(space, CLASSES)
  images = jnp.zeros((1, 8, 8, 3))
  variables = jax.jit(
    lambda key: initialize(
      module, key, images, one_hot(space, low), train=False
    )
  )(jax.random.key(0))
  expand = variables["params"]["stage4_block0"]["expand"]["conv"]["kernel"]
  # Smallest choices: 32 channels in, expansion 2.
  np.testing.assert_allclose(expand.std(), np.sqrt(2 / 64), rtol=0.05)


WHOLE = spaces.get("small").fix(resolution=8)
# Six blocks in place of ten, which compile in half the time; stages 2 and 4
# can still lack one.
SPACE = WHOLE.fix(
  **{"stage1.depth": 1, "stage2.depth": (1, 2), "stage3.depth": 1}
)
SETTINGS = Settings(
  epochs=2,
  batch_size=8,
  resolution=8,
  mean=(0.5,) * 3,
  std=(0.25,) * 3,
  crop_padding=1,
)
OPTIMIZERS = ("rmsprop", "sgd", "adamw")


def _batch():
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  return jnp.asarray(images), jnp.arange(8) % CLASSES


@functools.cache
def _supernet(space):
  """Variables of the supernet, none of them at a special value."""
  module = Supernet(space, CLASSES)
  weights = one_hot(space, space.sobol(1)[0])
  variables = jax.jit(
    lambda key: initialize(
      module, key, jnp.zeros((1, 8, 8, 3)), weights, train=False
    )
  )(jax.random.key(0))
  leaves, tree = jax.tree.flatten(variables)
  rng = np.random.default_rng(1)
  # Positive shifts keep the running variances legal, and wake the last
  # scales of residual blocks, which start at 0.
  moved = [
    leaf + 0.1 * rng.random(leaf.shape).astype(np.float32) for leaf in leaves
  ]
  return jax.tree.unflatten(tree, moved)


@functools.partial(jax.jit, static_argnums=0)
def _one_step(model, state, member):
  return step.train_step(model, SETTINGS, 4, state, member, *_batch())


@functools.partial(jax.jit, static_argnums=0)
def _gradient(model, variables, member):
  images, labels = _batch()
  x = images.astype(jnp.float32) / 255.0

  def loss(params):
    logits, stats = model.train_logits(
      {**variables, "params": params}, member, x, jax.random.key(3)
    )
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
    return -picked.mean(), (logits, stats)

  gradient, (logits, stats) = jax.grad(loss, has_aux=True)(variables["params"])
  return logits, stats, gradient


def _assert_equal(got, want, what):
  """Equal to 1e-5 of the tree's largest number."""
  scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(want))
  chex.assert_trees_all_close(
    got, want, atol=1e-5 * scale, rtol=1e-5, custom_message=what
  )


@pytest.fixture(autouse=True)
def _forget_networks():
  """Each candidate's own programs hold thousands of memory mappings."""
  yield
  jax.clear_caches()


def _check_gradients(space, index):
  genotype = np.asarray(space.sobol(32, seed=5)[index])
  variables = _supernet(space)
  own = Model(Network(space.architecture(genotype), CLASSES))
  choice = one_hot(space, genotype)
  member = Member(as_numbers(_recipes()[0]), choice, jax.random.key(7))
  cut = functools.partial(extract, space, genotype)

  logits, stats, gradient = _gradient(
    Model(Supernet(space, CLASSES)), variables, member
  )
  own_logits, own_stats, own_gradient = _gradient(
    own, cut(variables), member._replace(choice=None)
  )
  _assert_equal(logits, own_logits, "logits")
  kept = cut({"params": gradient, "batch_stats": stats})
  _assert_equal(kept["batch_stats"], own_stats, "BN statistics")
  _assert_equal(kept["params"], own_gradient, "gradients")
  _assert_zero_outside(gradient, own_gradient)


def _check_steps(space, index, recipes):
  genotype = np.asarray(space.sobol(32, seed=5)[index])
  variables = _supernet(space)
  shared = Model(Supernet(space, CLASSES))
  own = Model(Network(space.architecture(genotype), CLASSES))
  choice = one_hot(space, genotype)
  member = Member(as_numbers(recipes[0]), choice, jax.random.key(7))
  cut = functools.partial(extract, space, genotype)

  for recipe in recipes:
    if recipe.optimizer != "adamw":
      _five_steps(shared, own, variables, cut, member, recipe)
      continue
    # AdamW blows gradients that are 0 but for rounding (of biases in front of
    # a BN) up to full steps. In float64 its epsilon stops that.
    with jax.enable_x64(True):
      double = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)
      chosen = member._replace(choice=one_hot(space, genotype))
      _five_steps(shared, own, double, cut, chosen, recipe)


def _five_steps(shared, own, variables, cut, member, recipe):
  member = member._replace(recipe=as_numbers(recipe))
  alone = member._replace(choice=None)
  big, small = step.start(variables), step.start(cut(variables))
  for _ in range(5):
    big, _ = _one_step(shared, big, member)
    small, _ = _one_step(own, small, alone)
  got = cut(big.variables)
  for kind in ("params", "batch_stats"):
    _assert_equal(
      got[kind], small.variables[kind], f"{recipe.optimizer} {kind}"
    )


def _assert_zero_outside(gradient, own_gradient):
  """Gradients are exactly 0 where the candidate has no weights."""

  def check(path, leaf):
    small = own_gradient
    for part in path:
      if part.key not in small:
        assert not leaf.any(), f"{path} is of a block that is absent"
        return
      small = small[part.key]
    covered = np.zeros(leaf.shape, bool)
    slices = [slice(0, n) for n in small.shape]
    if leaf.ndim == 4:
      for axis in (0, 1):
        start = (leaf.shape[axis] - small.shape[axis]) // 2
        slices[axis] = slice(start, start + small.shape[axis])
    covered[tuple(slices)] = True
    assert not np.asarray(leaf)[~covered].any(), path

  jax.tree_util.tree_map_with_path(check, gradient)


def _recipes():
  rates = {"rmsprop": 0.01, "sgd": 0.1, "adamw": 0.01}
  return [
    Recipe(name, rates[name], 1e-4, True, 0.2, 0.3, 0.2) for name in OPTIMIZERS
  ]


def test_a_masked_candidate_computes_what_its_own_network_does():
  _check_steps(SPACE, 1, _recipes()[:2])


@pytest.mark.slow
@pytest.mark.parametrize("index", range(20))
def test_more_masked_candidates(index):
  """With AdamW too, and gradient by gradient."""
  _check_gradients(WHOLE, index)
  _check_steps(WHOLE, index, _recipes())


@pytest.mark.slow
def test_members_do_not_see_each_other():
  """In a population each candidate trains as it does alone."""
  genotypes = np.asarray(SPACE.sobol(4, seed=2))[:2]
  recipes = _recipes()[:2]
  model = Model(Supernet(SPACE, CLASSES))
  together = population.members(SPACE, genotypes, recipes, [3, 4])
  states = population.initial(SPACE, CLASSES, 3, together)
  both = jax.jit(
    jax.vmap(lambda s, m: step.train_step(model, SETTINGS, 4, s, m, *_batch()))
  )
  alone = [population.pick(states, i) for i in range(2)]
  for _ in range(3):
    states, _ = both(states, together)
    for i in range(2):
      alone[i], _ = _one_step(model, alone[i], population.pick(together, i))
  for i in range(2):
    _assert_equal(
      population.pick(states, i).variables, alone[i].variables, str(i)
    )


def test_a_supernet_of_cells_is_refused():
  space = spaces.get("nasbench201")
  weights = one_hot(space, np.zeros(6, np.int32))
  with pytest.raises(ValueError, match="'nasbench201' is made of cells"):
    Supernet(space, 10).init(
      jax.random.key(0), np.zeros((1, 32, 32, 3)), weights, train=False
    )


def test_a_part_of_a_space_computes_what_the_space_does():
  """Weights cut out for a few genotypes, with the choices of one of them."""
  space = SPACE
  genotypes = np.asarray(space.sobol(32, seed=5)[:3])
  part, inside = hull(space, genotypes)
  variables = _supernet(space)
  small = narrow(part, variables)
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))

  def logits(space, variables, genotype):
    choice = one_hot(space, jnp.asarray(genotype))
    return jax.jit(
      lambda v: Supernet(space, CLASSES).apply(v, images, choice, train=False)
    )(variables)

  for ours, theirs in zip(inside[:2], genotypes[:2], strict=True):
    _assert_equal(
      logits(part, small, ours), logits(space, variables, theirs), "logits"
    )
    chex.assert_trees_all_equal(
      extract(part, ours, small), extract(space, theirs, variables)
    )
  # Something was there to cut.
  sizes = [sum(x.size for x in jax.tree.leaves(v)) for v in (small, variables)]
  assert sizes[0] < sizes[1]
