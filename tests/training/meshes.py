"""Trainings on eight made-up devices beside one: how far they are apart.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 \
      python -m tests.training.meshes network population

prints JSON, the largest difference of any number by case. A program of its own,
since a process has as many devices as it had when it started.
"""

import dataclasses
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.data import Split
from fbnax.models import Network, Supernet
from fbnax.models.initial import initialize
from fbnax.training import (
  loop,
  mesh,
  population,
  programs,
  recipes,
  shared,
  step,
)
from fbnax.training.step import Member, Model
from tests.data.streams import streamed
from tests.search import tiny_search
from tests.training import population_test as small
from tests.training import tiny_shared

SETTINGS = dataclasses.replace(
  small.SETTINGS, batch_size=16, flip=True, epochs=2
)
ARCHITECTURE = small.SPACE.architecture(small.GENOTYPES[1])
COUNT = 48


def split(seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, small.K, COUNT).astype(np.int32)
  images = (
    rng.integers(0, 180, (COUNT, 4, 4, 1)) + 30 * labels[:, None, None, None]
  )
  return Split(np.minimum(images, 255).astype(np.uint8), labels)


def _started(module):
  return jax.jit(
    lambda key: initialize(module, key, jnp.zeros((1, 4, 4, 1)), train=False)
  )(jax.random.key(0))


def network(feed, settings, devices, recipe=small.RECIPES[0]):
  """The last state and the curves of one network."""
  module = Network(ARCHITECTURE, small.K)
  variables = _started(module)
  return loop.fit(
    Model(module),
    dataclasses.replace(settings, mesh=devices),
    step.start(variables),
    Member(recipes.as_numbers(recipe), None, jax.random.key(1)),
    feed(split()),
    epochs=2,
    validation=feed(split(1)),
  )


def candidates(devices):
  """The last states and the curves of a population of four."""
  # Not AdamW: it makes steps of biases in front of BN, whose gradients are
  # nothing but rounding.
  members = small._members((0, 1, 1, 0))
  return loop.fit(
    Model(Supernet(small.SPACE, small.K)),
    dataclasses.replace(SETTINGS, mesh=devices),
    population.initial(small.SPACE, small.K, 1, members),
    members,
    loop.place(split()),
    epochs=2,
    validation=loop.place(split(1)),
    stacked=True,
  )


def sharing(devices):
  """The last state and the curves of a network and its smaller ones."""
  return shared.fit(
    tiny_shared.MODEL,
    tiny_shared.SPACE,
    shared.Sharing(),
    tiny_shared.settings(mesh=devices),
    step.start(tiny_shared.variables()),
    tiny_shared.member(small.RECIPES[0]),
    loop.place(Split(*tiny_shared.examples(24))),
    epochs=1,
    validation=loop.place(Split(*tiny_shared.examples(16, seed=1))),
  )


def searched(devices, feeds=None):
  """A differentiable search."""
  problem = tiny_search.problem()
  settings = dataclasses.replace(problem.settings, mesh=devices)
  return tiny_search.search(
    dataclasses.replace(problem, settings=settings), feeds=feeds
  )


def difference(a, b):
  """Of all numbers: absolute, and for those above 1 relative."""
  pairs = zip(*map(_numbers, (a, b)), strict=True)
  return max(
    float((np.abs(x - y) / np.maximum(np.abs(x), 1.0)).max(initial=0.0))
    for x, y in pairs
  )


def _array(leaf):
  return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)


def _numbers(tree):
  return [
    np.nan_to_num(np.asarray(x, np.float64))
    for x in tiny_search.numbers(jax.tree.map(_array, tree))
  ]


def collectives(devices):
  """How often a program of a step has devices sum, and gather."""
  module = Network(ARCHITECTURE, small.K)
  variables = _started(module)
  settings = dataclasses.replace(SETTINGS, mesh=devices)
  member = Member(recipes.as_numbers(small.RECIPES[1]), None, jax.random.key(1))
  state = step.start(variables)
  state, member = mesh.put(devices, (state, member))
  examples = loop.Examples(
    *(mesh.put_batch(devices, x, 16) for x in _batch(split()))
  )
  text = programs.one_step.lower(
    Model(module), settings, False, 3, state, member, examples, None
  ).compile()
  return text.as_text().count("all-reduce(")


def _batch(of):
  return of.images[:16], of.labels[:16]


def cases():
  """Both sides of each comparison, by name."""
  eight, square = mesh.make(8), mesh.make(2, 4)
  parts = dataclasses.replace(SETTINGS, accumulate=2)
  flows = [streamed(s) for s in (tiny_search.WEIGHTS, tiny_search.THETA)]

  def networks(feed, settings):
    return lambda devices: network(feed, settings, devices)

  return {
    "network": (networks(loop.place, SETTINGS), eight),
    "population": (candidates, square),
    "search": (searched, eight),
    "shared": (sharing, eight),
    "streamed": (networks(streamed, SETTINGS), eight),
    "accumulated": (networks(loop.place, parts), eight),
    "streamed search": (lambda devices: searched(devices, flows), eight),
    # That they are closer than what another recipe gives.
    "other recipe": (
      lambda devices: network(
        loop.place, SETTINGS, None, small.RECIPES[0 if devices else 1]
      ),
      eight,
    ),
  }


def main(names):
  assert jax.device_count() == 8
  known = cases()
  found = {}
  for name in names:
    run, devices = known[name]
    found[name] = difference(run(devices), run(None))
  sums = [collectives(mesh.make(8)), collectives(None)]
  print(json.dumps({"apart": found, "sums": sums}))


if __name__ == "__main__":
  main(sys.argv[1:])
