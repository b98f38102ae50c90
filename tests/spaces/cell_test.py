"""Networks of cells: published notation, JSON, and what is refused."""

import dataclasses
import json

import pytest

from fbnax.spaces.cell import CellNetwork, validate

OPS = ("avgpool3x3", "conv1x1", "conv3x3", "none", "skip", "conv1x1")
# Edges are (0,1) (0,2) (0,3) (1,2) (1,3) (2,3).
NOTATION = (
  "|avg_pool_3x3~0|+|nor_conv_1x1~0|none~1|"
  "+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|"
)


def test_published_notation():
  assert CellNetwork(OPS).arch_str == NOTATION
  assert CellNetwork.from_arch_str(NOTATION) == CellNetwork(OPS)


@pytest.mark.parametrize(
  ("old", "new", "message"),
  (
    ("avg_pool_3x3~0", "max_pool_3x3~0", r"'max_pool_3x3~0' in .* is no edge"),
    ("none~1", "none", r"'none' in .* is no edge"),
    ("none~1", "none~2", r"has the edges"),
    ("|none~1", "", r"has the edges"),
    ("+|nor", "|nor", r"is no edge"),
  ),
)
def test_malformed_notation(old, new, message):
  assert old in NOTATION
  with pytest.raises(ValueError, match=message):
    CellNetwork.from_arch_str(NOTATION.replace(old, new))


def test_json_says_its_kind():
  network = CellNetwork(OPS, channels=8, cells=1, resolution=16)
  data = json.loads(network.to_json())
  assert data["kind"] == "cell_network"
  assert data["ops"] == list(OPS)
  assert CellNetwork.from_json(network.to_json()) == network
  assert hash(CellNetwork.from_json(network.to_json())) == hash(network)


@pytest.mark.parametrize(
  ("changes", "message"),
  (
    ({"kind": "tree"}, "kind is 'tree'; legal: 'cell_network'"),
    ({"colour": 1}, r"unknown keys \['colour'\]"),
    ({"ops": "skip"}, "ops must be a list, found 'skip'"),
    ({"ops": ["skip"] * 5}, "ops has 5 operations"),
    ({"ops": ["skip"] * 5 + ["conv7x7"]}, "edge 2-3 is 'conv7x7'; legal"),
    ({"channels": 0}, "channels is 0; legal: an integer from 1"),
    ({"cells": 1.5}, "cells is 1.5; legal"),
    ({"cells": True}, "cells is True; legal"),
    ({"cells": 10**4}, "cells is 10000; legal: an integer from 1 to 1000"),
    ({"resolution": 8192}, "resolution is 8192; legal: .* to 4096"),
    ({"ops": [[]] * 6}, r"edge 0-1 is \[\]; legal"),
    ({"resolution": 30}, "resolution is 30; legal: a multiple of 4"),
    ({"input_channels": 10**7}, "input_channels is 10000000; legal"),
  ),
)
def test_illegal_json(changes, message):
  data = json.loads(CellNetwork(OPS).to_json()) | changes
  with pytest.raises(ValueError, match=message):
    CellNetwork.from_json(json.dumps(data))


def test_json_without_operations():
  with pytest.raises(ValueError, match=r"lacks the keys \['ops'\]"):
    CellNetwork.from_json('{"kind": "cell_network"}')
  with pytest.raises(ValueError, match="kind is None"):
    CellNetwork.from_json("{}")


def test_validate_is_silent_about_what_is_legal():
  validate(dataclasses.replace(CellNetwork(OPS), resolution=4, channels=1))
