import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import models, ops
from fbnax.models.network import extract, one_hot
from fbnax.spaces.fbnetv2 import TYPES, masked_space
from fbnax.spaces.searched import Row

CLASSES = 3


@pytest.fixture(scope="module")
def space():
  """Three searched layers: a width that may change, a stride, a fixed one."""
  rows = (
    Row(1, 1.0, (8, 12, 4)),
    Row(2, (1.5, 3.0, 1.5), (8, 16, 8), 1, 2),
    Row(2, (1.5, 3.0, 1.5), (8, 16, 8)),
  )
  names = ("k3", "k5_se_hs", "skip")
  return masked_space(
    "tiny",
    rows,
    (8, 16),
    head_channels=16,
    types={name: TYPES[name] for name in names},
    stem_stride=1,
  )


@pytest.fixture(scope="module")
def start(space):
  images = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
  weights = one_hot(space, space.sobol(1)[0])
  module = models.Supernet(space, CLASSES)
  init = jax.jit(functools.partial(module.init, train=False))
  variables = init(jax.random.key(0), images, weights)
  # Scales that begin at 0 would hide what their blocks compute.
  keys = iter(jax.random.split(jax.random.key(2), 1000))
  params = jax.tree.map(
    lambda x: (
      x
      if x.ndim > 1
      else x + 0.5 + 0.3 * jax.random.normal(next(keys), x.shape)
    ),
    variables["params"],
  )
  return images, {**variables, "params": params}


@pytest.fixture(scope="module")
def logits(space):
  module = models.Supernet(space, CLASSES, subsample=True)

  def run(variables, images, weights):
    found, state = module.apply(
      variables, images, weights, train=True, mutable=["batch_stats"]
    )
    return found, state["batch_stats"]

  return jax.jit(run)


# Both resolutions, all types in all layers, a skip that changes the width.
GENOTYPES = np.asarray(
  [
    [0, 0, 0, 1, 1, 1, 2, 0, 1],
    [1, 2, 1, 2, 0, 0, 1, 0, 0],
    [0, 1, 1, 0, 0, 0, 0, 1, 1],
  ]
)


def test_the_genotypes_are_those_of_the_space(space):
  names = [d.name for d in space.decisions]
  assert len(names) == GENOTYPES.shape[1]
  assert (np.asarray(space.choices) > GENOTYPES).all()


@pytest.mark.parametrize("row", range(len(GENOTYPES)))
def test_one_hot_weights_make_the_derived_network(space, start, logits, row):
  images, variables = start
  genotype = jnp.asarray(GENOTYPES[row])
  architecture = space.architecture(genotype)
  found, stats = logits(variables, images, one_hot(space, genotype))
  own = extract(space, genotype, variables)
  network = models.Network(architecture, CLASSES)
  side = architecture.resolution
  small = ops.subsample(images, side, side)
  apply = jax.jit(
    lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"])
  )
  wanted, wanted_stats = apply(own, small)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
  assert float(jnp.abs(wanted).max()) > 1e-2
  if side == images.shape[1]:  # In evaluation, with the statistics recorded.
    recorded = extract(space, genotype, {**variables, "batch_stats": stats})
    for a, b in zip(
      jax.tree.leaves(recorded["batch_stats"]),
      jax.tree.leaves(wanted_stats["batch_stats"]),
      strict=True,
    ):
      np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def soft_weights(space, leading=()):
  keys = jax.random.split(jax.random.key(5), len(space.choices))
  return tuple(
    jax.nn.softmax(jax.random.normal(k, (*leading, count)))
    for k, count in zip(keys, space.choices, strict=True)
  )


def test_each_examples_own_weights_where_all_are_equal(space, start, logits):
  images, variables = start
  weights = soft_weights(space)
  wanted, _ = logits(variables, images, weights)
  repeated = tuple(jnp.broadcast_to(w, (4, *w.shape)) for w in weights)
  found, _ = logits(variables, images, repeated)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_single_path_is_the_whole_at_one_hot_weights(space, start, logits):
  images, variables = start
  module = models.Supernet(space, CLASSES, subsample=True, single_path=True)
  weights = one_hot(space, jnp.asarray(GENOTYPES[0]))
  wanted, _ = logits(variables, images, weights)
  found, _ = jax.jit(
    lambda v, x, w: module.apply(v, x, w, train=True, mutable=["batch_stats"])
  )(variables, images, weights)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_choice_weights_is_that_of_differences(
  space, start, logits
):
  images, variables = start
  weights = soft_weights(space)

  def loss(weights):
    return (logits(variables, images, weights)[0] ** 2).sum()

  gradient = jax.jit(jax.grad(loss))(weights)
  direction = jax.tree.map(
    lambda w: jnp.sin(jnp.arange(w.size) + 1.0) - 0.1, weights
  )
  slope = sum(
    float((g * d).sum()) for g, d in zip(gradient, direction, strict=True)
  )
  step = 1e-2
  ends = [
    float(loss(jax.tree.map(lambda w, d, s=s: w + s * d, weights, direction)))
    for s in (step, -step)
  ]
  np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=0.02)


def test_images_of_another_resolution_are_refused(space, start):
  module = models.Supernet(space, CLASSES, subsample=True)
  with pytest.raises(ValueError, match="16"):
    module.apply(
      start[1], jnp.zeros((1, 8, 8, 3)), soft_weights(space), train=False
    )
