import dataclasses
import json

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from fbnax.training import files


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
  assert files.plain(value) == {
    "1": 0.5,
    "nan": [None, None, None],
    "array": [[True], [False]],
    "half": [0.5, None],
    "point": {"x": 1.5, "y": [1, 2]},
    "config": {"a": {"b": [1]}},
    "scalar": 2**60,
  }
  assert json.loads(files.to_json(value)) == files.plain(value)


@pytest.mark.parametrize(
  "value", [{"a": [1, {2}]}, {"a": [1, object()]}, {"a": [1, np.array([{}])]}]
)
def test_what_json_cannot_say_is_named(value):
  with pytest.raises(ValueError, match=r"value\.a\[1\] is a .*legal: numbers"):
    files.plain(value)


def test_the_same_value_gives_the_same_text():
  one, other = {"a": 1, "b": [0.1]}, {"b": [0.1], "a": 1}
  assert files.to_json(one) == files.to_json(other)
  assert files.to_json(one, sort=False) != files.to_json(other, sort=False)


def test_interrupted_writing_leaves_the_old_text(tmp_path, monkeypatch):
  path = tmp_path / "a.json"
  files.write_atomically(path, "old")

  def stop(_):
    raise KeyboardInterrupt

  monkeypatch.setattr(files.os, "fsync", stop)
  with pytest.raises(KeyboardInterrupt):
    files.write_atomically(path, "new")
  assert path.read_text() == "old"
  assert list(tmp_path.iterdir()) == [path]
  monkeypatch.undo()
  files.write_atomically(path, "new")
  assert path.read_text() == "new"
