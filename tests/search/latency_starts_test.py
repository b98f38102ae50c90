"""What is known before much is measured, against what networks really cost."""

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.search.latency import starts as latency_starts

SPACE = spaces.get("fbnet_cifar")
NASBENCH = spaces.get("nasbench201")


@pytest.fixture(scope="module")
def genotypes():
  return np.asarray(SPACE.sample(jax.random.key(0), 60))


def test_what_is_counted(genotypes):
  found = latency_starts.counted(SPACE, genotypes)
  assert found.shape == (60, len(latency_starts.COUNTED))
  for genotype, row in zip(genotypes[:3], found, strict=False):
    network = SPACE.architecture(genotype)
    np.testing.assert_allclose(row[:2], costs.count(network), rtol=1e-6)
    # Each part holds at least its input and output, the peak is one of them.
    assert row[2] > costs.peak_memory(network)
    skips = sum(block.op == "skip" for block in network.blocks)
    # The stem and the head are called, too.
    assert len(network.blocks) - skips + 2 <= row[3] <= len(network.blocks) + 2


def test_weights_are_not_negative_and_found_again(genotypes):
  counts = latency_starts.counted(SPACE, genotypes)
  latency = 2.0 + counts[:, 0] * 1e-6 + counts[:, 3] * 0.1
  predict, shares = latency_starts.start(
    SPACE, genotypes[:20], latency[:20], {}
  )
  np.testing.assert_allclose(predict(genotypes), latency, rtol=1e-4)
  assert shares["MACs"] == pytest.approx(
    np.mean(counts[:20, 0]) * 1e-6 / latency[:20].mean(), rel=1e-2
  )
  assert all(share > 0 for share in shares.values())
  # A device that is the slower the faster another is learns nothing of it.
  _, shares = latency_starts.start(
    SPACE, genotypes, latency, {"odd": lambda g: 1e3 / predict(g)}
  )
  assert shares.get("odd", 0.0) < 1e-6


def test_constant_latency_is_a_constant(genotypes):
  predict, shares = latency_starts.start(
    SPACE, genotypes[:5], np.full(5, 4), {}
  )
  np.testing.assert_allclose(predict(genotypes), 4.0, rtol=1e-6)
  assert sum(shares.values()) < 1e-6


def test_cells_are_counted_without_parts():
  genotypes = np.asarray(NASBENCH.sample(jax.random.key(0), 5))
  assert not latency_starts.has_parts(NASBENCH)
  assert latency_starts.counted(NASBENCH, genotypes).shape == (5, 2)
