"""Parts as a user writes them; `parts_test.py` and `dry_run_test.py` use them.

A tiny space, a data set of synthetic images, an evaluator by a formula, a
teacher. Each is named as `tests/jobs/example_parts.py:space` and so on.
"""

import flax.linen as nn
import jax
import numpy as np

from fbnax import costs, data, spaces
from fbnax.search.evaluators import Outcome

SHADES = 3


def space():
  """Two stages of a block or two at 8 pixels: 24 points."""
  width = spaces.Decision("width", (8, 12, 16))
  depth = spaces.Decision("depth", (1, 2))
  kernel = spaces.Decision("kernel", (3, 5), categorical=True)
  mixup = spaces.Decision("recipe.mixup", (0.0, 0.2))
  blocks = (
    spaces.Block(
      stage=1,
      channels=spaces.follow(width),
      kernel=spaces.follow(kernel),
      stride=2,
      expansion=1,
    ),
    spaces.Block(
      stage=1,
      channels=spaces.follow(width),
      kernel=3,
      stride=1,
      expansion=1,
      present=spaces.follow(depth, (False, True)),
    ),
  )
  return spaces.SearchSpace(
    name="tiny",
    decisions=(width, depth, kernel, mixup),
    table=spaces.Architecture(
      resolution=8,
      stem=spaces.Stem(channels=8, stride=1),
      blocks=blocks,
      head=spaces.Head(channels=16, expansion=1),
    ),
    recipe_table=spaces.Recipe(
      optimizer="sgd", mixup=spaces.follow(mixup), learning_rate=0.1
    ),
  )


def shades(config_data, seed):
  """Grey images whose class is how bright they are."""
  rng = np.random.default_rng(seed)

  def split(count):
    labels = np.arange(count, dtype=np.int32) % SHADES
    noise = rng.integers(0, 60, (count, 8, 8, 1))
    images = labels[:, None, None, None] * 80 + noise
    return data.Split(images.astype(np.uint8), labels)

  count = config_data.max_images or 60
  return data.Dataset(
    name="shades",
    class_names=("dark", "grey", "bright"),
    train=split(count),
    test=split(count // 2),
    flip=True,
    crop_padding=0,
    source="synthetic shades",
  )


def by_formula(config, space, num_classes):
  """Larger networks are better, up to a point; epochs help."""
  del config

  def evaluate(candidates, epochs, progress, ended=()):
    for candidate in candidates:
      if candidate.id in ended:
        continue
      architecture = space.architecture(np.asarray(candidate.genotype))
      macs = costs.count(architecture, num_classes).macs
      best = macs / (macs + 20_000)
      curve = [best * (e + 1) / (e + 2) for e in range(epochs)]
      progress(epochs)
      yield [Outcome(candidate.id, np.asarray(curve), 1 - best, 0.0, None)]

  return evaluate


class Mean(nn.Module):
  """A teacher: a linear layer on each image's mean colour."""

  num_classes: int

  @nn.compact
  def __call__(self, images, *, train):
    del train
    return nn.Dense(self.num_classes)(images.mean((1, 2)))


def mean_colour(num_classes):
  """The teacher, untrained, and how its images are prepared."""
  module = Mean(num_classes)
  images = np.zeros((1, 8, 8, 1), np.float32)
  variables = module.init(jax.random.key(0), images, train=False)
  return module, variables, 8, (0.5,), (0.25,)
