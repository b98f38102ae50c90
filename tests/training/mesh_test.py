"""Meshes: eight made-up devices beside one, and what does not fit them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from fbnax.training import mesh

ROOT = Path(__file__).parents[2]


def _apart(*names):
  """What `tests.training.meshes` prints."""
  flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
  done = subprocess.run(
    [sys.executable, "-m", "tests.training.meshes", *names],
    cwd=ROOT,
    env=os.environ | flags,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def eight():
  return _apart("network", "population", "search", "other recipe")


def test_eight_devices_train_and_search_as_one_does(eight):
  apart = dict(eight["apart"])
  assert apart.pop("other recipe") > 0.1  # The measure tells things apart.
  for case, value in apart.items():
    assert value < 1e-4, f"{case}: {value}"


@pytest.mark.slow
def test_streams_and_batches_in_parts_too():
  names = "streamed", "accumulated", "streamed search", "shared"
  for case, value in _apart(*names)["apart"].items():
    assert value < 1e-4, f"{case}: {value}"


def test_the_devices_of_a_batch_sum_together(eight):
  on_eight, on_one = eight["sums"]
  assert on_eight > 0
  assert on_one == 0


def test_one_device_is_no_mesh():
  assert mesh.make() is None
  assert mesh.make(0) is None  # The tests' processes have one device.
  tree = {"x": np.arange(3)}
  assert mesh.put(None, tree, mesh.DATA) is tree
  assert mesh.local(None, tree) is tree
  assert mesh.spread(None, tree) is tree
  assert mesh.rows(None, 8) is None
  assert mesh.size(None, mesh.DATA) == 1


@pytest.mark.parametrize(
  ("data", "population", "words"),
  [
    (2, 1, "mesh.data is 2 and mesh.population 1, in all 2 devices; legal: at"),
    (-1, 1, "mesh.data is -1; legal: 0 or more"),
    (1, 0, "mesh.population is 0; legal: 1 or more"),
    (0, 3, "mesh.population is 3; legal: a divisor of 1 devices"),
  ],
)
def test_meshes_there_are_no_devices_for_are_refused(data, population, words):
  with pytest.raises(ValueError) as error:
    mesh.make(data, population)
  assert str(error.value).startswith(words)


def test_what_does_not_spread_evenly_is_refused():
  # One device thrice will do where nothing is computed.
  devices = np.asarray([[jax.devices()[0]] * 3])
  three = jax.sharding.Mesh(devices, (mesh.POPULATION, mesh.DATA))
  mesh.check(three, mesh.DATA, "training.batch_size", 9)
  with pytest.raises(ValueError) as error:
    mesh.check(three, mesh.DATA, "training.batch_size", 64)
  assert str(error.value) == (
    "training.batch_size is 64; legal: a multiple of mesh.data, 3"
  )
