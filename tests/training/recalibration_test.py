"""BN's statistics of a network, computed anew from images."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.data import Split
from fbnax.models import Supernet
from fbnax.models.layers import BatchNorm, Conv
from fbnax.models.network import extract, one_hot
from fbnax.training import loop, recalibration
from tests.data.streams import streamed
from tests.training.tiny_shared import SPACE, K, examples, settings, variables


class TwoNorms(nn.Module):
  """1x1 convolution and BN, twice, with a ReLU between."""

  @nn.compact
  def __call__(self, images, *, train):
    x = Conv(5, name="first")(images)
    x = nn.relu(BatchNorm(name="one")(x, train=train))
    x = Conv(4, name="second")(x)
    return BatchNorm(name="two")(x, train=train).mean((1, 2))


@pytest.mark.parametrize("count", [16, 21])
def test_statistics_are_means_over_the_batches(count):
  """Of means and of variances within a batch; what fills none is left out."""
  images, _ = examples(count)
  module = TwoNorms()
  tree = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=False)
  found = recalibration.recalibrated(
    module, settings(), tree, None, jnp.asarray(images)
  )
  params = jax.tree.map(lambda leaf: np.asarray(leaf, float), tree["params"])
  expected = {name: {"mean": 0.0, "var": 0.0} for name in ("one", "two")}
  for batch in (images[:8], images[8:16]):
    x = (batch / 255 - 0.5) / 0.25
    for conv, name in (("first", "one"), ("second", "two")):
      x = x @ params[conv]["kernel"][0, 0]
      mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
      expected[name]["mean"] += mean / 2
      expected[name]["var"] += var / 2
      x = np.maximum((x - mean) / np.sqrt(var + 1e-5), 0)
  for name, stats in expected.items():
    for kind, values in stats.items():
      np.testing.assert_allclose(
        found["batch_stats"][name][kind], values, rtol=1e-4, atol=1e-5
      )
  chex.assert_trees_all_equal(found["params"], tree["params"])


# Of half the widths on small images, and the largest but for its depth.
GENOTYPES = ((0, 1, 0, 1, 0, 1), (1, 1, 1, 2, 1, 0))


@pytest.mark.parametrize("genotype", GENOTYPES)
def test_a_network_and_the_masks_of_it_have_the_same_statistics(genotype):
  images = jnp.asarray(examples(16)[0])
  at = settings(resolution=SPACE.architecture(genotype).resolution)
  alone = recalibration.inherited(SPACE, genotype, variables(), at, images)
  masked = recalibration.recalibrated(
    Supernet(SPACE, K),
    at,
    variables(),
    one_hot(SPACE, jnp.asarray(genotype)),
    images,
  )
  cut = extract(SPACE, genotype, jax.device_get(masked))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    alone,
    cut,
  )
  before = jax.tree.leaves(extract(SPACE, genotype, variables())["batch_stats"])
  after = jax.tree.leaves(alone["batch_stats"])
  assert all(
    np.abs(a - b).max() > 1e-3 for a, b in zip(before, after, strict=True)
  )


def test_the_images_are_some_of_all_in_random_order():
  split = Split(*examples(40))
  found = recalibration.sample(settings(), loop.place(split), 24)
  rows = [image.tobytes() for image in split.images]
  places = [rows.index(np.asarray(image).tobytes()) for image in found]
  assert len(set(places)) == 24
  assert places != sorted(places)
  again = recalibration.sample(settings(), loop.place(split), 24)
  np.testing.assert_array_equal(found, again)
  other = recalibration.sample(settings(), loop.place(split), 24, seed=1)
  assert not np.array_equal(found, other)
  assert len(recalibration.sample(settings(), loop.place(split), 99)) == 40


def test_streamed_images_are_their_centres():
  """0.875 of 16 pixels are 14: the crop needs no resize."""
  images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), np.uint8)
  split, at = Split(images, np.zeros(20, np.int32)), settings(resolution=14)
  found = recalibration.sample(at, streamed(split), 11)
  whole = recalibration.sample(at, loop.place(split), 11)
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, whole[:, 1:15, 1:15])


def test_no_images_are_refused():
  with pytest.raises(ValueError, match="count is 0; legal: 1"):
    recalibration.sample(settings(), loop.place(Split(*examples())), 0)
