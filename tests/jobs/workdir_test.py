import json
import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from fbnax.jobs import workdir

CONFIG = {"job": "nars", "seed": 0, "training": {"epochs": 3, "sizes": (8, 12)}}


def test_starts_and_goes_on(tmp_path):
  path = tmp_path / "runs" / "digits"
  assert workdir.describe(path) == f"starts in {path}"
  with workdir.open_workdir(path, ml_collections.ConfigDict(CONFIG)) as opened:
    assert not opened.resumed and opened.path == path
    assert json.loads((path / "config.json").read_text()) == opened.config
    assert opened.config["training"] == {"epochs": 3, "sizes": [8, 12]}
  assert workdir.describe(path) == f"goes on in {path}"
  with workdir.open_workdir(path, CONFIG) as opened:
    assert opened.resumed


def test_a_run_that_was_refused_binds_no_later_one(tmp_path):
  other = CONFIG | {"seed": 1}
  with (
    pytest.raises(ValueError, match="budget"),
    workdir.open_workdir(tmp_path, CONFIG) as opened,
    opened.phase("data"),
  ):
    raise ValueError("budget")
  with workdir.open_workdir(tmp_path, other) as opened:
    assert not opened.resumed and opened.times() == {}
  # What has left something is kept, and so is what was stopped.
  (tmp_path / "trials.sqlite").touch()
  with (
    pytest.raises(ValueError, match="damaged"),
    workdir.open_workdir(tmp_path, other),
  ):
    raise ValueError("damaged")
  (tmp_path / "trials.sqlite").unlink()
  with (
    pytest.raises(KeyboardInterrupt),
    workdir.open_workdir(tmp_path, other),
  ):
    raise KeyboardInterrupt
  with pytest.raises(ValueError, match="seed: there 1, now 0"):
    workdir.open_workdir(tmp_path, CONFIG)


def test_another_config_is_refused(tmp_path):
  config = CONFIG | {"log_every": 10, "report": {"title": "a"}}
  workdir.open_workdir(tmp_path, config).close()
  changed = CONFIG | {
    "log_every": 20,
    "report": {"title": "b", "new": 1},
    "training": {"epochs": 4},
  }
  with pytest.raises(ValueError) as caught:
    workdir.open_workdir(tmp_path, changed, ignore=("log_every", "report"))
  message = str(caught.value)
  assert str(tmp_path) in message
  assert "training.epochs: there 3, now 4" in message
  assert "training.sizes: there [8, 12], now '(absent)'" in message
  assert "log_every" not in message and "report" not in message
  # The refusal let the lock go.
  changed["training"] = CONFIG["training"]
  ignore = ("log_every", "report")
  workdir.open_workdir(tmp_path, changed, ignore).close()
  with pytest.raises(ValueError, match="log_every: there 10, now 20"):
    workdir.open_workdir(tmp_path, changed, ignore=("log", "report.new"))


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}\n\0'])
def test_a_damaged_config_is_named(tmp_path, content):
  (tmp_path / "config.json").write_text(content)
  with pytest.raises(ValueError, match=r"config\.json: damaged"):
    workdir.open_workdir(tmp_path, CONFIG)


@pytest.mark.parametrize("below", [".", "below"])
def test_a_file_in_the_way(tmp_path, below):
  file = tmp_path / "file"
  file.write_text("")
  with pytest.raises(OSError, match=r"file.*: cannot be made a work directory"):
    workdir.open_workdir(file / below, CONFIG)


def test_a_place_that_cannot_be_written(tmp_path, monkeypatch):
  def refuse(path, *_):
    raise PermissionError(13, "Permission denied", path)

  monkeypatch.setattr(os, "open", refuse)
  with pytest.raises(
    PermissionError, match=r"cannot be made a work directory: Permission"
  ):
    workdir.open_workdir(tmp_path, CONFIG)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    opened.write_result({"a": 1})
    names = sorted(path.name for path in tmp_path.iterdir())

    def full(_):
      raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
      OSError, match=r"result\.json: cannot be written: No sp"
    ):
      opened.write_result({"a": 2})
    monkeypatch.undo()
    assert opened.result() == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_times_add_up_over_starts(tmp_path):
  for _ in range(2):
    with workdir.open_workdir(tmp_path, CONFIG) as opened:
      with opened.phase("round 2"):
        pass
      with pytest.raises(KeyError), opened.phase("a"):
        raise KeyError
      times = opened.times()
      assert list(times) == ["round 2", "a"]
      (tmp_path / "times.json").write_text(
        json.dumps(times | {"round 2": times["round 2"] + 5})
      )
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    assert 10 < opened.times()["round 2"] < 11 > opened.times()["a"]


def test_compiling_is_told_by_phase(tmp_path):
  def compile_something(factor):
    with opened.phase("search"):
      jax.jit(lambda x: factor * x + 0.5)(jnp.arange(5.0))

  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    with opened.phase("data"):
      pass
    compile_something(3.0)
    once = opened.spent()["compiling"]
    assert once["data"] == 0.0 < once["search"]
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    compile_something(5.0)
    spent = opened.spent()
  assert list(spent) == ["phases", "total", "compiling"]
  assert spent["phases"] == opened.times()
  assert spent["total"] == pytest.approx(sum(spent["phases"].values()))
  assert once["search"] < spent["compiling"]["search"]
  assert spent["compiling"]["search"] <= spent["phases"]["search"]


def test_the_result(tmp_path):
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    assert not opened.is_done() and opened.result() is None
    result = {
      "z": np.float32(0.5),
      "a": jnp.array([[1, 2]]),
      "nan": [float("nan"), -np.inf, jnp.bfloat16(2)],
      "path": tmp_path,
    }
    opened.write_result(result)
    text = (tmp_path / "result.json").read_text()
    opened.write_result(result)
    assert (tmp_path / "result.json").read_text() == text
    # In the order given: phases are shown in the order they ran.
    assert list(json.loads(text)) == ["z", "a", "nan", "path"]
    assert json.loads(text) == {
      "a": [[1, 2]],
      "nan": [None, None, 2.0],
      "path": str(tmp_path),
      "z": 0.5,
    }
    assert opened.is_done() and workdir.is_done(tmp_path)
    with pytest.raises(ValueError, match=r"result\.a\[1\]\.b is a object"):
      opened.write_result({"a": [0, {"b": object()}]})
  assert workdir.describe(tmp_path).endswith(
    "done: " + str(tmp_path / "result.json")
  )
  (tmp_path / "report.html").write_text("")
  assert workdir.describe(tmp_path).endswith("/report.html")
  (tmp_path / "result.json").write_text(text[:-5])
  assert not workdir.is_done(tmp_path)


HOLDER = """
import sys, time
from fbnax.jobs.workdir import open_workdir
open_workdir(sys.argv[1], {})
print("open", flush=True)
time.sleep(60)
"""


def test_one_process_at_a_time(tmp_path):
  with subprocess.Popen(
    [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
  ) as holder:
    assert holder.stdout.readline() == "open\n"
    try:
      with pytest.raises(ValueError, match=rf"process {holder.pid} works here"):
        workdir.open_workdir(tmp_path, {})
    finally:
      holder.send_signal(signal.SIGKILL)
  with workdir.open_workdir(tmp_path, {}) as opened:
    assert opened.resumed
    with pytest.raises(ValueError, match=rf"process {os.getpid()} works here"):
      workdir.open_workdir(tmp_path, {})


def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog):
  def unknown(*_):
    raise OSError(95, "Operation not supported")

  monkeypatch.setattr(workdir.fcntl, "flock", unknown)
  workdir.open_workdir(tmp_path, {}).close()
  assert "not locked" in caplog.text
