"""A tiny space of every kind of decision that shared weights have."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models import Network, initialize
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.recipe import Recipe
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.training import recipes, shared
from fbnax.training.model import Member, Model
from fbnax.training.recipes import Settings

K = 3
PLAIN = Recipe("sgd", 1.0, 0.0, False, 0.0, 0.0, 0.0)


def _space():
  resolution = Decision("resolution", (6, 8))
  stem = Decision("stem.channels", (4, 8))
  kernel = Decision("stage1.kernel", (3, 5), categorical=True)
  expansion = Decision("stage1.expansion", (1, 2, 3))
  channels = Decision("stage1.channels", (4, 8))
  depth = Decision("stage1.depth", (1, 2))
  common = {
    "channels": follow(channels),
    "stage": 1,
    "kernel": follow(kernel),
    "expansion": follow(expansion),
  }
  return SearchSpace(
    name="tiny_shared",
    decisions=(resolution, stem, kernel, expansion, channels, depth),
    table=Architecture(
      resolution=follow(resolution),
      stem=Stem(channels=follow(stem), stride=1),
      blocks=(
        Block(**common, stride=2, squeeze_excite=True),
        Block(**common, present=follow(depth, (False, True))),
      ),
      head=Head(channels=8, expansion=0.0),
      input_channels=1,
      divisor=4,
    ),
  )


SPACE = _space()
LARGEST = shared.largest(SPACE)
NETWORK = Network(SPACE.architecture(LARGEST), K)
MODEL = Model(NETWORK)


def settings(**changes):
  """Settings at the largest network's resolution."""
  common = {
    "epochs": 3,
    "batch_size": 8,
    "resolution": 8,
    "mean": (0.5,),
    "std": (0.25,),
    "momentum": 0.0,
    "ema_decay": 0.5,
    "schedule": "cosine",
  }
  return Settings(**(common | changes))


def member(recipe=PLAIN, seed=0):
  """A member without choice weights."""
  return Member(recipes.as_numbers(recipe), None, jax.random.key(seed))


@functools.cache
def _variables(seed):
  images = np.zeros((1, 8, 8, 1), np.float32)
  return jax.device_get(
    jax.jit(lambda key: initialize(NETWORK, key, images, train=False))(
      jax.random.key(seed)
    )
  )


def variables(seed=0):
  """Of the largest network; no scale is 0, so that every gradient counts."""
  rng = np.random.default_rng(seed)

  def moved(leaf):
    noise = rng.normal(size=leaf.shape).astype(np.float32)
    return jnp.asarray(leaf + 0.2 * noise)

  tree = _variables(seed)
  return {**tree, "params": jax.tree.map(moved, tree["params"])}


def examples(count=8, seed=0):
  """Images of 8 x 8 pixels, brighter by class, and labels."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, K, count).astype(np.int32)
  images = rng.integers(0, 100, (count, 8, 8, 1))
  images += 70 * labels[:, None, None, None]
  return images.astype(np.uint8), labels
