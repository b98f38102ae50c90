"""A job that is killed again and again ends as one that was not.

    FBNAX_KILLS=100 python -m pytest -n 0 -m slow -s tests/faults/kills_test.py

kills the jobs nars and dnas so many times in all (10 without the variable), at
moments drawn uniformly from what they take, or while a checkpoint is being
saved; prints every kill, and compares the results with those of undisturbed
runs. `FBNAX_KILLS_SEED` draws other moments.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.faults import kills

COUNT = int(os.environ.get("FBNAX_KILLS", "10"))
SEED = int(os.environ.get("FBNAX_KILLS_SEED", "0"))
IN_A_CHAIN = 10  # Kills of one work directory, at most.


@pytest.mark.slow
@pytest.mark.parametrize("job", kills.JOBS)
def test_killed_at_random_moments(job, tmp_path):
  seconds = kills.finish(job, tmp_path / "undisturbed")
  wanted = kills.result(tmp_path / "undisturbed")
  if COUNT >= 20:  # That one compiled, perhaps; moments are drawn of this.
    seconds = kills.finish(job, tmp_path / "second")
    assert kills.result(tmp_path / "second") == wanted
  print(f"\n{job}: seed {SEED}, undisturbed in {seconds:.1f} s")
  found = []
  number = 0
  begin = time.monotonic()
  while len(found) < COUNT // len(kills.JOBS):
    number += 1
    workdir = tmp_path / f"chain{number}"
    drawn = random.Random(f"{job} {SEED} {number}")
    most = min(IN_A_CHAIN, COUNT // len(kills.JOBS) - len(found))
    now = kills.chain(job, workdir, drawn, seconds, most)
    for kill in now:
      print(f"chain {number}: {kill}", flush=True)
    assert kills.result(workdir) == wanted, f"chain {number}"
    found += now
  saving = sum(kill.saving for kill in found)
  print(
    f"{job}: {len(found)} kills in {number} chains, {saving} while saving, "
    f"{time.monotonic() - begin:.0f} s"
  )
  if len(found) >= 20:
    assert saving >= len(found) // 5


# In a job's place: saves all the time, and ends as it is told.
PROGRAM = """
import pathlib, sys, time
work = pathlib.Path(sys.argv[1])
(work / "checkpoints" / ".unfinished-1").mkdir(parents=True)
time.sleep(60)
"""


def test_a_kill_is_told_as_it_was(tmp_path):
  process = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path])
  found = kills.kill(process, tmp_path, signal.SIGKILL, 0.0, True)
  assert found.saving and found.code == -signal.SIGKILL
  assert str(found).startswith("SIGKILL at ")
  assert str(found).endswith(" s, saving: -9")
  ended = subprocess.Popen([sys.executable, "-c", ""])
  assert kills.kill(ended, tmp_path, signal.SIGTERM, 60.0, False) is None


def test_a_trial_that_was_done_again_is_noticed():
  before = {0: (0, 1.5), 1: (1, 2.5)}
  assert kills._same(before, {**before, 2: (2, 0.5)})
  for after in ({0: (0, 1.5)}, {0: (0, 1.5), 1: (1, 9.0)}):
    with pytest.raises(AssertionError, match="trial 1"):
      kills._same(before, after)
