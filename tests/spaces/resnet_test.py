"""Residual networks as data."""

import json

import pytest

from fbnax import spaces
from fbnax.spaces.resnet import NAMED, ResNet


@pytest.mark.parametrize("name", NAMED)
def test_json_gives_it_back(name):
  network = NAMED[name]
  assert spaces.from_json(network.to_json()) == network
  assert hash(ResNet.from_json(network.to_json())) == hash(network)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"kind": "cell_network"}, "kind"),
    ({"blocks": 3}, "blocks"),
    ({"blocks": []}, "blocks"),
    ({"blocks": [1, 0, 1]}, "blocks"),
    ({"widths": [8, 16]}, "as many"),
    ({"stem": "8"}, "stem"),
    ({"resolution": 0}, "resolution"),
    ({"resolution": 10**5}, "resolution is 100000; legal: .* to 4096"),
    ({"blocks": [500, 499, 2]}, "blocks has 1,001 in all; legal"),
    (
      {"widths": [8, 8, 10**6]},
      "widths is .*; legal: .* 65536",
    ),
    ({"input_channels": True}, "input_channels"),
    ({"preactivation": 1}, "preactivation"),
    ({"depth": 18}, "depth"),
  ],
)
def test_bad_json_names_the_key(change, message):
  data = json.loads(NAMED["resnet8"].to_json()) | change
  with pytest.raises(ValueError, match=message):
    ResNet.from_json(json.dumps(data))


def test_an_unknown_kind_is_refused():
  with pytest.raises(ValueError, match="resnet"):
    spaces.from_json('{"kind": "transformer"}')
