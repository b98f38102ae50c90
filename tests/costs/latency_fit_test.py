"""Tables from whole networks, against tables that made their latencies."""

import os
import pathlib

import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.costs import LatencyTable, fit_table
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys

CIFAR = spaces.get("fbnet_cifar")
DATA = (
  pathlib.Path(os.environ["FBNAX_SHARED"])
  if "FBNAX_SHARED" in os.environ
  else pathlib.Path(__file__).parents[3] / "shared"
) / "data"


@pytest.fixture(scope="module")
def measured():
  path = DATA / "fbnet_latency_help.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  with np.load(path) as file:
    names = file["devices"].tolist()
    latency = dict(zip(names, file["latency_ms"], strict=True))
    return file["arch"].astype(np.int32), latency


def test_sums_that_a_table_made_are_found_again():
  space = spaces.get("small_dnas").fix(
    **{
      f"layer{i}.{name}": value
      for i, width in enumerate((16, 24, 24, 32, 32, 64, 64), start=1)
      for name, value in (("channels", width), ("expansion", 3.0))
      if (i, name) != (1, "expansion")
    }
  )
  random = np.random.default_rng(0)
  every = sorted(space_keys(space))
  times = random.random(len(every)).tolist()
  truth = LatencyTable(dict(zip(every, map(Entry, times), strict=True)))
  genotypes = np.asarray(space.sample(jax.random.key(0), 600))
  latency = [truth.latency(space.architecture(g)) for g in genotypes]
  found = fit_table(space, genotypes[:500], latency[:500], device="a phone")
  found.check(space)
  assert found.relative
  assert found.device == "a phone"
  np.testing.assert_allclose(
    found.batch(space, genotypes[500:]), latency[500:], rtol=1e-5
  )


def test_skips_are_what_others_are_compared_with(measured):
  genotypes, latency = measured
  found = fit_table(CIFAR, genotypes[:500], latency["pixel3"][:500])
  skips = [e.ms for key, e in found.entries.items() if key.op == "skip"]
  assert skips
  assert set(skips) == {0.0}
  assert found.const_parts == ("stem", "head")


# Median relative error and Spearman on the other 1,000 networks, by a plain
# regression on one-hot layers (scikit-learn), which is what can be had.
@pytest.mark.parametrize("device", ("titan_rtx_64", "pixel2"))
def test_measured_devices(measured, device):
  from scipy import stats
  from sklearn.linear_model import LinearRegression

  genotypes, every = measured
  latency = every[device]
  found = fit_table(CIFAR, genotypes[:4000], latency[:4000])
  sums = np.asarray(found.batch(CIFAR, genotypes[4000:]))
  truth = latency[4000:]
  one_hot = np.eye(9)[genotypes].reshape(len(genotypes), -1)
  plain = LinearRegression().fit(one_hot[:4000], latency[:4000])
  predicted = plain.predict(one_hot[4000:])

  def scores(values):
    error = np.median(np.abs(values - truth) / truth)
    return error, stats.spearmanr(values, truth).statistic

  # Layers of one geometry share their entries, which costs next to nothing.
  (error, rank), (plain_error, plain_rank) = scores(sums), scores(predicted)
  assert error < 1.1 * plain_error
  assert rank > plain_rank - 0.02
  if device == "titan_rtx_64":
    assert error < 0.005
    assert rank > 0.99


def test_keys_that_no_network_has_are_named(measured):
  genotypes, latency = measured
  with pytest.raises(ValueError, match=r"these .* keys of space 'fbnet_cifar'"):
    fit_table(CIFAR, genotypes[:3], latency["pixel3"][:3])


@pytest.mark.parametrize(
  ("genotypes", "latency", "message"),
  [
    (np.zeros((2, 22), int), [1.0], r"genotypes have shape \(2, 22\)"),
    (np.zeros((1, 21), int), [1.0], r"legal: \(n, 22\) and \(n,\)"),
    (np.zeros((0, 22), int), [], "n at least 1"),
    (np.zeros((2, 22), int), [1.0, np.nan], r"latency\[1\] is nan; legal"),
    (np.zeros((2, 22), int), [-1.0, 1.0], r"latency\[0\] is -1.0; legal"),
    (np.full((1, 22), 9), [1.0], r"genotypes\[0, 0\] is 9; legal: 0 to 8"),
  ],
)
def test_bad_measurements(genotypes, latency, message):
  with pytest.raises(ValueError, match=message):
    fit_table(CIFAR, genotypes, latency)
