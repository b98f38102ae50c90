import functools

import jax
import numpy as np
import pytest

from fbnax import proxies
from tests.proxies import golden

MEASURES = (
  "grad_norm",
  "snip",
  "grasp",
  "fisher",
  "jacob_cov",
  "synflow",
  "naswot",
)
TOLERANCES = {"grasp": 1e-3}


@functools.cache
def scores(name):
  """The stored values of a golden network, and its scores here."""
  data = golden.load(name)
  images, labels = golden.batch(data)
  found = proxies.score(
    MEASURES,
    golden.NETWORKS[name](),
    golden.variables(name, data),
    images,
    labels,
    jax.random.key(0),
  )
  return data, found


@pytest.mark.parametrize("name", golden.NETWORKS)
def test_the_rebuilt_network_is_the_golden_one(name):
  data = golden.load(name)
  logits, _ = golden.NETWORKS[name]().apply(
    golden.variables(name, data),
    golden.batch(data)[0],
    train=True,
    mutable=["batch_stats"],
  )
  np.testing.assert_allclose(logits, data["logits64"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", golden.NETWORKS)
@pytest.mark.parametrize("measure", MEASURES)
def test_scores_are_the_original_programs(name, measure):
  data, found = scores(name)
  key = "score/naswot" if measure == "naswot" else f"score64/{measure}"
  np.testing.assert_allclose(
    found[measure], data[key], rtol=TOLERANCES.get(measure, 1e-4)
  )
