import dataclasses

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.spaces import Architecture, Block, Head, Stem


def network(*blocks):
  return Architecture(
    resolution=8,
    stem=Stem(channels=4, stride=2),
    blocks=blocks,
    head=Head(channels=8, expansion=0.0),
    divisor=1,
  )


@pytest.mark.parametrize(
  "block, wanted",
  [
    # In 4x4x4 = 64; expanded 4x4x24 = 384; with the residual's input.
    (Block(4, 1, expansion=6.0), 64 + 384 + 384),
    # No residual: the two wide maps are the most.
    (Block(6, 1, expansion=6.0), 384 + 384),
    # A stride shrinks the second of them.
    (Block(6, 1, expansion=6.0, stride=2), 384 + 2 * 2 * 24),
    # Without an expansion the depthwise convolution reads the input itself,
    # and the projection has three maps; the stem has 8x8x3 + 4x4x4 = 256.
    (Block(4, 1, expansion=1.0), 256),
    (Block(24, 1, expansion=1.0), 64 + 384),
    (Block(30, 1, op="skip"), 64 + 480),
  ],
)
def test_the_peak_by_hand(block, wanted):
  head = 4 * 4 // block.stride**2 * (block.channels + 8)
  assert costs.peak_memory(network(block)) == max(wanted, head)


def test_what_a_block_says_of_its_expansion():
  """At an expansion of 1 too, it is there or not as the block says."""
  plain = network(Block(24, 1), Block(24, 1, stride=2))
  said = [dataclasses.replace(b, expand=True) for b in plain.blocks]
  expanded = dataclasses.replace(plain, blocks=tuple(said))
  held = 4 * 4 * 24
  assert costs.peak_memory(plain) == held + held // 4
  assert costs.peak_memory(expanded) == 2 * held
  rule = dataclasses.replace(plain, expand_at_one=True)
  assert costs.peak_memory(rule) == 2 * held


@pytest.mark.parametrize("name", ["mobilenetv3", "fbnet_cifar", "small"])
def test_populations_have_the_peaks_of_their_networks(name):
  space = spaces.get(name)
  genotypes = space.sample(jax.random.key(0), 30)
  found = costs.batch_peak_memory(space, genotypes)
  wanted = [
    costs.peak_memory(space.architecture(g)) for g in np.asarray(genotypes)
  ]
  np.testing.assert_allclose(found, wanted, rtol=1e-6)
