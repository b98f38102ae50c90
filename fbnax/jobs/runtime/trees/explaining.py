"""Explains a tree: the accuracy of its decisions, and pictures of it.

Its files are `hierarchy.json`, the page to click through and the drawing.

Symbols: `N` images, `K` classes, `V` nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax import data, nbdt
from fbnax.base import files
from fbnax.nbdt.naming import leaf_counts
from fbnax.report.tree_schema import TreeNode, TreePictures
from fbnax.training.outputs import Outputs

HIERARCHY, PAGE, DRAWING = "hierarchy.json", "tree.html", "tree.svg"
# Samples in the page: as many right ones as wrong ones where there are.
_SAMPLES = 60


class Seen(NamedTuple):
  """A classifier's outputs on images of the classes it knows.

  Attributes:
    logits: `f32[N, K]`.
    labels: `i32[N]`, or None.
    images: `u8[N, H, W, C]`, or None.
    features: `f32[N, D]`, or None.
  """

  logits: np.ndarray
  labels: np.ndarray | None
  images: np.ndarray | None
  features: np.ndarray | None = None


def with_images(said: Outputs, dataset: data.Dataset) -> Seen:
  """Outputs with the test images, where these are in memory and may be shown.

  Args:
    said: of the test images.
    dataset: whose they are.
  """
  split = dataset.test
  images = None
  if dataset.pictures and isinstance(split, data.Split):
    images = split.images
  if images is not None and images.shape[-1] not in (1, 3):
    images = images[..., :3]
  return Seen(said.logits, said.labels, images, said.features)


def nodes(seen: Seen, hierarchy: nbdt.Hierarchy) -> tuple[TreeNode, ...]:
  """Inner nodes with the accuracy of their decisions, None without labels."""
  labels, counts = names(hierarchy), leaf_counts(hierarchy)
  accuracy = visits = [None] * hierarchy.num_nodes
  if seen.labels is not None:
    measured = nbdt.node_accuracy(
      jnp.asarray(seen.logits), jnp.asarray(seen.labels), hierarchy
    )
    accuracy = np.asarray(measured.accuracy, np.float64).tolist()
    visits = np.asarray(measured.visits).tolist()
  return tuple(
    TreeNode(
      node=node,
      name=labels[node],
      children=tuple(below),
      classes=int(counts[node]),
      accuracy=accuracy[node],
      visits=visits[node],
    )
    for node, below in enumerate(hierarchy.children, hierarchy.num_classes)
  )


def draw(
  folder: Path,
  hierarchy: nbdt.Hierarchy,
  title: str,
  seen: Seen | None = None,
  nodes: Sequence[TreeNode] = (),
) -> TreePictures:
  """Writes `hierarchy.json`, `tree.html` and `tree.svg`.

  Args:
    folder: where to.
    hierarchy: over `K` classes, named.
    title: of the page.
    seen: a classifier's outputs, of which some samples are shown.
    nodes: accuracy and visits of inner nodes, as `nodes` has them.

  Returns:
    The files to look at.
  """
  folder.mkdir(parents=True, exist_ok=True)
  hierarchy.save(folder / HIERARCHY)
  accuracy: list[Any] = [None] * hierarchy.num_nodes
  visits: list[Any] = [None] * hierarchy.num_nodes
  for row in nodes:
    accuracy[row.node], visits[row.node] = row.accuracy, row.visits
  labelled = seen is not None and seen.labels is not None
  if seen is not None and seen.labels is not None:
    counts = np.bincount(seen.labels, minlength=hierarchy.num_classes)
    visits[: hierarchy.num_classes] = counts.tolist()
  leaves = None
  if seen is not None:
    leaves = _leaf_images(seen, hierarchy.num_classes)
  page = nbdt.tree_page(
    hierarchy,
    title=title,
    samples=None if seen is None else _samples(seen, hierarchy),
    leaf_images=leaves,
    node_accuracy=accuracy if labelled else None,
    node_visits=visits if labelled else None,
  )
  files.write_atomically(folder / PAGE, page)
  notes = [
    "" if a is None or not np.isfinite(a) else f"{_percent(a)} right"
    for a in accuracy
  ]
  drawn = nbdt.tree_svg(
    hierarchy,
    node_notes=notes if labelled else None,
    leaf_images=leaves,
    # Several stand in one report.
    name=f"tree-{folder.name}",
  )
  files.write_atomically(folder / DRAWING, drawn)
  return TreePictures(PAGE, DRAWING)


def _percent(share: float) -> str:
  """Of all exactly `100%`, which `100.0%` might be rounded to."""
  return "100%" if share == 1.0 else f"{100 * share:.1f}%"


def _samples(seen: Seen, hierarchy: nbdt.Hierarchy) -> Any:
  """Some samples, wrong ones among them, in the order of the split."""
  count = len(seen.logits)
  chosen = np.arange(count)
  if count > _SAMPLES:
    random = np.random.default_rng(0)
    order = random.permutation(count)
    if seen.labels is not None:
      right = np.asarray(
        nbdt.soft_predict(jnp.asarray(seen.logits), hierarchy)
      )[order]
      wrong = order[right != seen.labels[order]][: _SAMPLES // 2]
      order = np.concatenate([wrong, order[~np.isin(order, wrong)]])
    chosen = np.sort(order[:_SAMPLES])
  return nbdt.Samples(
    None if seen.images is None else seen.images[chosen],
    seen.logits[chosen],
    None if seen.labels is None else seen.labels[chosen],
  )


def _leaf_images(
  seen: Seen, classes: int
) -> Sequence[np.ndarray | None] | None:
  """The image of each class that the classifier is surest of; None if none."""
  if seen.images is None or seen.labels is None:
    return None
  z = seen.logits - seen.logits.max(1, keepdims=True)
  sure = z - np.log(np.exp(z).sum(1, keepdims=True))
  surest: list[np.ndarray | None] = []
  for k in range(classes):
    of_class = np.flatnonzero(seen.labels == k)
    best = None
    if len(of_class):
      best = seen.images[of_class[np.argmax(sure[of_class, k])]]
    surest.append(best)
  return surest


def names(hierarchy: nbdt.Hierarchy) -> tuple[str, ...]:
  """Labels of all nodes, their numbers where there are none."""
  return hierarchy.labels or tuple(map(str, range(hierarchy.num_nodes)))
