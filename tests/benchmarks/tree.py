"""Tree inference, losses and induced hierarchies: seconds on one device.

  python -m tests.benchmarks.tree [--json=FILE] [--quick]

10,000 x 1,000 logits on the published ImageNet hierarchy, or on one induced
from random weights where that is not at hand, and clustering of 10,000 classes.
The peers: of probabilities, NumPy node by node, a softmax that is added to all
classes under each child, as the original program of NBDT does it; of
clustering, scikit-learn, which that program calls. Probabilities are checked
against products over paths; a wrong result fails.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from sklearn.cluster import AgglomerativeClustering

from fbnax import nbdt
from tests.benchmarks import measuring
from tests.nbdt import trees

SAMPLES, CLASSES, MANY = 10_000, 1000, 10_000
RUNS = 7
RECHECKED = 4


def published(classes: int) -> nbdt.Hierarchy:
  """The ImageNet hierarchy, or one like it."""
  path = trees.DATA / "imagenet1000_induced_efficientnet_b7b.json"
  if classes == CLASSES and path.exists():
    return nbdt.Hierarchy.load(path, trees.DATA / "wnids_imagenet1000.txt")
  return nbdt.induce(np.random.default_rng(0).normal(size=(classes, 64)))


def functions(labels: jax.Array, depth: int) -> dict:
  """What is timed, by name."""

  def backward(loss):
    return lambda z, tree: jax.value_and_grad(loss)(z, labels, tree)

  return {
    "path_log_probs": nbdt.path_log_probs,
    "soft_predict": nbdt.soft_predict,
    "hard_predict": nbdt.hard_predict,
    "soft loss and gradient": backward(nbdt.soft_tree_loss),
    "original soft loss and gradient": backward(nbdt.original_soft_tree_loss),
    "decisions": lambda z, tree: nbdt.decisions(z, tree, max_depth=depth),
  }


def node_by_node(logits: np.ndarray, tree: nbdt.Hierarchy) -> np.ndarray:
  """Log probabilities of all classes: the peer, in the layout that suits it.

  Args:
    logits: `f32[K, N]`, so that a class is a contiguous row.
    tree: of `K` classes.
  """
  inner = {tree.num_classes + i: c for i, c in enumerate(tree.children)}

  @functools.cache
  def under(node: int) -> tuple[int, ...]:
    if node not in inner:
      return (node,)
    return tuple(leaf for child in inner[node] for leaf in under(child))

  found = np.zeros_like(logits)
  for children in inner.values():
    rows = [list(under(child)) for child in children]
    means = np.stack([logits[r].mean(0) for r in rows])
    means -= means.max(0)
    means -= np.log(np.exp(means).sum(0))
    for r, mean in zip(rows, means, strict=True):
      found[r] += mean
  return found


def check(logits: jax.Array, tree: nbdt.Hierarchy) -> tuple[float, float]:
  """The largest error of a few samples' log probabilities.

  Returns:
    It, and the seconds of the peer for all samples.
  """
  few = np.asarray(logits[:RECHECKED])
  wanted = trees.path_log_probs(few, tree.children, tree.num_classes)
  found = np.asarray(nbdt.path_log_probs(logits, tree))
  np.testing.assert_allclose(found[:RECHECKED], wanted, atol=5e-5)
  np.testing.assert_allclose(np.exp(found).sum(-1), 1.0, atol=1e-4)
  columns = np.ascontiguousarray(np.asarray(logits).T)
  timing, theirs = measuring.timed(lambda _: node_by_node(columns, tree), 3)
  np.testing.assert_allclose(theirs.T, found, atol=1e-3)
  return float(np.abs(found[:RECHECKED] - wanted).max()), timing.median


def clustering(many: int) -> measuring.Row:
  """Seconds to induce a hierarchy of many classes."""
  weights = np.random.default_rng(1).normal(size=(many, 64))
  start = time.perf_counter()
  tree = nbdt.induce(weights)
  seconds = time.perf_counter() - start
  assert tree.num_nodes == 2 * many - 1
  start = time.perf_counter()
  AgglomerativeClustering(n_clusters=2, compute_full_tree=True).fit(weights)
  return measuring.Row(
    f"hierarchy induced from {many:,} classes",
    seconds,
    "s",
    peer="scikit-learn",
    peer_value=time.perf_counter() - start,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All functions of the tree, and clustering."""
  samples, classes = (50, 20) if given.quick else (SAMPLES, CLASSES)
  tree = published(classes)
  logits = 3.0 * jax.random.normal(jax.random.key(0), (samples, classes))
  labels = jax.random.randint(jax.random.key(1), (samples,), 0, classes)
  error, peer = check(logits, tree)
  for name, function in functions(labels, tree.depth).items():
    compiled = jax.jit(function)
    timing, _ = measuring.timed(
      lambda _, compiled=compiled: compiled(logits, tree), RUNS
    )
    rest: dict[str, Any] = {}
    if name == "path_log_probs":
      rest = {
        "peer": "NumPy node by node",
        "peer_value": peer,
        "notes": f"largest error {error:.1e}",
      }
    yield measuring.seconds(
      f"tree, {samples:,} x {classes:,}: {name}",
      timing,
      main=name in ("path_log_probs", "soft loss and gradient"),
      **rest,
    )
  yield clustering(100 if given.quick else MANY)


if __name__ == "__main__":
  measuring.main(run, __doc__)
