"""Costs of NAS-Bench-201 networks against the benchmark's own counts."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
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


@pytest.mark.parametrize("step", (16, pytest.param(1, marks=pytest.mark.slow)))
def test_published_counts(space, table, step):
  published = zip(table["cifar10_macs"], table["cifar10_params"], strict=True)
  cells = list(zip(table["naslib_op"], published, strict=True))
  for row, (macs, params) in cells[::step]:
    network = space.architecture(row)
    counted = costs.count(network, 10)
    assert counted == (macs, params)
  assert isinstance(counted.macs, int)
  assert isinstance(counted.params, int)
  assert costs.published(network, 10) == counted


@pytest.mark.parametrize("x64", (False, True))
def test_batch_of_every_published_count(space, table, x64):
  rows = jnp.asarray(table["naslib_op"], jnp.int32)
  rtol = 0 if x64 else 1e-6
  with jax.enable_x64(x64):
    found = costs.batch(space, rows, 10)
    for got, key in zip(found, ("cifar10_macs", "cifar10_params"), strict=True):
      assert got.dtype == (jnp.float64 if x64 else jnp.float32)
      np.testing.assert_allclose(got, table[key], rtol=rtol)


def test_a_network_counted_by_hand():
  """One 3x3 and one 1x1 convolution, in a small network of two cells each."""
  network = CellNetwork(
    ("conv3x3", "none", "skip", "avgpool3x3", "conv1x1", "none"),
    channels=4,
    cells=2,
    resolution=8,
    input_channels=1,
  )
  macs, params = 64 * 9 * 4, 9 * 4 + 2 * 4
  for width, side in ((4, 8), (8, 4), (16, 2)):
    macs += 2 * side**2 * 10 * width**2
    params += 2 * (10 * width**2 + 2 * 2 * width)
  for width, side in ((8, 4), (16, 2)):
    weights = [9 * width // 2 * width, 9 * width**2, width // 2 * width]
    macs += side**2 * sum(weights)
    params += sum(weights) + 2 * 2 * width
  macs += 16 * 5
  params += 2 * 16 + 16 * 5 + 5
  assert costs.count(network, num_classes=5) == (macs, params)


def test_layers_in_call_order():
  network = CellNetwork(
    ("skip", "conv1x1", "none", "conv3x3", "avgpool3x3", "none"), cells=2
  )
  rows = costs.layers(network, 10)
  edges = ("edge0_2", "edge1_2")
  names = ["stem"]
  for stage in range(3):
    if stage:
      names += [
        f"stage{stage}.reduction.{part}"
        for part in ("conv1", "conv2", "shortcut")
      ]
    names += [
      f"stage{stage}.cell{i}.{edge}" for i in range(2) for edge in edges
    ]
  assert [r.name for r in rows] == [*names, "head.norm", "classifier"]
  by_name = {r.name: r for r in rows}
  one, three = (by_name[f"stage1.cell0.{edge}"] for edge in edges)
  assert (one.kernel, one.c_in, one.h_out) == (1, 32, 16)
  assert (three.kernel, three.c_out, three.w_out) == (3, 32, 16)
  halved = by_name["stage2.reduction.conv1"]
  assert (halved.c_in, halved.c_out, halved.stride) == (32, 64, 2)
  assert sum(r.macs for r in rows) == costs.count(network, 10).macs
  assert sum(r.params for r in rows) == costs.count(network, 10).params


def test_expected_is_the_mean_over_cells(space):
  """Costs are sums over edges, so the expectation is exact for any weights."""
  rng = np.random.default_rng(0)
  edge = rng.dirichlet(np.ones(5), 6)
  genotypes = np.indices((5,) * 6).reshape(6, -1).T
  chance = np.prod([edge[i, genotypes[:, i]] for i in range(6)], axis=0)
  with jax.enable_x64(True):
    found = costs.expected(space, tuple(map(jnp.asarray, edge)), 10)
    each = costs.batch(space, jnp.asarray(genotypes), 10)
    np.testing.assert_allclose(found.macs, chance @ each.macs, rtol=1e-12)
    np.testing.assert_allclose(found.params, chance @ each.params, rtol=1e-12)


def test_expected_costs_differentiate(space):
  """A 3x3 convolution on an edge costs 9 times a 1x1, the others nothing."""
  weights = tuple(jnp.full(5, 0.2) for _ in range(6))
  gradient = jax.grad(lambda w: costs.expected(space, w, 10).macs)(weights)
  # Five cells per stage of 32 * 32 * 16^2, the same at each stage.
  one = 3 * 5 * 32 * 32 * 16 * 16
  for edge in gradient:
    np.testing.assert_allclose(edge, [0, 0, 9 * one, one, 0], rtol=1e-6)
