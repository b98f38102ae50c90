"""The NAS-Bench-201 space against the benchmark's own table."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces.cell import CellNetwork


@pytest.fixture(scope="module")
def table():
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "data" / "nasbench201_cifar10.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return np.load(path)


@pytest.fixture(scope="module")
def space():
  return spaces.get("nasbench201")


def test_decisions(space):
  assert [d.name for d in space.decisions] == [
    "edge0_1",
    "edge0_2",
    "edge0_3",
    "edge1_2",
    "edge1_3",
    "edge2_3",
  ]
  for decision in space.decisions:
    assert decision.categorical
    assert decision.values == (
      "skip",
      "none",
      "conv3x3",
      "conv1x1",
      "avgpool3x3",
    )
  assert space.size == 15_625
  assert space.num_architecture_features == len(space.features) == 30


def test_every_genotype_is_canonical(space):
  genotypes = jnp.asarray(np.indices((5,) * 6).reshape(6, -1).T, jnp.int32)
  np.testing.assert_array_equal(space.canonical(genotypes), genotypes)


def test_a_genotype_is_a_row_of_the_benchmark(space, table):
  """The operation indices and the published notation name the same cell."""
  rows, texts = table["naslib_op"], table["arch_str"]
  assert len({tuple(row) for row in rows.tolist()}) == space.size
  for row, text in zip(rows, texts, strict=True):
    network = space.architecture(row)
    assert network.arch_str == text
    assert CellNetwork.from_arch_str(str(text)) == network
  for row in rows[::500]:
    np.testing.assert_array_equal(space.genotype(space.architecture(row)), row)


def test_size_of_the_networks(space):
  network = space.architecture([0] * 6)
  assert (network.channels, network.cells) == (16, 5)
  assert (network.resolution, network.input_channels) == (32, 3)


def test_fixed_operations(space):
  cut = space.fix(edge0_1="conv3x3", edge2_3=["none", "conv1x1"])
  assert cut.size == 2 * 5**4
  for genotype in np.asarray(cut.sample(jax.random.key(0), 20)):
    network = cut.architecture(genotype)
    assert network.ops[0] == "conv3x3"
    assert network.ops[5] in ("none", "conv1x1")
    np.testing.assert_array_equal(cut.genotype(network), genotype)


def test_networks_that_are_not_in_the_space(space):
  with pytest.raises(ValueError, match=r"type Architecture.*CellNetwork only"):
    space.genotype(spaces.zoo.get("fbnet_a"))
  with pytest.raises(ValueError, match=r"type CellNetwork.*Architecture only"):
    spaces.get("small").genotype(space.architecture([0] * 6))
  with pytest.raises(ValueError, match=r"channels is 8.* has 16 only"):
    space.genotype(CellNetwork(("none",) * 6, channels=8))
  with pytest.raises(ValueError, match=r"ops\[1\] is 'pool'.*'edge0_2'"):
    space.genotype(CellNetwork(("none", "pool", *("none",) * 4)))
