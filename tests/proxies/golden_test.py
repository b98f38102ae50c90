"""Scores against the original programs' own, of plain modules as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import proxies
from fbnax.proxies import zen
from fbnax.proxies.probe import Probe
from tests.proxies import golden

NAMES = (
  "grad_norm",
  "snip",
  "grasp",
  "fisher",
  "jacob_cov",
  "naswot",
  "synflow",
  "log_synflow",
)


@pytest.fixture(scope="module", params=list(golden.NETWORKS))
def network(request):
  data = golden.load(request.param)
  module = golden.NETWORKS[request.param]()
  return data, module, golden.variables(request.param, data)


def test_scores(network):
  data, module, variables = network
  images, labels = golden.batch(data)
  found = proxies.score(
    NAMES, module, variables, images, labels, jax.random.key(0)
  )
  assert tuple(found) == NAMES
  wanted = {
    k.split("/")[1]: v for k, v in data.items() if k.startswith("score64/")
  }
  wanted["naswot"] = data["score/naswot"]
  wanted["log_synflow"] = np.log(data["score64/synflow"])
  for name in NAMES:
    tolerance = 1e-3 if name == "grasp" else 1e-4
    assert found[name] == pytest.approx(wanted[name], rel=tolerance), name
  # What is computed in float64 is far closer.
  assert found["synflow"] == pytest.approx(wanted["synflow"], rel=1e-12)


def probe_of(network, names=()):
  data, module, variables = network
  images, labels = golden.batch(data)

  forward = golden.forward_of(module)
  return Probe(
    forward, variables, images, labels, jax.random.key(0), names
  ), data


def test_kernel_matrix_is_exact(network):
  probe, data = probe_of(network)
  measure = proxies.PROXIES["naswot"].measure
  np.testing.assert_array_equal(
    jax.jit(lambda: measure(probe))(), data["naswot_K"]
  )


def test_zen_with_the_given_noise(network):
  probe, data = probe_of(network)
  noise = jnp.asarray(data["zen_noise"].transpose(0, 2, 3, 1))
  change, deviations = jax.jit(lambda n: zen.parts(probe, n))(noise)
  assert change == pytest.approx(data["zen_log_delta"], rel=1e-4)
  assert deviations == pytest.approx(data["zen_log_bn"].sum(), rel=1e-4)
  assert change + deviations == pytest.approx(data["score64/zen"], rel=1e-4)


def test_counts(network):
  data, module, variables = network
  images, labels = golden.batch(data)
  found = proxies.score(
    ("params", "macs"), module, variables, images, labels, jax.random.key(0)
  )
  stored = [v for k, v in data.items() if k.startswith("w/")]
  assert found["params"] == sum(v.size for v in stored)
  if isinstance(module, golden.Plain):
    assert found["macs"] == (
      256 * 9 * 3 * 8 + 64 * 9 * 8 * 16 + 64 * 9 * 16 * 16 + 160
    )
