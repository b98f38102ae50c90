"""Runs that are killed at random moments and started again, to their end.

A chain is one work directory: the job is started, killed after a while drawn
uniformly from what an undisturbed run takes, or while a checkpoint is being
saved, and started again, until it ends.
"""

import contextlib
import dataclasses
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.jobs import dnas_test, nars_test

ROOT = Path(__file__).parents[2]
POLL = 0.002  # Seconds; a save takes a hundred times as long.
# What a stopped process may end with: `fbnax.main` says so, or it had not
# begun to listen.
CODES = {
  signal.SIGKILL: (-signal.SIGKILL,),
  signal.SIGTERM: (128 + signal.SIGTERM, -signal.SIGTERM),
}
_UNFINISHED = "**/.unfinished-*"
_PARTIAL = "**/.*.tmp"


def _flags(changes):
  return [f"--config.{key}={value}" for key, value in changes.items()]


# What each job is started with, tiny, and with a checkpoint every few steps.
JOBS = {
  "nars": ("nars.py", list(nars_test.SMALL)),
  "dnas": ("dmasking.py", _flags(dnas_test.CHANGES)),
}


def start(job, workdir):
  """The job as a process of its own."""
  file, flags = JOBS[job]
  return subprocess.Popen(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/{file}",
      f"--workdir={workdir}",
      *flags,
    ],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(job, workdir):
  """Runs the job to its end; seconds that took."""
  begin = time.monotonic()
  process = start(job, workdir)
  _, said = process.communicate()
  assert process.returncode == 0, said[-2000:]
  return time.monotonic() - begin


@dataclasses.dataclass(frozen=True)
class Kill:
  """One kill.

  Attributes:
    signal: SIGKILL or SIGTERM.
    after: seconds since the process was started.
    saving: a checkpoint, or a file that is replaced, was being written then.
    code: exit code of the process.
  """

  signal: int
  after: float
  saving: bool
  code: int

  def __str__(self):
    during = ", saving" if self.saving else ""
    return (
      f"{signal.Signals(self.signal).name} at {self.after:.2f} s{during}: "
      f"{self.code}"
    )


def kill(process, workdir, number, delay, at_save):
  """Kills the process; None if it ended before.

  Args:
    process: of the job.
    workdir: where it saves.
    number: the signal.
    delay: seconds from now.
    at_save: then waits until something is being saved.
  """
  begin = time.monotonic()
  while process.poll() is None:
    passed = time.monotonic() - begin
    saving = at_save and _is_saving(workdir)
    if passed >= delay and (saving or not at_save):
      saving = saving or _is_saving(workdir)
      process.send_signal(number)
      _, said = process.communicate(timeout=120)
      found = Kill(number, passed, saving, process.returncode)
      if process.returncode == 0:
        return None
      assert process.returncode in CODES[number], f"{found}\n{said[-2000:]}"
      return found
    time.sleep(POLL if at_save else min(0.05, max(delay - passed, POLL)))
  _, said = process.communicate()  # Closes the pipe too.
  assert process.returncode == 0, said[-2000:]
  return None


def _is_saving(workdir):
  folder = Path(workdir)
  try:
    return any(
      next(folder.glob(pattern), None) is not None
      for pattern in (_UNFINISHED, _PARTIAL)
    )
  except FileNotFoundError:  # What a save removes while it is looked for.
    return True


def trials(workdir):
  """Rows of the finished trials, by id, as a killed run left them."""
  # A copy, since SQLite mends what it opens, which the job is to do itself.
  with tempfile.TemporaryDirectory() as folder:
    for path in Path(workdir).glob("trials.sqlite*"):
      shutil.copy(path, folder)
    with contextlib.closing(
      sqlite3.connect(Path(folder, "trials.sqlite"))
    ) as connection:
      try:
        rows = connection.execute("SELECT * FROM trials").fetchall()
      except sqlite3.OperationalError:  # Killed before the tables were made.
        rows = []
  return {row[0]: row for row in rows}


def chain(job, workdir, random, seconds, most):
  """Runs a job with up to so many kills to its end; the kills.

  Args:
    job: a key of `JOBS`.
    workdir: of the chain.
    random: a `random.Random`.
    seconds: that an undisturbed run takes.
    most: kills.

  Raises:
    AssertionError: a finished trial changed or is lost, or a run failed.
  """
  kills = []
  known = {}
  while len(kills) < most:
    at_save = random.random() < 0.4
    # A save is waited for, so the wait begins earlier.
    delay = random.uniform(0, seconds * (0.8 if at_save else 1.0))
    number = random.choice((signal.SIGKILL, signal.SIGTERM))
    found = kill(start(job, workdir), workdir, number, delay, at_save)
    known = _same(known, trials(workdir))
    if found is None:
      break
    kills.append(found)
  finish(job, workdir)
  _same(known, trials(workdir))
  return kills


def _same(before, after):
  """What was finished is so still, and was not done again: its times stay."""
  for i, row in before.items():
    assert after.get(i) == row, f"trial {i}: {row} became {after.get(i)}"
  return after


def result(workdir):
  """`result.json` apart from times."""
  text = (Path(workdir) / "result.json").read_text("utf-8")
  return nars_test._without_times(json.loads(text))
