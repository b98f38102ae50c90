"""Spaces around networks: what they offer, and that nothing else changes."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fbnax import costs, models, spaces
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.spaces import (
  Architecture,
  Block,
  Head,
  Stem,
  Surroundings,
  around,
  zoo,
)
from fbnax.spaces.around import explicit
from fbnax.spaces.hull import hull

LITE0 = zoo.get("timm_tf_efficientnet_lite0")
FAMILIES = [name for name in zoo.names() if name.startswith("timm_")]


def network_of(*blocks, stem):
  return Architecture(32, Stem(stem), blocks, Head(16, expansion=0.0))


def last(space):
  return np.asarray(space.choices) - 1


def values(space):
  return {d.name: d.values for d in space.decisions}


def test_what_is_offered_around_lite0():
  found = values(around(LITE0, resolutions=(128, 96)))
  assert found["resolution"] == (96, 128)
  assert found["stem.channels"] == (16, 24, 32)
  # 12 rounds to 16: a width occurs once.
  assert found["stage1.channels"] == (8, 16)
  assert found["stage2.channels"] == (16, 24)
  assert found["stage3.channels"] == (24, 32, 40)
  assert found["head.channels"] == (640, 960, 1280)
  assert found["stage2.expansion"] == (3, 4.5, 6)
  assert "stage1.expansion" not in found
  assert found["stage3.kernel"] == (3, 5)
  assert "stage2.kernel" not in found
  assert found["stage6.depth"] == (1, 2, 3, 4)
  assert "stage7.depth" not in found
  assert len(found) == 1 + 9 + 6 + 3 + 5


def test_one_stream_has_one_decision():
  space = around(zoo.get("timm_mobilenetv3_large_100"))
  found = values(space)
  assert found["stem.channels"] == (8, 16)
  assert found["stage2.channels"] == (16, 24)
  assert not {"stage1.channels", "stage3.channels"} & set(found)
  table = space.table
  assert table.stem.channels == table.blocks[0].channels
  assert table.blocks[1].channels == table.blocks[2].channels
  # 2.5 and 2.3 are in stages of their own.
  assert found["stage6.expansion"] == (1.25, 1.875, 2.5)


def test_the_blocks_of_a_stage_go_together():
  blocks = (
    Block(24, 1, expansion=6.0, kernel=5, stride=2),
    Block(24, 1, expansion=3.0, kernel=3),
    Block(24, 1, expansion=3.0, kernel=7),
    Block(32, 1, expansion=1.5),
    Block(32, 1, expansion=1.5),
  )
  network = Architecture(32, Stem(16), blocks, Head(64, 0.0))
  space = around(network, depths=2)
  assert values(space) == {
    "stem.channels": (8, 16),
    "stage1.channels": (16, 24),
    "stage1.block3.channels": (16, 24, 32),
    "head.channels": (32, 48, 64),
    "stage1.expansion": (3, 4.5, 6),
    "stage1.kernel": (3, 5, 7),
    # What begins a stream cannot go, nor what comes before it.
    "stage1.depth": (4, 5),
  }
  expansions = [b.expansion for b in space.table.blocks]
  # None goes below 1.
  assert expansions[1].values == (1.5, 2.25, 3.0)
  assert expansions[3].values == (1.0, 1.125, 1.5)
  kernels = [b.kernel for b in space.table.blocks]
  assert [getattr(k, "values", k) for k in kernels] == [
    (3, 5, 5),
    3,
    (3, 5, 7),
    3,
    3,
  ]


def test_a_padding_in_pixels_keeps_its_kernel():
  blocks = (Block(16, 1, kernel=5, padding=1, stride=2), Block(16, 2, kernel=5))
  network = Architecture(32, Stem(16), blocks, Head(16))
  assert {n for n in values(around(network)) if "kernel" in n} == {
    "stage2.kernel"
  }


def test_nothing_but_shares_of_one_leaves_the_network():
  closed = around(
    LITE0, widths=(), expansions=(1.0,), kernels=(), depths=len(LITE0.blocks)
  )
  assert closed.decisions == ()
  assert closed.table == explicit(LITE0)


@pytest.mark.parametrize("name", FAMILIES)
def test_its_largest_network_is_the_given_one(name):
  network = zoo.get(name)
  space = around(network)
  same = space.architecture(last(space))
  assert same == explicit(network)
  assert costs.layers(same) == costs.layers(network)
  assert costs.peak_memory(same) == costs.peak_memory(network)
  assert np.array_equal(space.genotype(same), last(space))
  smallest = space.architecture([0] * len(space.decisions))
  spaces.architecture.validate(smallest)
  whole, least = costs.count(network), costs.count(smallest)
  assert least.macs < 0.4 * whole.macs and least.params < 0.6 * whole.params


@pytest.mark.parametrize(
  "name",
  (
    "timm_tf_mobilenetv3_small_100",
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in (
        "timm_tf_efficientnet_lite0",
        "timm_efficientnet_b0",
        "timm_fbnetv3_b",
      )
    ),
  ),
)
def test_costs_of_populations_are_those_of_their_networks(name):
  network = zoo.get(name)
  space = around(network, resolutions=(96, 128))
  genotypes = np.concatenate(
    [
      space.sample(jax.random.key(0), 6),
      last(space)[None],
      np.zeros((1, len(space.decisions)), int),
    ]
  )
  found = costs.batch(space, genotypes, 10)
  memory = costs.batch_peak_memory(space, genotypes)
  for i, genotype in enumerate(genotypes):
    member = space.architecture(genotype)
    assert np.array_equal(space.genotype(member), genotype)
    assert spaces.from_json(member.to_json()) == member
    exact = costs.count(member, 10)
    np.testing.assert_allclose(found.macs[i], exact.macs, rtol=1e-5)
    np.testing.assert_allclose(found.params[i], exact.params, rtol=1e-5)
    np.testing.assert_allclose(memory[i], costs.peak_memory(member), rtol=1e-6)
  expected = costs.expected(space, models.one_hot(space, genotypes[0]), 10)
  np.testing.assert_allclose(expected.macs, found.macs[0], rtol=1e-5)
  part, inside = hull(space, genotypes[:2])
  assert part.architecture(inside[1]) == space.architecture(genotypes[1])


def test_latencies_of_its_networks():
  space = around(zoo.get("timm_mobilenetv3_small_100"), resolutions=(96, 128))
  keys = sorted(space_keys(space))
  times = np.random.default_rng(0).uniform(0.1, 1.0, len(keys))
  table = costs.LatencyTable(
    {key: Entry(ms) for key, ms in zip(keys, times, strict=True)}
  )
  for genotype in np.asarray(space.sample(jax.random.key(2), 2)):
    found = table.expected(space, models.one_hot(space, genotype))
    exact = table.latency(space.architecture(genotype))
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_the_supernet_has_the_networks_own_shapes():
  network = zoo.get("timm_mobilenetv3_small_100")
  space = around(network)
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
  shapes = []
  for module, more in (
    (models.Network(network, 10), ()),
    (models.Supernet(space, 10), (models.one_hot(space, last(space)),)),
  ):
    init = functools.partial(module.init, train=False)
    shapes.append(jax.eval_shape(init, jax.random.key(0), image, *more))
  one, other = map(jax.tree.structure, shapes)
  assert one == other
  assert jax.tree.all(jax.tree.map(lambda a, b: a.shape == b.shape, *shapes))


BLOCKS = st.builds(
  Block,
  channels=st.sampled_from((8, 12, 16, 24)),
  stage=st.integers(1, 3),
  op=st.sampled_from(("inverted_residual", "fused_mbconv")),
  kernel=st.sampled_from((3, 5, 7)),
  expansion=st.sampled_from((1.0, 1.03, 1.5, 2.3, 6.0)),
  stride=st.sampled_from((1, 1, 2)),
  squeeze_excite=st.booleans(),
  padding=st.sampled_from((None, None, None, 1)),
  residual=st.sampled_from((None, False)),
  squeeze_divisor=st.sampled_from((None, 1)),
  squeeze_from_input=st.sampled_from((None, True)),
).filter(lambda block: block.padding is None or block.stride == 2)
ARCHITECTURES = st.builds(
  Architecture,
  resolution=st.just(32),
  stem=st.builds(Stem, channels=st.sampled_from((8, 16, 24))),
  blocks=st.lists(BLOCKS, max_size=6).map(
    lambda blocks: tuple(sorted(blocks, key=lambda b: b.stage))
  ),
  head=st.builds(
    Head,
    channels=st.sampled_from((16, 40)),
    expansion=st.sampled_from((0.0, 2.0)),
  ),
  divisor=st.sampled_from((1, 8)),
  expand_at_one=st.booleans(),
  padding=st.sampled_from(("symmetric", "same")),
)


@given(network=ARCHITECTURES, seed=st.integers(0, 9), depths=st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_any_network_holds_all_of_its_space(network, seed, depths):
  """Layer by layer, widths and kernels are at most those of the network."""
  try:
    space = around(network, depths=depths)
  except ValueError:
    assume(False)
  whole = explicit(network)
  assert space.architecture(last(space)) == whole
  assert costs.layers(whole) == costs.layers(network)
  rows = {row.name: row for row in costs.layers(network)}
  rng = np.random.default_rng(seed)
  member = space.architecture(rng.integers(0, np.asarray(space.choices)))
  spaces.architecture.validate(member)
  assert spaces.from_json(member.to_json()) == member
  present = set(member.block_names)
  for row in costs.layers(member):
    widest = rows.pop(row.name)
    assert row.c_in <= widest.c_in and row.c_out <= widest.c_out
    assert row.kernel <= widest.kernel and row.op == widest.op
    assert (row.stride, row.h_out) == (widest.stride, widest.h_out)
  # What it lacks are whole blocks, of each stage the last.
  assert not {name.rpartition(".")[0] for name in rows} & present
  stages = {block.stage for block in network.blocks}
  counts = [sum(b.stage == s for b in member.blocks) for s in stages]
  assert all(count >= 1 for count in counts)


def test_it_is_rebuilt_from_json():
  options = Surroundings(LITE0, (64, 96), (0.5,), (0.75,), (3,), 2)
  again = Surroundings.from_json(options.to_json())
  assert again == options
  assert again.space() == options.space()
  assert again.space() == around(
    LITE0,
    resolutions=[96, 64],
    widths=[0.5],
    expansions=[0.75],
    kernels=[3],
    depths=2,
  )


@pytest.mark.parametrize(
  ("change", "message"),
  (
    ({"widths": (0.0,)}, r"widths has 0\.0; legal: a number from 0\.05 to 1"),
    ({"expansions": (1.5,)}, r"expansions has 1\.5; legal: a number"),
    ({"widths": (True,)}, "widths has True; legal: a number"),
    ({"kernels": (1,)}, "kernels has 1; legal: an integer from 3"),
    ({"kernels": (4,)}, "kernels has 4; legal: odd integers"),
    ({"depths": 0}, "depths has 0; legal: an integer from 1"),
    ({"resolutions": (96.5,)}, r"resolutions has 96\.5; legal: an integer"),
    ({"kind": "other"}, "kind is 'other'; legal: 'around'"),
    ({"colour": 1}, "unknown keys"),
    ({"widths": 0.5}, r"widths is 0\.5; legal: a list"),
    ({"architecture": {}}, "architecture lacks the keys"),
  ),
)
def test_bad_options_are_told(change, message):
  text = json.dumps({**json.loads(Surroundings(LITE0).to_json()), **change})
  with pytest.raises(ValueError, match=message):
    Surroundings.from_json(text)


def test_networks_without_such_a_space():
  grouped = dataclasses.replace(LITE0.blocks[0], groups=2)
  network = dataclasses.replace(LITE0, blocks=(grouped, *LITE0.blocks[1:]))
  with pytest.raises(ValueError, match=r"block0\.groups is 2; legal: 1"):
    around(network)
  with pytest.raises(ValueError, match="architecture is a ResNet; legal: an"):
    around(spaces.resnet.NAMED["resnet18"])
  # Cut to 16 channels the stem would make the skip an identity.
  skip = network_of(Block(16, 1, op="skip"), stem=32)
  with pytest.raises(ValueError, match=r"stage1\.block0\.op is 'skip', whose"):
    around(skip)
  assert [d.name for d in around(skip, widths=()).decisions] == []
  # 99 mid channels are rounded to 96, 59.4 to 64.
  squeezed = Block(
    40, 1, expansion=2.475, squeeze_excite=True, squeeze_divisor=1
  )
  network = dataclasses.replace(
    network_of(squeezed, stem=40), squeeze_from_input=True
  )
  with pytest.raises(ValueError, match=r"squeeze to 10 .* network's does to 9"):
    around(network, widths=(), expansions=(0.6,))
  odd = dataclasses.replace(squeezed, expansion=1.01)
  network = dataclasses.replace(network, blocks=(odd,))
  with pytest.raises(ValueError, match=r"expansion is 1\.01; legal: 1 in a"):
    around(network)
  padded = network_of(Block(16, 1, kernel=7, padding=0), stem=16)
  with pytest.raises(ValueError, match=r"resolutions has 8: stage1\.block0"):
    around(padded, resolutions=(8, 32))
