"""Compound scaling: rounding, published networks, limits."""

import dataclasses
import itertools
import math

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.spaces import scale, scaled_to, zoo
from fbnax.spaces.architecture import Architecture, Block, Head, Stem, validate
from fbnax.spaces.scaling import for_small_images

every_network = pytest.mark.parametrize("name", zoo.names())


def macs(architecture):
  return costs.count(architecture).macs


def rows(architecture):
  """(stage, width, blocks) of each run of blocks of one stage and width."""
  runs = itertools.groupby(architecture.blocks, lambda b: (b.stage, b.channels))
  return [(*key, tuple(run)) for key, run in runs]


def compound(architecture, phi):
  return scale(
    architecture, depth=1.2**phi, width=1.1**phi, resolution=1.15**phi
  )


@every_network
def test_factors_of_one_change_nothing(name):
  network = zoo.get(name)
  assert scale(network, depth=1, width=1, resolution=1) == network


def test_factors_of_one_change_nothing_in_searched_widths():
  """Widths such as 18 and 20 are no multiples of 8."""
  space = spaces.get("fbnetv3")
  for genotype in np.asarray(space.sample(jax.random.key(0), 10)):
    network = space.architecture(genotype)
    assert scale(network, depth=1, width=1, resolution=1) == network


@every_network
def test_cost_grows_with_phi(name):
  network = zoo.get(name)
  found = [compound(network, k / 5) for k in range(-15, 16)]
  counted = [macs(a) for a in found]
  assert counted == sorted(counted)
  assert counted[0] < 0.5 * macs(network)
  assert counted[-1] > 6 * macs(network)
  for architecture in found:
    validate(architecture)
    assert Architecture.from_json(architecture.to_json()) == architecture


@every_network
@pytest.mark.parametrize("depth", (0.01, 0.5, 0.9, 1.2, 2.3))
def test_depth(name, depth):
  network = zoo.get(name)
  scaled = scale(network, depth=depth, width=1, resolution=1)
  assert dataclasses.replace(scaled, blocks=network.blocks) == network
  before, after = rows(network), rows(scaled)
  assert [row[:2] for row in after] == [row[:2] for row in before]
  for (_, _, old), (_, _, new) in zip(before, after, strict=True):
    assert new[0] == old[0]
    assert [b.stride for b in new[1:]] == [1] * (len(new) - 1)
    shared = min(len(old), len(new))
    assert new[:shared] == old[:shared]
    wanted = max(1, math.ceil(round(len(old) * depth, 9)))
    only_skips = all(b.op == "skip" for b in old)
    assert len(new) == (min(wanted, len(old)) if only_skips else wanted)
    for block in new[shared:]:
      assert block.op == "inverted_residual"
      assert block.padding is None
      assert any(
        dataclasses.replace(o, stride=1, padding=None) == block for o in old
      )


def test_a_repeated_block_is_the_last_residual_of_stride_1():
  first = Block(16, stage=1, kernel=5, stride=2, padding=1, expansion=4)
  second = Block(16, stage=1, kernel=3, expansion=2)
  skip = Block(16, stage=1, op="skip")
  last = Block(24, stage=1, kernel=5, stride=2, padding=1, expansion=6)
  network = Architecture(
    resolution=64,
    stem=Stem(16),
    blocks=(first, second, skip, last),
    head=Head(64),
  )
  found = scale(network, depth=1.5, width=1, resolution=1).blocks
  alone = dataclasses.replace(last, stride=1, padding=None)
  assert found == (first, second, skip, second, second, last, alone)
  assert scale(network, depth=0.6, width=1, resolution=1).blocks == (
    first,
    second,
    last,
  )


@every_network
@pytest.mark.parametrize("width", (0.4, 0.9, 1.1, 2))
def test_width(name, width):
  network = zoo.get(name)
  scaled = scale(network, depth=1, width=width, resolution=1)
  parts = (network.stem, *network.blocks, network.head)
  after = (scaled.stem, *scaled.blocks, scaled.head)
  for old, new in zip(parts, after, strict=True):
    assert dataclasses.replace(new, channels=old.channels) == old
    wanted = old.channels * width
    assert new.channels % 8 == 0 or new.channels == old.channels
    assert abs(new.channels - wanted) < 8
    assert (new.channels - old.channels) * (width - 1) >= 0


def test_published_widths():
  """FBNetV3 F has the rows of E, 1.13 times as wide."""
  found = scale(zoo.get("fbnetv3_e"), depth=1, width=1.13, resolution=1)
  assert [row[:2] for row in rows(found)] == [
    row[:2] for row in rows(zoo.get("fbnetv3_f"))
  ]


def test_published_resolutions():
  """FBNetV3 B is A at another resolution, and F's is 1.03 times E's."""
  a, b = zoo.get("fbnetv3_a"), zoo.get("fbnetv3_b")
  assert scale(a, depth=1, width=1, resolution=1.1) == b
  found = scale(zoo.get("fbnetv3_e"), depth=1, width=1, resolution=1.03)
  assert found.resolution == zoo.get("fbnetv3_f").resolution


def test_a_larger_divisor_is_respected():
  network = dataclasses.replace(zoo.get("fbnetv2_f1"), divisor=16)
  found = scale(network, depth=1, width=1.3, resolution=1)
  assert {b.channels % 16 for b in found.blocks} == {0}
  assert {b.channels % 16 for b in network.blocks} == {0, 8}


@pytest.mark.parametrize(
  ("pixels", "factor", "wanted"),
  (
    (224, 1.15, 256),  # 257.6
    (224, 0.5, 112),
    (72, 0.9, 64),  # 64.8
    (64, 0.9, 56),  # 57.6, a multiple of 4
    (32, 1.15, 36),  # 36.8
    (32, 0.8, 26),  # 25.6, a multiple of 2
    (8, 0.1, 2),
    (250, 1.001, 250),  # 248 would be smaller.
    (250, 1, 250),
    (44, 0.99, 44),
  ),
)
def test_resolution(pixels, factor, wanted):
  network = dataclasses.replace(zoo.get("fbnetv2_f1"), resolution=pixels)
  found = scale(network, depth=1, width=1, resolution=factor)
  assert found == dataclasses.replace(network, resolution=wanted)


def test_allowed_resolutions():
  network = zoo.get("fbnetv2_f1")
  for factor, wanted in ((1, 128), (1.2, 160), (1.1, 128), (9, 192), (0.1, 96)):
    found = scale(
      network,
      depth=1,
      width=1,
      resolution=factor,
      resolutions=(192, 128, 96, 160),
    )
    assert found.resolution == wanted


@pytest.mark.parametrize("name", ("fbnet_c", "fbnetv2_l3", "fbnetv3_e"))
@pytest.mark.parametrize("share", (0.08, 0.5, 0.97, 1, 1.3, 3))
def test_scaled_to_a_limit(name, share):
  network = zoo.get(name)
  limit = share * macs(network)
  found, phi = scaled_to(network, limit, macs)
  validate(found)
  assert macs(found) <= limit
  assert found == compound(network, phi)
  assert macs(compound(network, phi + 1.01e-6)) > limit
  assert phi == 0 if share == 1 else (phi < 0) == (share < 1)


def test_scaled_to_by_width_alone():
  network = zoo.get("fbnetv3_a")
  params = lambda a: costs.count(a).params  # noqa: E731
  found, phi = scaled_to(
    network, 1.5 * params(network), params, depth=1, resolution=1
  )
  assert found.resolution == network.resolution
  assert len(found.blocks) == len(network.blocks)
  assert found == scale(network, depth=1, width=1.1**phi, resolution=1)
  assert 1.3 * params(network) < params(found) <= 1.5 * params(network)


def test_scaled_to_allowed_resolutions():
  network = zoo.get("fbnetv3_a")
  found, _ = scaled_to(
    network, 1.9 * macs(network), macs, resolutions=(160, 224, 272)
  )
  assert found.resolution in (224, 272)
  assert macs(found) <= 1.9 * macs(network)


def test_a_cost_is_asked_once_for_each_network():
  asked = []

  def cost(architecture):
    asked.append(architecture)
    return macs(architecture)

  network = zoo.get("fbnetv3_a")
  scaled_to(network, 2 * macs(network), cost)
  assert len(asked) == len(set(asked))


def test_limits_that_scaling_does_not_reach():
  network = zoo.get("fbnetv2_f1")
  with pytest.raises(
    ValueError, match=r"limit is 10; .* (\d+) at the least"
  ) as (error):
    scaled_to(network, 10, macs)
  smallest = compound(network, -16)
  assert str(macs(smallest)) in str(error.value)
  with pytest.raises(ValueError, match=r"limit is 1e\+20; .* at the most"):
    scaled_to(network, 1e20, macs)


def test_the_smallest_network_may_be_set_by_paddings():
  """Without padding, a kernel of 5 needs an image of 5 pixels."""
  network = Architecture(
    resolution=64,
    stem=Stem(16),
    blocks=(Block(16, stage=1, kernel=5, padding=0),),
    head=Head(64),
  )
  with pytest.raises(ValueError, match=r"stage1.block0 is"):
    compound(network, -16)
  with pytest.raises(ValueError, match=r"limit is 10; .* at the least"):
    scaled_to(network, 10, macs)
  limit = 0.05 * macs(network)
  found, phi = scaled_to(network, limit, macs)
  assert macs(found) <= limit < macs(compound(network, phi + 1.01e-6))


def test_illegal_factors():
  network = zoo.get("fbnetv3_a")
  for value in (0, -1, math.inf, math.nan):
    with pytest.raises(ValueError, match=r"width is .*; legal: a number above"):
      scale(network, depth=1, width=value, resolution=1)
  with pytest.raises(ValueError, match="resolutions is empty"):
    scale(network, depth=1, width=1, resolution=1, resolutions=())
  with pytest.raises(ValueError, match=r"depth is 0.9; legal: at least 1"):
    scaled_to(network, 1e9, macs, depth=0.9)
  with pytest.raises(ValueError, match=r"scale nothing"):
    scaled_to(network, 1e9, macs, depth=1, width=1, resolution=1)


def test_networks_move_to_small_images_as_their_space_does():
  """One network of `fbnetv3` becomes that of `fbnetv3_cifar`, as written."""
  large, small = spaces.get("fbnetv3"), spaces.get("fbnetv3_cifar")
  for genotype in np.asarray(large.sample(jax.random.key(0), 5)):
    moved = for_small_images(large.architecture(genotype))
    assert moved == small.architecture(genotype)
  moved = for_small_images(zoo.get("fbnetv3_b"))
  assert moved.resolution == round(zoo.get("fbnetv3_b").resolution / 7)
  with pytest.raises(ValueError, match="has 1 blocks of stride 2; legal: at"):
    one = zoo.get("fbnetv3_a")
    first = next(i for i, b in enumerate(one.blocks) if b.stride == 2)
    for_small_images(dataclasses.replace(one, blocks=one.blocks[: first + 1]))
