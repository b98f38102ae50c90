"""A search that compiles in a second: three decisions and a dense network."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.data import Split
from fbnax.search import dnas
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan
from fbnax.search.prices import Price
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.training import loop
from fbnax.training.model import Model
from fbnax.training.recipes import Settings

K = 3
WIDTHS = (4, 8, 12, 16)
STEM = Decision("stem", WIDTHS)
WIDTH = Decision("width", WIDTHS)
EXPANSION = Decision("expansion", (1, 2, 3))
SPACE = SearchSpace(
  name="tiny",
  decisions=(STEM, WIDTH, EXPANSION),
  table=Architecture(
    resolution=4,
    stem=Stem(channels=follow(STEM), stride=1),
    blocks=(
      Block(channels=follow(WIDTH), stage=1, expansion=follow(EXPANSION)),
    ),
    head=Head(channels=16, expansion=0.0),
    input_channels=1,
  ),
)


class Net(nn.Module):
  """Dense, BN, ReLU, Dense; each width is the share of units that is open."""

  @nn.compact
  def __call__(self, images, weights, *, train):
    x = nn.Dense(16)(images.reshape(images.shape[0], -1))
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    triangle = jnp.asarray([np.arange(16) < w for w in WIDTHS], jnp.float32)
    x = nn.relu(x) * (weights[0] @ triangle)
    x = nn.relu(nn.Dense(16)(x)) * (weights[1] @ triangle)
    return nn.Dense(K)(x) * (1.0 + 0.0 * weights[2].sum())


SETTINGS = Settings(
  epochs=4,
  batch_size=16,
  resolution=4,
  mean=(0.5,),
  std=(0.25,),
  schedule="cosine",
  flip=True,
)
PLAN = SearchPlan(
  epochs=4,
  frozen_epochs=1,
  annealing=0.5,
  learning_rate=1.0,
  theta_learning_rate=0.1,
)


def split(n, seed=0, side=4):
  """Three classes: bright above, bright below, grey; with noise."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, K, n).astype(np.int32)
  images = rng.integers(60, 160, (n, side, side, 1))
  images[labels == 0, : side // 2] += 60
  images[labels == 1, side // 2 :] += 60
  return Split(images.astype(np.uint8), labels)


WEIGHTS, THETA = split(80), split(40, seed=1)
PRICE = Price(SPACE, K)


def problem(module=None, penalty=None, price=PRICE, **plan):
  """The search, with changes to its plan."""
  return dnas.problem(
    Model(Net() if module is None else module),
    SETTINGS,
    price,
    penalty or Penalty("additive", reference=1e4),
    dataclasses.replace(PLAN, **plan),
    loop.place(WEIGHTS),
    loop.place(THETA),
  )


def search(of, seed=0, feeds=None, **more):
  """A search from its start."""
  state = dnas.start(of, seed, 1, 4)
  feeds = feeds or (loop.place(WEIGHTS), loop.place(THETA))
  return dnas.search(of, state, *feeds, **more)


def numbers(tree):
  """All leaves as NumPy arrays; a key as its bits."""
  return [
    np.asarray(
      jax.random.key_data(x)
      if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
      else x
    )
    for x in jax.tree.leaves(tree)
  ]
