"""Folded networks compute what their modules compute."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.models import folded
from fbnax.models.building import build
from fbnax.spaces import Block, Head, ResNet, Stem, zoo

SPACE = spaces.get("small")
SMALL = SPACE.architecture(np.zeros(len(SPACE.decisions), int))
COMMON = {"resolution": 16, "input_channels": 3}


def parts_of(name, *places):
  """A network of a few blocks of a published one."""
  network = zoo.get(name)
  blocks = tuple(network.blocks[i] for i in places)
  return dataclasses.replace(network, resolution=16, blocks=blocks)


NETWORKS = {
  "small": dataclasses.replace(SMALL, **COMMON),
  # Groups, biases, an identity; squeeze-excite, padding, a skip that widens.
  "fbnet_a": parts_of("fbnet_a", 0, 1, 11),
  "fbnetv2_f1": parts_of("fbnetv2_f1", 0, 3, 8),
  "head": dataclasses.replace(
    SMALL, head=dataclasses.replace(SMALL.head, kernel=3), **COMMON
  ),
  # Other families: padding, activations, gates, a dense expansion, a head with
  # a biased convolution behind the pool; a bare stem and no head.
  "same": dataclasses.replace(
    SMALL,
    padding="same",
    bn_epsilon=1e-3,
    stem=Stem(channels=8, activation="relu6", bias=False),
    blocks=(
      Block(channels=8, stage=1, activation="relu6", residual=False),
      Block(
        channels=16,
        stage=2,
        op="fused_mbconv",
        kernel=5,
        expansion=4,
        stride=2,
        squeeze_excite=True,
        activation="silu",
        gate="sigmoid",
        squeeze_divisor=1,
        squeeze_from_input=True,
      ),
      Block(channels=16, stage=2, op="fused_mbconv", activation="hswish"),
      Block(
        channels=16,
        stage=2,
        stride=2,
        expand=True,
        squeeze_excite=True,
        squeeze_activation="relu",
      ),
    ),
    head=Head(channels=32, expansion=2.0, project_bias=True),
    **COMMON,
  ),
  "bare": dataclasses.replace(
    SMALL,
    stem=Stem(channels=8, norm=False, activation="silu"),
    blocks=(Block(channels=8, stage=1, expand=False),),
    head=Head(channels=8, expand=False, expansion=0.0),
    **COMMON,
  ),
  "resnet": ResNet((1, 1), (8, 12), 8, **COMMON),
  "preactivation": ResNet((1, 1), (8, 12), 8, True, **COMMON),
}


def filled(network, classes=5, seed=0):
  """A module and random variables that keep activations at their size."""
  module = build(network, classes)
  side, channels = network.resolution, network.input_channels
  shapes = jax.eval_shape(
    lambda key: module.init(
      key, jnp.zeros((1, side, side, channels)), train=False
    ),
    jax.random.key(0),
  )
  rng = np.random.default_rng(seed)

  def fill(path, shape):
    if path[-1].key in ("var", "scale"):
      return rng.uniform(0.5, 1.5, shape.shape).astype(np.float32)
    taps = np.prod(shape.shape[:-1]) if len(shape.shape) > 1 else 10
    return rng.normal(0, taps**-0.5, shape.shape).astype(np.float32)

  return module, jax.tree_util.tree_map_with_path(fill, shapes)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_the_same(name):
  network = NETWORKS[name]
  module, variables = filled(network)
  images = np.random.default_rng(1).normal(size=(2, 16, 16, 3)).astype("f4")
  steps = folded.fold(network, variables)
  wanted = jax.jit(lambda x: module.apply(variables, x, train=False))(images)
  found = jax.jit(lambda x: folded.run(steps, x))(images)
  assert np.std(wanted) > 1e-3
  np.testing.assert_allclose(found, wanted, atol=2e-6, rtol=2e-5)


def test_no_norm_is_left():
  network = NETWORKS["small"]
  _, variables = filled(network)
  ops = {step.op for step in folded.fold(network, variables)}
  assert ops <= set(folded.OPS) - {"scale"}


def test_other_networks_are_refused():
  with pytest.raises(ValueError, match="is a str; legal: Architecture"):
    folded.fold("small", {})
