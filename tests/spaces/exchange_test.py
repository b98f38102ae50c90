"""Reading JSON: what is wrong is named."""

import dataclasses
import json

import pytest

from fbnax import spaces
from fbnax.spaces.exchange import fields, json_object, parsed


@dataclasses.dataclass(frozen=True)
class Pair:
  left: int
  right: int = 2


def test_fields_are_those_of_the_dataclass():
  assert fields(Pair, {"left": 1}, "pair") == {"left": 1}
  with pytest.raises(
    ValueError, match=r"unknown keys \['up'\].*'left', 'right'"
  ):
    fields(Pair, {"left": 1, "up": 2}, "pair")
  with pytest.raises(ValueError, match=r"pair lacks the keys \['left'\]"):
    fields(Pair, {"right": 1}, "pair")
  with pytest.raises(ValueError, match=r"pair must be a JSON object, found 3"):
    fields(Pair, 3, "pair")


def test_json_object():
  assert json_object('{"a": [1]}', "thing") == {"a": [1]}
  with pytest.raises(ValueError, match="thing is not valid JSON"):
    json_object("{", "thing")
  with pytest.raises(ValueError, match=r"thing must be a JSON object.*\[1\]"):
    json_object("[1]", "thing")


@pytest.mark.parametrize("depth", (101, 500, 5000, 100_000))
def test_what_is_nested_too_deep(depth):
  with pytest.raises(ValueError, match=r"thing is n(ested|ot valid JSON)"):
    parsed("[" * depth + "]" * depth, "thing")
  shallow = "[" * 99 + "]" * 99
  assert repr(parsed(shallow, "thing")) == shallow


def test_from_json_reads_both_kinds_of_networks():
  architecture = spaces.zoo.get("fbnetv3_a")
  cell = spaces.CellNetwork(("none",) * 6, channels=8)
  for network in (architecture, cell):
    found = spaces.from_json(network.to_json())
    assert found == network
    assert type(found) is type(network)


def test_from_json_refuses_other_kinds():
  with pytest.raises(
    ValueError, match=r"kind is 'tree'; legal: 'cell_network'"
  ):
    spaces.from_json(json.dumps({"kind": "tree"}))
  with pytest.raises(ValueError, match="architecture lacks the keys"):
    spaces.from_json("{}")
  with pytest.raises(ValueError, match="network is not valid JSON"):
    spaces.from_json("")
