import dataclasses
import json

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from fbnax.base import json_values


@dataclasses.dataclass(frozen=True)
class Point:
  x: float
  y: tuple[int, ...]


def test_plain():
  value = {
    1: np.float32(0.5),
    "nan": [float("nan"), np.inf, np.float64("-inf")],
    "array": jnp.array([[True], [False]]),
    "half": jnp.array([0.5, jnp.nan], jnp.bfloat16),
    "point": Point(np.float64(1.5), (1, 2)),
    "config": ml_collections.ConfigDict({"a": {"b": (1,)}}),
    "scalar": np.int64(2**60),
  }
  assert json_values.plain(value) == {
    "1": 0.5,
    "nan": [None, None, None],
    "array": [[True], [False]],
    "half": [0.5, None],
    "point": {"x": 1.5, "y": [1, 2]},
    "config": {"a": {"b": [1]}},
    "scalar": 2**60,
  }
  assert json.loads(json_values.to_json(value)) == json_values.plain(value)


@pytest.mark.parametrize(
  "value", [{"a": [1, {2}]}, {"a": [1, object()]}, {"a": [1, np.array([{}])]}]
)
def test_what_json_cannot_say_is_named(value):
  with pytest.raises(ValueError, match=r"value\.a\[1\] is a .*legal: numbers"):
    json_values.plain(value)


def test_the_same_value_gives_the_same_text():
  one, other = {"a": 1, "b": [0.1]}, {"b": [0.1], "a": 1}
  assert json_values.to_json(one) == json_values.to_json(other)
  assert json_values.to_json(one, sort=False) != json_values.to_json(
    other, sort=False
  )


DEEP = "[" * 100_000


@pytest.mark.parametrize(
  "content, message",
  [
    (b"{", r"a\.json is no JSON: .*line 1"),
    (DEEP.encode(), r"a\.json is damaged: nested too deeply"),
    (b"[" * 101 + b"]" * 101, r"a\.json is damaged: nested too deeply"),
    (b'{"a":' * 960 + b"1" + b"}" * 960, "nested too deeply"),
    (b'{"caf\xe9": 1}', r"a\.json is not UTF-8: byte 0xe9 in line 1"),
    ('{"a": 1}'.encode("utf-16"), r"a\.json is UTF-16"),
    (b"[1]", r"a\.json holds \[1\]; legal: a JSON object"),
    (b"", r"a\.json is no JSON"),
    (b"[" + b"9" * 5000 + b"]", r"a\.json is no JSON: .*digit"),
  ],
)
def test_what_is_no_object_is_told_in_a_line(tmp_path, content, message):
  path = tmp_path / "a.json"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=message) as told:
    json_values.read_object(path)
  assert "\n" not in str(told.value)


def test_a_byte_order_mark_is_dropped(tmp_path):
  path = tmp_path / "a.json"
  path.write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
  assert json_values.read_object(path) == {"a": 1}


def test_values_in_messages_are_short_and_visible():
  assert json_values.shown("a\x1b[31m") == r"'a\x1b[31m'"
  assert len(json_values.shown(list(range(1000)))) <= 60


@pytest.mark.parametrize(
  "document, key, kind, more, words",
  [
    ("[]", "a", int, {}, "f.json is []; legal: an object"),
    ("{}", "a", int, {}, "f.json lacks the key a; legal: a whole number"),
    ('{"a": {}}', "a.b", str, {}, "f.json lacks the key a.b; legal: a string"),
    ('{"a": 3}', "a.b", str, {}, "f.json: a is 3; legal: an object"),
    ('{"a": true}', "a", int, {}, "a is True; legal: a whole number"),
    ('{"a": NaN}', "a", float, {}, "a is nan; legal: a number"),
    ('{"a": -Infinity}', "a", float, {}, "a is -inf; legal: a number"),
    ('{"a": 9}', "a", int, {"low": 1, "high": 8}, "a whole number from 1 to 8"),
    ('{"a": 1}', "a", bool, {}, "a is 1; legal: true or false"),
    ('{"a": [1, "2"]}', "a", list, {"of": int}, "a[1] is '2'; legal: a whole"),
    ('{"a": "\\u202e"}', "a", dict, {}, "a is '\\u202e'; legal: an object"),
  ],
)
def test_a_field_that_is_not_what_it_must_be(document, key, kind, more, words):
  with pytest.raises(ValueError) as caught:
    json_values.field(json.loads(document), key, kind, "f.json", **more)
  assert words in str(caught.value) and str(caught.value).startswith("f.json")


def test_a_field():
  document = {"a": {"b": [1, 2.5]}, "n": 10**400}
  assert json_values.field(document, "a.b", list, "f", of=float) == [1, 2.5]
  assert json_values.field(document, "n", float, "f") == 10**400
