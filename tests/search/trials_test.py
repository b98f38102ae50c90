import dataclasses
import json
import random
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from fbnax.search import trials as trials_lib
from fbnax.search.trials import Trial, TrialStore, open_store


def trial_of(i, **changes):
  rng = random.Random(i)
  fields = {
    "id": i,
    "round": i // 4,
    "genotype": tuple(rng.randrange(9) for _ in range(30)),
    "macs": float(rng.randrange(10**12)),
    "params": 12345.0,
    "predicted": rng.random(),
    "curve": (rng.random(), None, rng.random()),
    "accuracy": rng.random(),
    "log_loss": rng.random(),
    "epochs": 12.0,
    "seconds": rng.random(),
    "recipe": json.dumps({"optimizer": "sgd"}),
    "architecture": json.dumps({"name": "kühl"}),
    "seed": 2**62,
  }
  return Trial(**fields | changes)


def test_what_is_recorded_comes_back(tmp_path):
  trials = [trial_of(i) for i in range(5)]
  failed = Trial(9, 2, (1, 2), status="failed", error="out of memory")
  with open_store(tmp_path / "trials.sqlite") as store:
    store.record([failed, *trials[3:]])
    store.record(trials[:3])
    store.record([])
    assert store.all() == [*trials, failed]
  with open_store(tmp_path / "trials.sqlite") as store:
    assert store.all() == [*trials, failed]
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == (
      "wal",
    )
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_numpy_and_nan(tmp_path):
  trial = trial_of(
    0,
    genotype=np.array([1, 2], np.int32),
    macs=np.int64(7),
    curve=np.array([0.5, np.nan], np.float32),
    accuracy=float("nan"),
    seed=np.uint32(3),
  )
  with open_store(tmp_path / "trials.sqlite") as store:
    store.record([trial])
    found = store.all()
  assert found == [
    trial_of(
      0, genotype=(1, 2), macs=7.0, curve=(0.5, None), accuracy=None, seed=3
    )
  ]
  assert hash(found[0])


def test_a_failed_trial_may_be_tried_again_but_not_a_done_one(tmp_path):
  with open_store(tmp_path / "trials.sqlite") as store:
    store.record([trial_of(0, status="failed", error="x"), trial_of(1)])
    store.record([trial_of(0)])
    with pytest.raises(ValueError, match="trial 1 is recorded as done"):
      store.record([trial_of(2), trial_of(1, accuracy=0.0)])
    # All or none.
    assert store.all() == [trial_of(0), trial_of(1)]
    with pytest.raises(ValueError, match="trial 3: status='ok'; legal"):
      store.record([trial_of(2), trial_of(3, status="ok")])
    with pytest.raises(ValueError, match="NOT NULL"):
      store.record([trial_of(2), trial_of(3, round=None)])
    assert len(store.all()) == 2


def test_the_first_decision_stands(tmp_path):
  with open_store(tmp_path / "trials.sqlite") as store:
    assert store.decisions() == {}
    plan = np.array([[1, 2], [3, 4]], np.int32)
    assert store.decide("plan/round 2", plan) == [[1, 2], [3, 4]]
    assert store.decide("early_stop", {"epoch": 3, "below": 0.1 + 0.2})
  with open_store(tmp_path / "trials.sqlite") as store:
    assert store.decide("early_stop", None) == {"epoch": 3, "below": 0.1 + 0.2}
    assert list(store.decisions()) == ["plan/round 2", "early_stop"]


def test_what_is_settled_is_made_once(tmp_path):
  made = []

  def make():
    made.append(len(made))
    return {"number": made[-1]}

  for _ in range(2):
    with open_store(tmp_path / "trials.sqlite") as store:
      assert store.settled("members", make) == {"number": 0}
  assert made == [0]


def test_the_first_process_settles_it_for_all(tmp_path, monkeypatch):
  """Others may round otherwise: what they would make is not looked at."""
  first = ({"number": 1}, {})
  monkeypatch.setattr(trials_lib, "by_first", lambda _: first)
  with open_store(tmp_path / "trials.sqlite") as store:
    assert store.settled("members", lambda: {"number": 2}) == {"number": 1}
    assert store.decisions() == {"members": {"number": 1}}


def test_damage_is_noticed_or_harmless(tmp_path):
  path = tmp_path / "trials.sqlite"
  trials = [trial_of(i) for i in range(12)]
  with open_store(path) as store:
    store.record(trials)
    store.decide("early_stop", list(range(50)))
  whole = path.read_bytes()
  rng = random.Random(0)
  noticed = 0
  contents = [whole[: len(whole) // 2], b"no database" * 99, whole[:50]]
  for _ in range(400):
    flipped = bytearray(whole)
    flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    contents.append(bytes(flipped))
  for i, content in enumerate(contents):
    for left in tmp_path.iterdir():
      left.unlink()
    path.write_bytes(content)
    try:
      with open_store(path) as store:
        assert store.all() == trials
        assert store.decisions() == {"early_stop": list(range(50))}
    except (ValueError, OSError) as error:
      noticed += 1
      assert str(path) in str(error)
    else:
      assert i > 2
  assert noticed > 100


def test_every_truncation_is_noticed_or_harmless(tmp_path):
  path = tmp_path / "trials.sqlite"
  trials = [trial_of(i) for i in range(30)]
  with open_store(path) as store:
    store.record(trials)
  whole = path.read_bytes()
  # An empty one is what a kill leaves of a store that was never written.
  for length in range(1, len(whole), 509):
    for left in tmp_path.iterdir():
      left.unlink()
    path.write_bytes(whole[:length])
    try:
      with open_store(path) as store:
        assert store.all() == trials
    except ValueError as error:
      assert f"{path}: damaged: " in str(error) and "move" in str(error)
    else:
      assert length > len(whole) - 4096  # An index without entries.


def test_the_log_is_empty_after_each_record(tmp_path):
  path = tmp_path / "trials.sqlite"
  log = tmp_path / "trials.sqlite-wal"
  with open_store(path) as store:
    for i in range(3):
      store.record([trial_of(i)])
      assert log.stat().st_size == 0
    store.decide("early_stop", 3)
    assert log.stat().st_size == 0
    # A copy of the file alone, which nobody closed, has all of it.
    (tmp_path / "copy.sqlite").write_bytes(path.read_bytes())
    with open_store(tmp_path / "copy.sqlite") as copy:
      assert copy.all() == [trial_of(i) for i in range(3)]
      assert copy.decisions() == {"early_stop": 3}


def test_a_reader_holds_nothing_up_and_a_damaged_log_loses_whole_records(
  tmp_path,
):
  path = tmp_path / "trials.sqlite"
  trials = [trial_of(i) for i in range(12)]
  with open_store(path) as store:
    store.record(trials[:2])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (2,)
    start = time.monotonic()
    for i in range(2, 12, 2):
      store.record(trials[i : i + 2])
    assert time.monotonic() - start < 10
    # As a kill leaves them here.
    content = path.read_bytes()
    log = (tmp_path / "trials.sqlite-wal").read_bytes()
    reader.close()
  assert len(log) > 10_000
  rng = random.Random(0)
  lengths = set()
  for i in range(60):
    folder = tmp_path / str(i)
    folder.mkdir()
    (folder / path.name).write_bytes(content)
    flipped = bytearray(log)
    flipped[rng.randrange(len(log))] ^= 1 << rng.randrange(8)
    flipped = flipped[: rng.randrange(len(log))] if i % 2 else flipped
    (folder / "trials.sqlite-wal").write_bytes(flipped)
    try:
      with open_store(folder / path.name) as store:
        found = store.all()
    except ValueError as error:
      assert str(folder / path.name) in str(error)
      continue
    assert found == trials[: len(found)]
    assert len(found) >= 2 and len(found) % 2 == 0
    lengths.add(len(found))
  assert len(lengths) > 2


def test_damage_says_what_to_do(tmp_path):
  path = tmp_path / "trials.sqlite"
  path.write_bytes(b"no database" * 99)
  with pytest.raises(
    ValueError, match=r"trials.sqlite: damaged.*move the file"
  ):
    open_store(path)
  path.unlink()
  with open_store(path) as store:
    store.record([trial_of(3)])
    store.connection.execute("UPDATE trials SET accuracy = 1.0")
    with pytest.raises(ValueError, match="trial 3 was altered"):
      store.all()
  with pytest.raises(ValueError, match=r"damaged: trial 3 was altered"):
    open_store(path)


@pytest.mark.parametrize(
  "statement", ["PRAGMA user_version = 3", "CREATE TABLE trials (id INTEGER)"]
)
def test_a_foreign_file_is_left_alone(tmp_path, statement):
  path = tmp_path / "trials.sqlite"
  connection = sqlite3.connect(path)
  connection.execute(statement)
  connection.close()
  content = path.read_bytes()
  with pytest.raises(ValueError, match=r"schema version \d; legal: 2"):
    open_store(path)
  assert path.read_bytes() == content


def test_no_place_to_write(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError, match=r"file/trials.sqlite: unable to open"):
    open_store(tmp_path / "file" / "trials.sqlite")


def test_a_full_disk_loses_nothing(tmp_path):
  with open_store(tmp_path / "trials.sqlite") as store:
    store.record([trial_of(0)])
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match=r"trials.sqlite: .*full.*still there"):
      store.record([trial_of(i) for i in range(1, 200)])
    assert store.all() == [trial_of(0)]
    store.connection.execute("PRAGMA max_page_count = 100000")
    store.record([trial_of(1)])
    assert len(store.all()) == 2


def test_a_disk_that_cannot_be_written(tmp_path):
  path = tmp_path / "trials.sqlite"
  with open_store(path) as store:
    store.record([trial_of(0)])
  connection = sqlite3.connect(
    f"file:{path}?mode=ro", uri=True, isolation_level=None
  )
  store = TrialStore(path, connection)
  with pytest.raises(OSError, match=r"trials.sqlite: .*readonly.*still there"):
    store.record([trial_of(1)])
  assert store.all() == [trial_of(0)]
  store.close()


KILLED = """
import os, signal, sys, time
from fbnax.search.trials import Trial, open_store

for k in range(int(sys.argv[2])):
  read, write = os.pipe()
  child = os.fork()
  if not child:
    store = open_store(sys.argv[1])
    first = len(store.all())
    for batch in range(10**6):
      ids = range(first + 7 * batch, first + 7 * batch + 7)
      store.record([Trial(i, batch, tuple(range(200))) for i in ids])
      os.write(write, f"{ids[-1]}\\n".encode())  # Recorded for certain.
  os.close(write)
  said = os.read(read, 64)
  time.sleep(0.01 + 0.013 * k)
  os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
  while more := os.read(read, 1 << 16):
    said += more
  os.close(read)
  print(said.split()[-1].decode(), flush=True)
"""


def test_killed_while_recording(tmp_path):
  path = tmp_path / "trials.sqlite"
  run = subprocess.run(
    [sys.executable, "-W", "ignore", "-c", KILLED, path, "8"],
    check=True,
    timeout=60,
    capture_output=True,
    text=True,
  )
  certain = [int(line) for line in run.stdout.split()]
  assert len(certain) == 8
  with open_store(path) as store:
    ids = [trial.id for trial in store.all()]
  assert ids == list(range(len(ids)))
  assert len(ids) % 7 == 0
  assert len(ids) >= certain[-1] + 1


def test_a_trial_cannot_be_changed():
  with pytest.raises(dataclasses.FrozenInstanceError):
    trial_of(0).accuracy = 1.0
