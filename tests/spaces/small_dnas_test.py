"""The small space of FBNetV2's kinds of decisions."""

import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.spaces import tables


def test_costs_are_those_of_the_docstring():
  for resolution, low, high in ((16, 0.2e6, 2.5e6), (32, 1e6, 10e6)):
    space = spaces.get("small_dnas").fix(resolution=resolution)
    rng = np.random.default_rng(0)
    genotypes = rng.integers(0, space.choices, (2000, len(space.decisions)))
    macs = np.asarray(costs.batch(space, jnp.asarray(genotypes), 10).macs)
    assert low < macs.min()
    assert macs.max() < high
    # The range is not only an outer bound.
    assert np.ptp(macs) > 0.5 * (high - low)


def test_every_part_of_a_type_occurs_both_ways():
  space = spaces.get("small_dnas")
  assert 6 <= len(space.table.blocks) <= 8
  for block in space.table.blocks:
    options = tables.alternatives(block)
    residuals = [b for b in options if b.op != "skip"]
    assert len(options) == len(residuals) + 1
    for field, values in (
      ("kernel", {3, 5}),
      ("activation", {"relu", "hswish"}),
      ("squeeze_excite", {False, True}),
    ):
      assert {getattr(b, field) for b in residuals} == values


def test_it_shrinks_to_a_single_network():
  space = spaces.get("small_dnas")
  last = np.asarray(space.choices) - 1
  fixed = space.fix(**{d.name: d.values[-1] for d in space.decisions})
  assert fixed.size == 1
  assert fixed.architecture([0] * len(last)) == space.architecture(last)
