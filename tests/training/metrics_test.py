import json
import logging
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from fbnax.training import metrics


def lines(path):
  text = (path / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def events(folder):
  for file in sorted(folder.iterdir()):
    content = file.read_bytes()
    while content:
      (length,) = struct.unpack("<Q", content[:8])
      yield Event.FromString(content[12 : 12 + length])
      content = content[12 + length + 4 :]


def test_lines_and_events(tmp_path):
  with metrics.open_metrics(tmp_path, "round 1") as writer:
    writer.write(3, loss=jnp.float32(0.5), accuracy=[0.1, np.float64("nan")])
    writer.write(4, loss=float("inf"), note="ü")
    # There before it is closed.
    assert lines(tmp_path) == [
      {"run": "round 1", "step": 3, "loss": 0.5, "accuracy": [0.1, None]},
      {"run": "round 1", "step": 4, "loss": None, "note": "ü"},
    ]
  found = [
    (event.step, value.tag, value.simple_value)
    for event in events(tmp_path / "tensorboard" / "round_1")
    for value in event.summary.value
  ]
  assert found == [(3, "loss", 0.5)]


def test_resuming_drops_what_will_be_repeated(tmp_path):
  for run in ("a", "b"):
    with metrics.open_metrics(tmp_path, run) as writer:
      for step in range(4):
        writer.write(step, x=step)
  with metrics.open_metrics(tmp_path, "a", 2) as writer:
    writer.write(2, x=20)
  found = [(line["run"], line["step"], line["x"]) for line in lines(tmp_path)]
  assert found == [
    ("a", 0, 0),
    ("a", 1, 1),
    *(("b", step, step) for step in range(4)),
    ("a", 2, 20),
  ]
  starts = [
    event.step
    for event in events(tmp_path / "tensorboard" / "a")
    if event.HasField("session_log") and event.session_log.status == 1
  ]
  assert starts == [2]  # TensorBoard forgets the events from there on.


def test_writers_share_the_file(tmp_path):
  first = metrics.open_metrics(tmp_path, "a", tensorboard=False)
  first.write(5, x=1)
  second = metrics.open_metrics(tmp_path, "b", tensorboard=False)
  metrics.open_metrics(tmp_path, "c", tensorboard=False).write(0, x=1)
  metrics.open_metrics(tmp_path, "c", tensorboard=False)  # Drops that line.
  first.write(6, x=1)
  second.write(0, x=1)
  found = [(line["run"], line["step"]) for line in lines(tmp_path)]
  assert found == [("a", 5), ("a", 6), ("b", 0)]
  assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_half_written_line_goes(tmp_path, cut, caplog):
  writer = metrics.open_metrics(tmp_path, "a", tensorboard=False)
  for step in range(3):
    writer.write(step, x=0.123456789)
  file = tmp_path / "metrics.jsonl"
  file.write_bytes(file.read_bytes()[:-cut])
  writer = metrics.open_metrics(tmp_path, "a", 2, tensorboard=False)
  assert [line["step"] for line in lines(tmp_path)] == [0, 1]
  writer.write(2, x=1)
  assert [line["step"] for line in lines(tmp_path)] == [0, 1, 2]
  assert not caplog.records


def test_a_broken_line_goes_with_a_warning(tmp_path, caplog):
  writer = metrics.open_metrics(tmp_path, "a", tensorboard=False)
  writer.write(0, x=1)
  with (tmp_path / "metrics.jsonl").open("ab") as file:
    file.write(b"\0\0\xff\n[1]\n")
  writer.write(1, x=1)
  with caplog.at_level(logging.WARNING):
    metrics.open_metrics(tmp_path, "a", 2, tensorboard=False)
  assert [line["step"] for line in lines(tmp_path)] == [0, 1]
  assert len(caplog.records) == 2 and "metrics.jsonl" in caplog.text


def test_what_is_not_legal(tmp_path):
  with pytest.raises(ValueError, match="run=''"):
    metrics.open_metrics(tmp_path, "")
  writer = metrics.open_metrics(tmp_path, "a", tensorboard=False)
  with pytest.raises(ValueError, match="no metric may be called so"):
    writer.write(0, run=3)
  with pytest.raises(ValueError, match=r"value\.x is a set"):
    writer.write(0, x={1})
  assert not (tmp_path / "metrics.jsonl").exists()


def test_no_place_to_write(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError, match=r"file/metrics\.jsonl: cannot be opened"):
    metrics.open_metrics(tmp_path / "file", "a")
  writer = metrics.open_metrics(tmp_path / "b", "a", tensorboard=False)
  (tmp_path / "b" / "metrics.jsonl").mkdir()
  with pytest.raises(OSError, match=r"metrics.jsonl: cannot be written"):
    writer.write(0, x=1)
