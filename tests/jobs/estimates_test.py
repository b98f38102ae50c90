"""What a step is measured to be, against what is known of it."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import costs
from fbnax.jobs.runtime import estimates, parts
from fbnax.jobs.runtime.estimates import Measured
from fbnax.training.recipes import Settings

EXAMPLE = f"{pathlib.Path(__file__).parent}/example_parts.py"
SETTINGS = Settings(
  epochs=2, batch_size=16, resolution=8, mean=(0.5,), std=(0.2,)
)


@pytest.fixture(scope="module")
def dataset():
  return parts.dataset(
    f"{EXAMPLE}:shades", config_dict.create(max_images=64), 0
  )


@pytest.fixture(scope="module")
def space():
  found = parts.space(f"{EXAMPLE}:space")
  table = dataclasses.replace(found.table, input_channels=1)
  return dataclasses.replace(found, table=table)


def test_a_network(space, dataset):
  genotype = np.asarray([2, 1, 1, 0])
  architecture = space.architecture(genotype)
  before = jax.config.jax_enable_compilation_cache
  found = estimates.measure_network(
    architecture, space.recipe(genotype), SETTINGS, dataset
  )
  assert jax.config.jax_enable_compilation_cache == before
  params = costs.count(architecture, 3).params
  # Weights, two vectors of the optimizer, averages; BN's statistics besides.
  assert 4 * params <= found.weights < 4 * params * 1.5
  assert 4 * 4 * params <= found.state < 4 * 4 * params * 1.5
  assert found.state < found.memory < 2**28
  assert found.step > 0 and found.compilation > 0
  assert found.pixels == 8


@pytest.mark.slow
def test_a_population_holds_each_members_state(space, dataset):
  genotypes = np.asarray([[0, 0, 0, 0], [2, 1, 1, 1], [1, 0, 0, 1]])
  one = estimates.measure_population(space, genotypes[:1], SETTINGS, dataset)
  three = estimates.measure_population(space, genotypes, SETTINGS, dataset)
  assert one.state == three.state and one.weights == three.weights
  assert three.memory > one.memory


def test_between():
  low = Measured(8, 1.0, 10.0, 0.5, 100, 50, 20)
  high = Measured(16, 3.0, 20.0, 2.0, 400, 50, 20)
  # 12 pixels square are 144: (144 - 64) / (256 - 64) of the way.
  found = estimates.at_resolution([low, high], 12)
  share = 80 / 192
  assert found.pixels == 12
  assert found.step == pytest.approx(0.5 + share * 1.5)
  assert found.compilation == pytest.approx(10 + share * 10)
  assert found.memory == round(100 + share * 300)
  assert (found.state, found.weights) == (50, 20)
  assert estimates.at_resolution([low], 8) == low


def test_images_on_the_device(dataset):
  # 64 and 32 images of 8 x 8 bytes, with a label of four bytes each.
  assert estimates.images_bytes(dataset) == 96 * (64 + 4)


@pytest.mark.parametrize(
  "seconds, text",
  [
    (0.042, "0.042 s"),
    (0.84, "0.84 s"),
    (42.4, "42 s"),
    (89, "89 s"),
    (361, "6 min"),
    (3601, "60 min"),
    (12_300, "3.4 h"),
    (432_000, "5 days"),
  ],
)
def test_durations(seconds, text):
  assert estimates.duration(seconds) == text


@pytest.mark.parametrize(
  "number, text",
  [(340, "0.34 kB"), (12.3e6, "12 MB"), (1.26e9, "1.3 GB"), (2e12, "2,000 GB")],
)
def test_sizes(number, text):
  assert estimates.size(number) == text
