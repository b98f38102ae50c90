"""A job on a file system that is too small says so, and goes on in a larger.

    python -m pytest -n 0 -m slow tests/faults/full_disk_test.py

The small file system is one in memory, which root alone may mount.
"""

import os
import subprocess

import pytest

from tests.faults import kills, pairs


def _mount(folder, options):
  return subprocess.run(
    ["mount", "-t", "tmpfs", "-o", options, "fbnax", folder],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture
def small(tmp_path):
  """A file system of 192 KiB, and a function that makes it larger."""
  folder = tmp_path / "small"
  folder.mkdir()
  if os.name != "posix" or os.geteuid() != 0:
    pytest.skip("only root may mount a file system")
  done = _mount(folder, "size=192k")
  if done.returncode != 0:
    pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
  try:
    yield folder, lambda size: _mount(folder, f"remount,size={size}")
  finally:
    subprocess.run(["umount", folder], check=True)


def _run(job, workdir):
  """Exit code, and what it said."""
  codes, said = pairs.finish([pairs.start_one(job, workdir, 1)])
  return codes[0], said[0]


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_nothing(small, tmp_path):
  folder, enlarge = small
  job = pairs.jobs(tmp_path)["train"]
  code, said = _run(job, folder / "run")
  assert code == 2, said[-2000:]
  last = said.strip().splitlines()[-1]
  assert last.startswith("error: "), last
  assert str(folder / "run") in last and "No space left" in last
  assert "Traceback" not in said
  assert enlarge("64m").returncode == 0
  code, said = _run(job, folder / "run")
  assert code == 0, said[-2000:]
  pairs.alone(job, tmp_path / "undisturbed", 1)
  assert kills.result(folder / "run") == kills.result(tmp_path / "undisturbed")
