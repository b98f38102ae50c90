"""The FBNet spaces against the published networks and latency tables."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces import fbnet, tables, zoo


@pytest.fixture(scope="module")
def meta():
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "data" / "hwnas_fbnet_lut.json"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return json.loads(path.read_text("utf-8"))["_meta"]


@pytest.mark.parametrize("name", ("fbnet", "fbnet_cifar"))
def test_22_layers_choose_from_9_types(name):
  space = spaces.get(name)
  assert space.size == 9**22
  assert [d.name for d in space.decisions] == [
    f"layer{i}.block" for i in range(1, 23)
  ]
  assert all(d.categorical for d in space.decisions)
  assert len(space.table.blocks) == 22


@pytest.mark.parametrize("name", ("fbnet_b", "fbnet_c"))
def test_published_networks_are_points(name):
  space, network = spaces.get("fbnet"), zoo.get(name)
  genotype = space.genotype(network)
  assert space.architecture(genotype) == network
  np.testing.assert_array_equal(space.canonical(genotype), genotype)


def test_fbnet_a_has_another_head():
  network = zoo.get("fbnet_a")
  with pytest.raises(ValueError, match=r"head.channels is 1504; .* has 1984"):
    spaces.get("fbnet").genotype(network)
  space = fbnet.space(head_channels=1504)
  genotype = space.genotype(network)
  assert space.architecture(genotype) == network
  # With its own head it is a point of the whole space as well.
  whole = dataclasses.replace(
    network, head=dataclasses.replace(network.head, channels=1984)
  )
  np.testing.assert_array_equal(spaces.get("fbnet").genotype(whole), genotype)


def test_types_stand_in_the_order_of_the_latency_tables(meta):
  for name in ("fbnet", "fbnet_cifar"):
    for decision in spaces.get(name).decisions:
      assert list(decision.values) == meta["ops"]


def test_geometry_is_that_of_the_latency_tables(meta):
  table = spaces.get("fbnet_cifar").table
  side, before = table.resolution // table.stem.stride, table.stem.channels
  for block, keys in zip(table.blocks, meta["layer_keys"], strict=True):
    options = tables.alternatives(block)
    for option, key in zip(options, keys, strict=True):
      shape = f"H{side}_W{side}_Cin{before}_Cout{option.channels}"
      if option.op == "skip":
        assert key == f"Skip_{shape}_stride{option.stride}"
      else:
        assert key == (
          f"ConvBlock_{shape}_exp{option.expansion:g}_kernel{option.kernel}"
          f"_stride{option.stride}_group{option.groups}"
        )
    side, before = side // block.stride, block.channels
  assert table.head.channels == 1504
  assert side == 4
