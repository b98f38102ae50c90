"""The kinds of blocks, and what a block says for itself."""

import dataclasses
import json

import pytest

from fbnax import costs, spaces
from fbnax.spaces import kinds, zoo
from fbnax.spaces.architecture import (
  Architecture,
  Block,
  Head,
  Stem,
  validate,
)
from fbnax.spaces.follow import Follow
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.spaces.tables import plain

NETWORK = Architecture(
  resolution=32,
  stem=Stem(channels=16, bias=False),
  blocks=(Block(channels=16, stage=1), Block(channels=16, stage=1)),
  head=Head(channels=64, expansion=0.0),
)


def changed(network=NETWORK, index=1, **fields):
  blocks = list(network.blocks)
  blocks[index] = dataclasses.replace(blocks[index], **fields)
  return dataclasses.replace(network, blocks=tuple(blocks))


def names(network, index=1):
  return [
    layer.name for layer in kinds.layers(network, network.blocks[index], 16)
  ]


def test_every_kind_names_fields_and_activations_that_exist():
  fields = {f.name for f in dataclasses.fields(Block)}
  for kind in kinds.KINDS.values():
    assert set(kind.ignores) <= fields - {"channels", "stage", "op", "stride"}
    assert len({layer.name for layer in kind.layers}) == len(kind.layers)
    assert kind.layers[-1].c_out == "out"
    assert sum(layer.stride for layer in kind.layers) == 1
  assert "present" not in kinds.KINDS["skip"].ignores


def test_a_block_says_whether_it_expands():
  assert names(NETWORK) == ["depthwise", "project"]
  assert names(changed(expand=True)) == ["expand", "depthwise", "project"]
  assert names(changed(expansion=2.0))[0] == "expand"
  always = dataclasses.replace(NETWORK, expand_at_one=True)
  assert names(always)[0] == "expand"
  assert names(changed(always, expand=False)) == ["depthwise", "project"]
  # Rounding would expand 12 channels to 16.
  narrow = dataclasses.replace(
    NETWORK, stem=dataclasses.replace(NETWORK.stem, channels=12)
  )
  rows = {r.name: r for r in costs.layers(narrow, 10)}
  assert rows["stage1.block0.expand"].c_out == 16
  rows = {r.name: r for r in costs.layers(changed(narrow, 0, expand=False), 10)}
  assert "stage1.block0.expand" not in rows
  assert rows["stage1.block0.depthwise"].c_out == 12


def test_defaults_are_not_written_and_others_come_back():
  for name in zoo.names():
    network = zoo.get(name)
    assert Architecture.from_json(network.to_json()) == network
  written = json.loads(NETWORK.to_json())
  assert "padding" not in written
  assert list(written["blocks"][0]) == [
    "channels",
    "stage",
    "op",
    "kernel",
    "expansion",
    "stride",
    "squeeze_excite",
    "activation",
    "groups",
    "padding",
    "present",
  ]
  assert list(written["head"]) == [
    "channels",
    "expansion",
    "kernel",
    "activation",
    "bias",
  ]
  other = changed(
    residual=False,
    expand=True,
    squeeze_excite=True,
    gate="sigmoid",
    squeeze_activation="silu",
    squeeze_divisor=1,
    squeeze_from_input=True,
    op="inverted_residual",
  )
  other = dataclasses.replace(
    other,
    padding="same",
    stem=dataclasses.replace(other.stem, norm=False),
    head=Head(channels=64, norm=False, project_bias=True, expansion=2.0),
  )
  assert Architecture.from_json(other.to_json()) == other


@pytest.mark.parametrize(
  ("fields", "message"),
  (
    ({"op": "pool"}, "op is 'pool'; legal: inverted_residual, skip, fused"),
    ({"gate": "relu"}, "gate is 'relu'; legal: hard_sigmoid, sigmoid"),
    ({"activation": "sigmoid"}, "legal: relu, hswish, relu6, silu"),
    ({"squeeze_activation": "elu"}, "squeeze_activation is 'elu'; legal: relu"),
    ({"squeeze_divisor": 0}, "squeeze_divisor is 0; legal: an integer from 1"),
    ({"residual": 1}, "residual is 1; legal: true or false"),
    ({"residual": True, "stride": 2}, "residual is True; legal: false or null"),
    ({"residual": True, "channels": 24}, "from 16 to 24 channels"),
    ({"expand": False, "expansion": 2.0}, "expansion is 2.0; legal: 1 where"),
    (
      {"op": "fused_mbconv", "groups": 2},
      "groups is 2; legal: 1 in a fused_mbconv",
    ),
    (
      {"op": "fused_mbconv", "expand": True},
      "expand is True; legal: null in a fused_mbconv",
    ),
  ),
)
def test_errors_name_the_field_and_what_is_legal(fields, message):
  with pytest.raises(ValueError, match=f"stage1.block1.*{message}"):
    validate(changed(**fields))


def test_what_a_network_says_is_checked():
  same = dataclasses.replace(NETWORK, padding="SAME")
  with pytest.raises(ValueError, match="padding is 'SAME'; legal: symmetric"):
    validate(same)
  bare = dataclasses.replace(
    NETWORK, head=Head(channels=64, expansion=0.0, expand=False)
  )
  with pytest.raises(ValueError, match=r"head\.channels is 64; legal: 16"):
    validate(bare)


def test_a_searched_layer_takes_kinds_that_it_can_stack():
  kind = Decision("kind", ("a", "b"), categorical=True)
  ops = follow(kind, ("inverted_residual", "fused_mbconv"))
  with pytest.raises(
    ValueError, match="'fused_mbconv'; legal: inverted_residual, skip, where"
  ):
    SearchSpace("s", (kind,), changed(op=ops))


@pytest.mark.parametrize(
  ("field", "values", "message"),
  (
    ("residual", None, "residual is False; legal: None where the type"),
    ("squeeze_divisor", (1, 8), "follows 'kind'; legal: one value for all"),
  ),
)
def test_types_of_a_layer_share_its_rules(field, values, message):
  kind = Decision("kind", ("a", "b"), categorical=True)
  ops = follow(kind, ("inverted_residual", "skip"))
  value = follow(kind, values) if values else False
  with pytest.raises(ValueError, match=message):
    SearchSpace("s", (kind,), changed(op=ops, **{field: value}))


@pytest.mark.parametrize(
  ("fields", "message"),
  (
    ({"residual": True}, "residual is True; legal: False or None where"),
    ({"gate": Follow("w", ("sigmoid",) * 2)}, "gate follows 'w'; legal: one"),
    ({"activation": Follow("w", ("relu", "silu"))}, "activation follows 'w'"),
    ({"expand": False, "expansion": 3}, "expansion is 3; legal: 1 where"),
  ),
)
def test_a_table_is_checked(fields, message):
  width = Decision("w", (8, 16))
  with pytest.raises(ValueError, match=message):
    SearchSpace("s", (width,), changed(channels=follow(width), **fields))


def test_what_means_nothing_is_dropped():
  skip = Block(channels=8, stage=1, op="skip", kernel=5, gate="sigmoid")
  assert plain(skip) == Block(channels=8, stage=1, op="skip")
  fused = Block(channels=8, stage=1, op="fused_mbconv", kernel=5, groups=2)
  assert plain(fused) == dataclasses.replace(fused, groups=1)
  block = Block(channels=8, stage=1, kernel=5, groups=2, expand=False)
  assert plain(block) == block


def test_squeeze_widths_follow_the_blocks_rule():
  """MobileNetV3: a quarter of the mid channels; EfficientNet: of the input."""
  table = dataclasses.replace(NETWORK, divisor=8)
  mid = Block(channels=40, stage=1, expansion=3, squeeze_excite=True)
  assert kinds.squeeze_channels(table, mid)(24, 3) == 24  # 18, to 8s.
  lean = dataclasses.replace(mid, squeeze_divisor=1, squeeze_from_input=True)
  assert kinds.squeeze_channels(table, lean)(24, 6) == 6
  assert kinds.squeeze_channels(table, lean)(112, 6) == 28


def test_published_spaces_stand():
  for name in spaces.names():
    assert spaces.get(name).size >= 1
