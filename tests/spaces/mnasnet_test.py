"""The MnasNet space against the table of Accel-NASBench.

The benchmark's counter adds to multiply-accumulates 4 for each element that a
BN gives, and its pixels and one for each channel of a global average pool.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces

WIDTHS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
VALUES = {
  "expansion": (1, 4, 6),
  "kernel": (3, 5),
  "layers": (1, 2, 3),
  "squeeze_excite": (False, True),
}


@pytest.fixture(scope="module")
def table():
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "data" / "accel_nasbench_imagenet.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return np.load(path)


@pytest.fixture(scope="module")
def space():
  return spaces.get("mnasnet")


def genotypes_of(space, table):
  """The rows of the table as genotypes, column by column."""
  columns = [
    np.searchsorted(np.asarray(d.values, int), column)
    for d, column in zip(space.decisions, table["arch"].T, strict=True)
  ]
  return np.stack(columns, 1)


def counts(rows):
  """MACs, the benchmark's MACs, and parameters of rows `[n, 28]`."""
  macs = np.full(len(rows), 112 * 112 * 27 * 32)
  params = np.full(len(rows), 27 * 32 + 2 * 32)
  normed = np.full(len(rows), 112 * 112 * 32)
  pooled = np.zeros(len(rows), int)
  side, before = 112, 32
  for stage, (width, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
    e, k, layers, squeezes = rows[:, 4 * stage : 4 * stage + 4].T.astype(int)
    for slot in range(4):
      there = layers > slot
      after = side // (stride if slot == 0 else 1)
      mid, c_in = before * e, before
      expand = np.where(e > 1, c_in * mid, 0)
      weights = expand + mid * k * k + mid * width
      squeeze = squeezes * 2 * mid * (c_in // 4)
      outputs = np.where(e > 1, mid, 0) + mid + width
      macs += there * (
        expand * side**2 + (weights - expand) * after**2 + squeeze
      )
      params += there * (
        weights + 2 * outputs + squeeze + squeezes * (c_in // 4 + mid)
      )
      normed += there * (
        np.where(e > 1, mid, 0) * side**2 + (mid + width) * after**2
      )
      pooled += there * squeezes * mid * (after**2 + 1)
      side, before = after, width
  macs += 49 * 320 * 1280 + 1280 * 1000
  params += 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
  normed += 49 * 1280
  pooled += 1280 * 50
  return macs, macs + 4 * normed + pooled, params


def test_decisions(space):
  names = [f"block{i}.{part}" for i in range(7) for part in VALUES]
  assert [d.name for d in space.decisions] == names
  for decision in space.decisions:
    part = decision.name.split(".")[1]
    extra = (4,) if decision.name == "block5.layers" else ()
    assert decision.values == VALUES[part] + extra
    assert decision.categorical == (part in ("kernel", "squeeze_excite"))
  assert space.size == (3 * 2 * 3 * 2) ** 6 * (3 * 2 * 4 * 2)


def test_columns_of_the_table_are_the_decisions(space, table):
  letters = {
    "e": "expansion",
    "k": "kernel",
    "l": "layers",
    "se": "squeeze_excite",
  }
  named = [key.split("_") for key in table["arch_keys"].tolist()]
  assert [d.name for d in space.decisions] == [
    f"{block}.{letters[part]}" for block, part in named
  ]
  for decision, column in zip(space.decisions, table["arch"].T, strict=True):
    assert set(map(int, decision.values)) == set(column.tolist())


def test_every_count_of_the_table_is_reproduced(space, table):
  macs, published_macs, params = counts(table["arch"])
  np.testing.assert_array_equal(
    published_macs, np.round(table["macs"] * 1e6).astype(int)
  )
  np.testing.assert_array_equal(
    params, np.round(table["params"] * 1e6).astype(int)
  )
  genotypes = genotypes_of(space, table)
  with jax.enable_x64(True):
    found = costs.batch(space, jnp.asarray(genotypes))
    np.testing.assert_array_equal(found.macs, macs)
    np.testing.assert_array_equal(found.params, params)
  for i in range(0, len(genotypes), 40):
    architecture = space.architecture(genotypes[i])
    assert costs.count(architecture) == (macs[i], params[i])


def test_layers_of_one_network_as_the_table_counts_them(space):
  """From the layers that `costs` lists, without a formula of this file."""
  row = [6, 3, 1, 0, 4, 5, 2, 0, 6, 3, 3, 0, 6, 5, 3, 0, 6, 5, 2, 0]
  row += [1, 3, 2, 0, 1, 3, 2, 0]
  genotype = [
    [int(v) for v in d.values].index(value)
    for d, value in zip(space.decisions, row, strict=True)
  ]
  rows = costs.layers(space.architecture(genotype))
  normed = sum(
    r.c_out * r.h_out * r.w_out
    for r in rows
    if r.params == r.weights + 2 * r.c_out
  )
  macs = sum(r.macs for r in rows) + 4 * normed + 1280 * 50
  assert macs == 415_361_072  # Published, the first network of the table.
  assert sum(r.params for r in rows) == 2_501_160


def test_every_genotype_is_canonical(space):
  rng = np.random.default_rng(0)
  genotypes = jnp.asarray(rng.integers(0, space.choices, (100, 28)), jnp.int32)
  np.testing.assert_array_equal(space.canonical(genotypes), genotypes)


def test_deepest_network(space):
  architecture = space.architecture(np.asarray(space.choices) - 1)
  assert len(architecture.blocks) == 3 * 6 + 4
  assert architecture.block_names[0] == "stage0.block0"
  firsts = {}
  for block in architecture.blocks:
    firsts.setdefault(block.stage, block)
    assert (block.kernel, block.expansion, block.squeeze_excite) == (5, 6, True)
    assert block.stride == (
      STRIDES[block.stage] if block is firsts[block.stage] else 1
    )
    assert block.channels == WIDTHS[block.stage]
