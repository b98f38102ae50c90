"""One job in two processes is that job; it is stopped, killed, and goes on.

    python -m pytest -n 0 -m slow tests/faults/processes_test.py

runs the searches as well, and kills: ten minutes on two idle cores. It wants
them idle: a process that compiles half a minute longer than the other fails.
"""

import fcntl
import re
import signal
import time

import numpy as np
import pytest

from fbnax.training import checkpoints, model_files
from tests.faults import kills, pairs

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
# What Gloo says, piece by piece: its threads write into each other's lines.
GLOO = re.compile(
  r"\[Gloo\] Rank |\d+| is connected to | peer ranks\. "
  r"|Expected number of connected peer ranks is : "
)


def _weights(workdir):
  return model_files.load(workdir / "members" / "tiny").variables


def _leaves(tree):
  import jax

  return [np.asarray(x) for x in jax.tree.leaves(tree)]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
  return pairs.jobs(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def undisturbed(jobs, tmp_path_factory):
  """Work directories of jobs in two processes, by name, and what they said."""
  found = {}

  def run(name):
    if name not in found:
      workdir = tmp_path_factory.mktemp(name) / "undisturbed"
      said = pairs.together(jobs[name], workdir, *pairs.MESHES[name])
      found[name] = workdir, said
    return found[name]

  return run


def test_two_processes_train_as_one_device_does(jobs, undisturbed, tmp_path):
  workdir, said = undisturbed("train")
  # The second says nothing of its own.
  assert "test accuracy" in said[0]
  assert GLOO.sub("", said[1]).strip() == ""
  pairs.alone(jobs["train"], tmp_path / "one", 1)
  for a, b in zip(
    *(_leaves(_weights(w)) for w in (workdir, tmp_path / "one")), strict=True
  ):
    np.testing.assert_allclose(a, b, **CLOSE)
  one, two = (
    kills.result(w)["members"][0] for w in (tmp_path / "one", workdir)
  )
  assert one["history"][-1]["train_loss"] < one["history"][0]["train_loss"]
  for a, b in zip(one["history"], two["history"], strict=True):
    np.testing.assert_allclose(list(a.values()), list(b.values()), **CLOSE)
  np.testing.assert_allclose(
    one["test_log_loss"], two["test_log_loss"], **CLOSE
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ("number", "which"), [(signal.SIGTERM, 1), (signal.SIGINT, 0)]
)
def test_told_to_stop_one_process_both_save_and_go_on(
  number, which, jobs, undisturbed, tmp_path
):
  """The signal reaches one process alone, as where one host is taken."""
  workdir = tmp_path / "stopped"
  flags = pairs.MESHES["train"]
  processes = pairs.start(jobs["train"], workdir, *flags)
  codes, said = pairs.interrupt(processes, workdir, number, [which])
  assert codes == [128 + number] * 2, "\n".join(s[-2000:] for s in said)
  saved = checkpoints.steps(workdir / "checkpoints" / "tiny")
  assert saved and saved[-1] < 3
  pairs.together(jobs["train"], workdir, *flags)
  assert kills.result(workdir) == kills.result(undisturbed("train")[0])


@pytest.mark.slow
def test_two_processes_train_as_eight_devices_do(jobs, undisturbed, tmp_path):
  pairs.alone(jobs["train"], tmp_path / "eight", 8, *pairs.MESHES["train"])
  for a, b in zip(
    _leaves(_weights(undisturbed("train")[0])),
    _leaves(_weights(tmp_path / "eight")),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("name", pairs.MESHES)
def test_both_killed_and_started_again_end_the_same_to_the_last_bit(
  name, jobs, undisturbed, tmp_path
):
  workdir = tmp_path / "killed"
  flags = pairs.MESHES[name]
  processes = pairs.start(jobs[name], workdir, *flags)
  codes, _ = pairs.interrupt(processes, workdir, signal.SIGKILL, [0, 1])
  assert codes == [-signal.SIGKILL] * 2
  pairs.together(jobs[name], workdir, *flags)
  wanted = undisturbed(name)[0]
  assert kills.result(workdir) == kills.result(wanted)
  for model in (wanted / "members").glob("*"):
    for a, b in zip(
      *(
        _leaves(model_files.load(w / "members" / model.name).variables)
        for w in (workdir, wanted)
      ),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_process_that_fails_is_missed_by_the_other(jobs, tmp_path):
  """The first may not work in the directory, which the second cannot know."""
  (tmp_path / "lock").touch()
  with (tmp_path / "lock").open("r+") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    begin = time.monotonic()
    codes, said = pairs.finish(
      pairs.start(jobs["train"], tmp_path, *pairs.MESHES["train"])
    )
  assert codes[0] == 2 and codes[1] != 0
  assert "works here; wait for it" in said[0]
  assert time.monotonic() - begin < 180


def test_processes_that_do_not_exist_are_refused(jobs, tmp_path):
  for address, words in (
    ("127.0.0.1", "legal: auto, or HOST:PORT/INDEX/COUNT"),
    ("127.0.0.1:1234/2/2", "legal: an index below 2"),
  ):
    process = pairs.start_one(
      jobs["train"], tmp_path, 1, f"--distributed={address}"
    )
    said, _ = process.communicate(timeout=pairs.TIMEOUT)
    assert process.returncode == 2
    assert words in said
