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

from fbnax import jobs
from fbnax.base import records
from fbnax.jobs.nars import job as nars
from fbnax.jobs.runtime import workdir
from fbnax.jobs.runtime.shell import run_job
from fbnax.search import trials
from tests.jobs.autobuild_test import config_of

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


def _names(folder):
  return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


class OfALibraryError(Exception):
  """Of a kind that nobody here knows."""


@pytest.mark.parametrize(
  "error",
  [
    ValueError("budget"),
    KeyError("max_images"),
    OSError(28, "No space left on device"),
    AttributeError("config has no key"),
    RecursionError(),
    OfALibraryError(),
  ],
)
def test_a_run_that_was_refused_binds_no_later_one(tmp_path, error):
  """Whatever refused it, and whatever it made before that is of no worth."""
  (tmp_path / "notes.txt").write_text("the user's own")
  (tmp_path / "empty").mkdir()
  with (
    pytest.raises(type(error)),
    workdir.open_workdir(tmp_path, CONFIG) as opened,
    opened.phase("data"),
    trials.open_store(tmp_path / "trials.sqlite") as store,
  ):
    store.decide("plan/round 0", [1, 2])
    (tmp_path / "searches").mkdir()
    (tmp_path / "checkpoints" / "a" / ".unfinished-00000001").mkdir(
      parents=True
    )
    (tmp_path / "checkpoints/a/.unfinished-00000001/d").write_text("half")
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.1").write_text("begun")
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / ".result.json.1.tmp").write_text("half")
    raise error
  assert not (tmp_path / "config.json").exists()
  assert not (tmp_path / "trials.sqlite").exists()
  assert (tmp_path / "notes.txt").exists() and (tmp_path / "empty").exists()
  with workdir.open_workdir(tmp_path, CONFIG | {"seed": 1}) as opened:
    assert not opened.resumed and opened.times() == {}


def _trial(folder):
  with trials.open_store(folder / "trials.sqlite") as store:
    store.record([trials.Trial(0, 0, (1,))])


def _member(folder):
  (folder / "members" / "a").mkdir(parents=True)
  (folder / "members" / "a" / "model.json").write_text("{}")


def _scores(folder):
  records.open_rows(folder / "scores.jsonl").add({0: [1.0]})


@pytest.mark.parametrize("leave", [_trial, _member, _scores])
def test_what_has_left_work_is_kept(tmp_path, leave):
  with (
    pytest.raises(ValueError, match="damaged"),
    workdir.open_workdir(tmp_path, CONFIG) as opened,
    opened.phase("search"),
  ):
    leave(tmp_path)
    raise ValueError("damaged")
  before = _names(tmp_path)
  assert {"config.json", "times.json"} < {*before}
  # So it is where a run that goes on is refused.
  with (
    pytest.raises(OfALibraryError),
    workdir.open_workdir(tmp_path, CONFIG) as opened,
  ):
    assert opened.resumed
    raise OfALibraryError
  assert _names(tmp_path) == before
  with pytest.raises(ValueError, match="seed: there 0, now 1"):
    workdir.open_workdir(tmp_path, CONFIG | {"seed": 1})


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_run_that_was_stopped_is_kept(tmp_path, stop):
  with pytest.raises(stop), workdir.open_workdir(tmp_path, CONFIG):
    raise stop
  with pytest.raises(ValueError, match="seed: there 0, now 1"):
    workdir.open_workdir(tmp_path, CONFIG | {"seed": 1})


def test_a_result_without_its_config(tmp_path):
  """It is done under the config that it says, and under no other."""
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    opened.write_result({"config": CONFIG, "accuracy": 0.5})
  (tmp_path / "config.json").unlink()
  assert not workdir.is_done(tmp_path)
  assert "all is done" not in workdir.describe(tmp_path)
  with pytest.raises(ValueError, match="seed: there 0, now 5"):
    workdir.open_workdir(tmp_path, CONFIG | {"seed": 5})
  assert not (tmp_path / "config.json").exists()
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    assert opened.resumed and opened.is_done()
  assert "all is done" in workdir.describe(tmp_path)


@pytest.mark.parametrize(
  "result", ['{"accuracy": 1}', '{"config": 3}', "{", ""]
)
def test_a_result_of_nobody_knows_which_config(tmp_path, result):
  (tmp_path / "result.json").write_text(result)
  with pytest.raises(ValueError, match=r"result\.json of an unknown config"):
    workdir.open_workdir(tmp_path, CONFIG)


@pytest.mark.parametrize("leave", [_trial, _member, _scores])
def test_work_without_its_config_is_not_gone_on_with(tmp_path, leave):
  leave(tmp_path)
  with pytest.raises(ValueError, match=r"of a run, without config\.json"):
    workdir.open_workdir(tmp_path, CONFIG)
  assert not (tmp_path / "config.json").exists()


def test_what_killed_processes_were_writing_is_cleared(tmp_path):
  workdir.open_workdir(tmp_path, CONFIG).close()
  for folder in (tmp_path, tmp_path / "members" / "a"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in (1, os.getpid()):  # Containers number alike.
      (folder / f".result.json.{number}.tmp").write_text("half")
  workdir.open_workdir(tmp_path, CONFIG).close()
  assert not [name for name in _names(tmp_path) if name.endswith(".tmp")]


@pytest.mark.parametrize(
  "name",
  (
    *("config.json", "result.json", "times.json", "lock", "trials.sqlite"),
    *("checkpoints", "members/a/model.json", "metrics.jsonl"),
  ),
)
def test_a_link_that_leads_out_is_refused(tmp_path, name):
  outside = tmp_path / "outside"
  outside.write_text("{}")
  folder = tmp_path / "run"
  (folder / name).parent.mkdir(parents=True)
  (folder / name).symlink_to(outside)
  with pytest.raises(ValueError, match=rf"{name} leads out of .*/run, to"):
    workdir.open_workdir(folder, CONFIG)
  assert outside.read_text() == "{}"


def test_links_that_stay_are_followed(tmp_path):
  (tmp_path / "disk").mkdir()
  (tmp_path / "run").symlink_to(tmp_path / "disk")
  workdir.open_workdir(tmp_path / "run", CONFIG).close()
  (tmp_path / "disk" / "config.json").rename(tmp_path / "disk" / "first.json")
  (tmp_path / "disk" / "config.json").symlink_to("first.json")
  with workdir.open_workdir(tmp_path / "run", CONFIG) as opened:
    assert opened.resumed


@pytest.mark.parametrize("name", ["result.json", "members/pipe"])
def test_what_would_be_waited_for_for_ever_is_refused(tmp_path, name):
  workdir.open_workdir(tmp_path, CONFIG).close()
  (tmp_path / name).parent.mkdir(exist_ok=True)
  os.mkfifo(tmp_path / name)
  with pytest.raises(ValueError, match="a named pipe, a socket or a device"):
    workdir.open_workdir(tmp_path, CONFIG)
  if name == "result.json":
    with pytest.raises(ValueError, match="a named pipe"):
      workdir.describe(tmp_path)


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
      records.write(
        tmp_path / "times.json", times | {"round 2": times["round 2"] + 5}
      )
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    assert 10 < opened.times()["round 2"] < 11 > opened.times()["a"]


def test_times_that_were_altered_are_told_and_begin_anew(tmp_path, caplog):
  with workdir.open_workdir(tmp_path, CONFIG) as opened:
    with opened.phase("search"):
      pass
    path = tmp_path / "times.json"
    path.write_text(path.read_text().replace("search", "sea"))
    with opened.phase("training"):
      pass
    assert list(opened.times()) == ["training"]
  assert "times.json: not as it was written" in caplog.text


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


def test_what_is_kept_is_made_once(tmp_path, caplog):
  made = []

  def make():
    made.append(len(made))
    return {"numbers": (len(made), 2.5)}

  with workdir.open_workdir(tmp_path, {}) as work:
    first = work.kept("parts/one.json", make)
    assert work.kept("parts/one.json", make) == first == {"numbers": [1, 2.5]}
    assert made == [0]
    file = tmp_path / "parts" / "one.json"
    file.write_text(file.read_text().replace("2.5", "3.5"))
    assert work.kept("parts/one.json", make) == {"numbers": [2, 2.5]}
  assert "it is made again" in caplog.text


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
from fbnax.jobs.runtime.workdir import open_workdir
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


# A value of each job's config that is only found wrong when it is worked with.
REFUSED = {
  "autobuild": {"labels": "absent.csv"},
  "benchmark": {"table": "absent.npz"},
  "dmasking": {"data.name": "folder", "data.path": "absent"},
  "eval": {"model": "absent"},
  "evolve": {"run": "absent"},
  "export": {"model": "absent"},
  "ground_truth": {"table": "absent.npz"},
  "latency_predictor": {"measurements": "absent.csv"},
  "nars": {"budgets.macs": (1.0,)},
  "nbdt": {"data.name": "folder", "data.path": "absent"},
  "nbdt_tables": {"data.name": "folder", "data.path": "absent"},
  "predictors": {"run": "absent"},
  "profile": {"fix": "layer1.block=none"},
  "study": {"runs": ("absent",)},
  "train": {"architecture": "absent.json"},
  "zero_cost": {"space": "absent"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_job_binds_a_work_directory_when_it_is_refused(tmp_path, name):
  config = config_of(name, **REFUSED[name])
  with pytest.raises((ValueError, OSError)):
    run_job(config, tmp_path)
  assert set(_names(tmp_path)) <= {"lock"}


def test_all_jobs_are_refused_something():
  named = {config_of(name).job for name in REFUSED}
  assert named == set(jobs.JOBS)


def test_a_section_that_lacks_keys_binds_no_work_directory(tmp_path):
  """As `--config.data={'name': 'npz'}` leaves it."""
  config = config_of("train", **{"architecture": "fbnetv3_a"})
  with config.unlocked():
    config.data = {"name": "npz"}
  with pytest.raises(ValueError, match="path=None; legal"):
    run_job(config, tmp_path)
  assert _names(tmp_path) == ["lock"]


def test_a_search_that_fails_before_its_first_trial_binds_none(
  tmp_path, monkeypatch
):
  """Its store of trials is there by then."""
  config = config_of(
    "nars",
    **{
      "search.pool": 128,
      "data.max_images": 100,
      "budgets.macs": (300e3,),
      "fix": "resolution=8;stage1.depth=1;stage2.depth=1",
    },
  )

  def fail(space, classes, evaluate, store, *rest, **more):
    store.decide("plan/round 1", [0])
    raise RuntimeError("out of memory")

  monkeypatch.setattr(nars.nars, "search", fail)
  with pytest.raises(RuntimeError, match="out of memory"):
    run_job(config, tmp_path)
  assert _names(tmp_path) == ["lock"]
