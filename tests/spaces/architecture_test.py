import dataclasses
import fractions
import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from fbnax.spaces.architecture import (
  Architecture,
  Block,
  Head,
  Stem,
  out_size,
  validate,
)
from fbnax.spaces.widths import divisible

NETWORK = Architecture(
  resolution=32,
  stem=Stem(channels=8),
  blocks=(
    Block(channels=8, stage=1),
    Block(channels=16, stage=2, kernel=5, expansion=3, stride=2),
    Block(channels=16, stage=2, expansion=2.5, squeeze_excite=True),
    Block(channels=24, stage=3, op="skip"),
    Block(channels=24, stage=1, groups=2, padding=0),
  ),
  head=Head(channels=64),
)

json_values = st.recursive(
  st.none()
  | st.booleans()
  | st.integers()
  | st.just(10**400)
  | st.floats()
  | st.text(max_size=5)
  | st.sampled_from(["relu", "hswish", "skip", "inverted_residual"]),
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3)
  ),
  max_leaves=5,
)


def paths(data, prefix=()):
  """All places in nested objects and lists."""
  items = data.items() if isinstance(data, dict) else enumerate(data)
  for key, value in items:
    yield (*prefix, key)
    if isinstance(value, (dict, list)):
      yield from paths(value, (*prefix, key))


def with_value(data, path, value):
  """A copy of `data` with another value at `path`."""
  copy = json.loads(json.dumps(data))
  inner = copy
  for key in path[:-1]:
    inner = inner[key]
  inner[path[-1]] = value
  return copy


def without(data, path):
  copy = json.loads(json.dumps(data))
  inner = copy
  for key in path[:-1]:
    inner = inner[key]
  del inner[path[-1]]
  return copy


PLAIN = json.loads(NETWORK.to_json())
PATHS = list(paths(PLAIN))


@pytest.mark.parametrize(
  ("value", "divisor", "expected"),
  (
    (24, 8, 24),
    (30.0, 8, 32),
    (28, 8, 32),  # Halves go up.
    (27.9, 8, 24 + 8),  # 24 is under 95% of it.
    (25, 8, 24),
    (3, 8, 8),
    (0, 8, 0),
    (0.4, 1, 1),
    (42.97, 1, 43),
    (130.9, 8, 128),
    (131.8, 8, 128),
    (24 * 1.7912, 8, 48),
  ),
)
def test_divisible(value, divisor, expected):
  assert divisible(value, divisor) == expected


@hypothesis.given(
  st.fractions(min_value=0, max_value=5000, max_denominator=64),
  st.sampled_from([1, 2, 4, 8, 16, 3]),
)
def test_divisible_follows_the_rule(value, divisor):
  """Against the same rule in exact fractions."""
  result = divisible(float(value), divisor)
  assert isinstance(result, int)
  assert result % divisor == 0
  if value % divisor == 0:
    assert result == value
    return
  half_up = math.floor(value / divisor + fractions.Fraction(1, 2)) * divisor
  half_up = max(half_up, divisor)
  if half_up < fractions.Fraction(95, 100) * value:
    half_up += divisor
  assert result == half_up


@hypothesis.given(
  st.integers(1, 64),
  st.sampled_from([1, 3, 5, 7]),
  st.integers(1, 3),
  st.none() | st.integers(0, 4),
)
def test_out_size_counts_windows(size, kernel, stride, padding):
  padded = size + 2 * (kernel // 2 if padding is None else padding)
  windows = len(range(0, padded - kernel + 1, stride))
  assert max(out_size(size, kernel, stride, padding), 0) == windows


def test_block_names_count_within_the_stage():
  assert NETWORK.block_names == (
    "stage1.block0",
    "stage2.block0",
    "stage2.block1",
    "stage3.block0",
    "stage1.block1",
  )


def test_json_round_trip():
  assert Architecture.from_json(NETWORK.to_json()) == NETWORK
  assert "\n" not in NETWORK.to_json()
  assert hash(Architecture.from_json(NETWORK.to_json())) == hash(NETWORK)


blocks = st.builds(
  Block,
  channels=st.integers(1, 200),
  stage=st.integers(0, 7),
  op=st.sampled_from(["inverted_residual", "skip"]),
  kernel=st.sampled_from([1, 3, 5, 7]),
  expansion=st.floats(0.1, 8) | st.integers(1, 6),
  stride=st.integers(1, 2),
  squeeze_excite=st.booleans(),
  activation=st.sampled_from(["relu", "hswish"]),
)


@hypothesis.given(
  st.builds(
    Architecture,
    resolution=st.integers(1, 320),
    stem=st.builds(
      Stem,
      channels=st.integers(1, 64),
      kernel=st.sampled_from([3, 5]),
      stride=st.integers(1, 2),
      bias=st.booleans(),
    ),
    blocks=st.lists(blocks, max_size=5).map(tuple),
    head=st.builds(
      Head,
      channels=st.integers(1, 2000),
      expansion=st.floats(0, 8),
      bias=st.booleans(),
    ),
    divisor=st.sampled_from([1, 4, 8]),
    squeeze_from_input=st.booleans(),
    bn_epsilon=st.floats(0, 1),
  )
)
def test_json_round_trip_of_any_architecture(architecture):
  validate(architecture)
  assert Architecture.from_json(architecture.to_json()) == architecture


@pytest.mark.parametrize(
  ("path", "value", "message"),
  (
    (("resolution",), 0, "resolution is 0"),
    (("resolution",), 4097, "resolution is 4097; legal: .* to 4096"),
    (("stem", "channels"), 10**6, "stem.channels is 1000000; legal: .* 65536"),
    (("head", "kernel"), 257, "head.kernel is 257; legal: .* to 255"),
    (("head", "expansion"), 1e4, "head.expansion is 10000.0; legal: .* to 256"),
    (("head", "activation"), [], r"head.activation is \[\]; legal: relu"),
    (("stem",), "x" * 999, "stem must be a JSON object, found 'xx.{,99}$"),
    (("resolution",), True, "resolution is True"),
    (("input_channels",), 1.5, "input_channels is 1.5"),
    (("divisor",), -8, "divisor is -8"),
    (("block_bias",), 1, "block_bias is 1; legal: true or false"),
    (("bn_epsilon",), "small", "bn_epsilon is 'small'"),
    (("bn_epsilon",), math.nan, "bn_epsilon is nan"),
    (("blocks",), {}, "blocks must be a list"),
    (("stem",), 3, "stem must be a JSON object"),
    (("stem", "kernel"), 4, "stem.kernel is 4; legal: an odd integer"),
    (("stem", "bias"), "yes", "stem.bias is 'yes'"),
    (("stem", "activation"), "gelu", "stem.activation.*relu, hswish"),
    (("head", "expansion"), math.inf, "head.expansion is inf"),
    (("head", "bias"), None, "head.bias is None"),
    (("blocks", 1, "op"), "conv", "stage2.block0.op is 'conv'"),
    (("blocks", 2, "squeeze_excite"), 1, "stage2.block1.squeeze_excite is 1"),
    (("blocks", 2, "expansion"), 10**400, "stage2.block1.expansion is 1000"),
    (("blocks", 0, "stage"), [1], r"blocks\[0\].stage is \[1\]"),
    (("blocks", 4, "groups"), 16, "stage1.block1.groups is 16.*divisor of"),
    (("blocks", 4, "present"), False, "stage1.block1.present is False"),
    (("blocks", 4, "padding"), -1, "stage1.block1.padding is -1"),
    (("blocks", 1, "kernel"), 0, "stage2.block0.kernel is 0"),
  ),
)
def test_illegal_value_is_named(path, value, message):
  with pytest.raises(ValueError, match=message):
    Architecture.from_json(json.dumps(with_value(PLAIN, path, value)))


def test_image_that_vanishes():
  vanishing = dataclasses.replace(
    NETWORK,
    resolution=4,
    blocks=(Block(channels=8, stage=2, kernel=7, padding=0),),
  )
  with pytest.raises(ValueError, match=r"stage2.block0 is .*one pixel left"):
    validate(vanishing)


@pytest.mark.parametrize("text", ("", "{", "[1]", "null", "3", '"relu"'))
def test_no_json_object(text):
  with pytest.raises(ValueError, match="architecture"):
    Architecture.from_json(text)


@pytest.mark.parametrize(
  "path",
  (
    ("resolution",),
    ("stem",),
    ("blocks",),
    ("head",),
    ("stem", "channels"),
    ("blocks", 1, "channels"),
    ("blocks", 1, "stage"),
    ("head", "channels"),
  ),
)
def test_missing_key_is_named(path):
  with pytest.raises(ValueError, match=f"lacks the keys.*{path[-1]}"):
    Architecture.from_json(json.dumps(without(PLAIN, path)))


def test_fields_with_a_default_may_be_left_out():
  for path in PATHS:
    if path[-1] in ("bn_epsilon", "activation", "padding", "present"):
      Architecture.from_json(json.dumps(without(PLAIN, path)))


@pytest.mark.parametrize("path", (("s",), ("stem", "s"), ("blocks", 0, "s")))
def test_unknown_key_is_named(path):
  with pytest.raises(ValueError, match=r"unknown keys \['s'\]; legal:"):
    Architecture.from_json(json.dumps(with_value(PLAIN, path, 1)))


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(
  st.lists(
    st.tuples(st.sampled_from(PATHS), json_values), min_size=1, max_size=2
  )
)
def test_nothing_but_value_errors(changes):
  """Whatever the text holds: an architecture that validates, or ValueError."""
  data = PLAIN
  for path, value in changes:
    try:
      data = with_value(data, path, value)
    except (KeyError, IndexError, TypeError):
      continue  # An earlier change has removed the place.
  try:
    architecture = Architecture.from_json(json.dumps(data))
  except ValueError:
    return
  validate(architecture)
  assert Architecture.from_json(architecture.to_json()) == architecture


@hypothesis.given(json_values, st.text())
def test_nothing_but_value_errors_from_any_json(value, text):
  for candidate in (json.dumps(value), text):
    with pytest.raises(ValueError):
      Architecture.from_json(candidate)


def test_blocks_without_number():
  data = json.loads(NETWORK.to_json())
  data["blocks"] = data["blocks"][-1:] * 1001
  with pytest.raises(ValueError, match="blocks has 1,001 entries; legal"):
    Architecture.from_json(json.dumps(data))
