"""Being told to stop: in imports, and where processes ask each other."""

import gc
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from fbnax.training import stopping

TERMINATED = 128 + signal.SIGTERM


@pytest.fixture
def others(monkeypatch):
  """What the other process says, and when this one is told."""
  plan = {"says": [], "told at": None, "asked": 0}

  def gather(own):
    number = plan["asked"]
    plan["asked"] += 1
    if number == plan["told at"]:  # While it waits for the other.
      stopping._stop(signal.SIGTERM, None)
    return np.stack([own, np.int32(plan["says"][number])])

  monkeypatch.setattr(stopping, "_several", lambda: True)
  monkeypatch.setattr(stopping, "_code", None)
  monkeypatch.setattr(multihost_utils, "process_allgather", gather)
  assert jax.process_count() == 1
  return plan


def test_a_signal_that_was_forgotten_does_not_end_what_has_ended():
  """It is raised again every two seconds, but not while Python cleans up."""
  before = signal.getsignal(signal.SIGALRM)
  try:
    with pytest.raises(KeyboardInterrupt):
      stopping._stop(signal.SIGTERM, None)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    with pytest.raises(SystemExit) as end:
      stopping.leave(0)
    assert end.value.code == 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# A module that takes a second to import, and tells when it is whole.
SLOW = """
import time
print("importing", flush=True)
until = time.monotonic() + 1
while time.monotonic() < until:
  time.sleep(0.01)
print("imported", flush=True)
"""
PROGRAM = """
import time
from fbnax.training import stopping

def program():
  import slow_module
  time.sleep(60)

def answering():
  import slow_module
  stopping.answer()
  print("never")

def looping():
  with stopping.held() as asked:
    import slow_module
    while not asked():
      time.sleep(0.01)
    print("saved", flush=True)
    stopping.stop()

stopping.leave(stopping.run({}, "stopped"))
"""


def _importing(folder, program):
  """A process that is in the middle of an import."""
  (folder / "slow_module.py").write_text(SLOW)
  path = os.pathsep.join([str(folder), *sys.path])
  process = subprocess.Popen(
    [sys.executable, "-c", PROGRAM.format(program)],
    env=os.environ | {"PYTHONPATH": path},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == "importing\n"
  return process


@pytest.mark.parametrize(
  "program, sent, said",
  [
    ("program", signal.SIGTERM, "imported\n"),
    ("program", signal.SIGINT, "imported\n"),
    ("answering", signal.SIGTERM, "imported\n"),
    ("looping", signal.SIGTERM, "imported\nsaved\n"),
  ],
)
def test_a_signal_waits_for_an_import(tmp_path, program, sent, said):
  process = _importing(tmp_path, program)
  process.send_signal(sent)
  assert process.communicate(timeout=30) == (said, "stopped\n")
  assert process.returncode == 128 + sent


def test_who_asks_twice_does_not_wait_for_an_import(tmp_path):
  process = _importing(tmp_path, "program")
  process.send_signal(signal.SIGTERM)
  time.sleep(0.2)
  process.send_signal(signal.SIGTERM)
  assert process.communicate(timeout=30) == ("", "")
  assert process.returncode == TERMINATED


def test_what_one_is_told_all_do(others):
  others["says"] = [0, TERMINATED]
  with pytest.raises(KeyboardInterrupt) as stop, stopping.held() as asked:
    assert [asked(step) for step in (7, 10, 20)] == [False, False, True]
  assert stop.value.args == (TERMINATED,)
  assert others["asked"] == 2


def test_what_is_told_while_they_ask_is_told_the_next_time(others):
  """It must neither be lost, nor stop this process alone."""
  others |= {"says": [0, 0], "told at": 0}
  with pytest.raises(KeyboardInterrupt) as stop, stopping.held() as asked:
    assert [asked(10), asked(20)] == [False, True]
  assert stop.value.args == (TERMINATED,)


def test_a_signal_waits_for_the_callback_of_jax():
  # Python prints what is raised in it, and forgets it.
  assert not stopping._is_delicate(sys._getframe())

  def _xla_gc_callback():
    return stopping._is_delicate(sys._getframe())

  assert _xla_gc_callback()
  # JAX's is still called so.
  assert any(c.__name__ == "_xla_gc_callback" for c in gc.callbacks)
