"""Explains a tree: analyses as `result.json` has them, and pictures.

Analyses of its decisions on images, with or without labels (`analyse`); and its
files, `hierarchy.json`, the page to click through and the drawing (`draw`).

Symbols: `N` images, `K` classes, `V` nodes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image

from fbnax import data, nbdt
from fbnax.base import files
from fbnax.jobs.runtime.trees import measuring
from fbnax.jobs.runtime.trees.unseen import Unseen
from fbnax.training.outputs import Outputs

HIERARCHY, PAGE, DRAWING = "hierarchy.json", "tree.html", "tree.svg"

# Shown: ambiguous images, examples of a node, nodes that have examples.
_AMBIGUOUS, _EXAMPLES, _NODES = 12, 6, 16
_LARGEST = 96  # Pixels of a picture in the report.
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


def with_images(said: Outputs, split: data.AnySplit) -> Seen:
  """Outputs with the images of their split, where these are in memory."""
  images = split.images if isinstance(split, data.Split) else None
  if images is not None and images.shape[-1] not in (1, 3):
    images = images[..., :3]
  return Seen(said.logits, said.labels, images, said.features)


def described(hierarchy: nbdt.Hierarchy) -> dict[str, Any]:
  """The tree itself."""
  return {
    "num_classes": hierarchy.num_classes,
    "depth": hierarchy.depth,
    "children": hierarchy.children,
    "labels": list(hierarchy.labels or ()),
  }


def analyse(
  seen: Seen,
  hierarchy: nbdt.Hierarchy,
  weights: Any = None,
  unseen: Unseen | None = None,
  unseen_logits: Any = None,
) -> dict[str, Any]:
  """Accuracy by node, ambiguous images, traversals, examples, unseen classes.

  Args:
    seen: outputs on images of seen classes.
    hierarchy: over `K` classes, named.
    weights: of the last layer, `f32[K, D]`.
    unseen: images of held-out classes, or None.
    unseen_logits: on these, `f32[n, K]`.
  """
  analyses: dict[str, Any] = {
    "nodes": nodes(seen, hierarchy),
    "ambiguous": _ambiguous(seen, hierarchy),
    "examples": _examples(seen, hierarchy, weights),
    "traversals": _traversals(seen, hierarchy, unseen, unseen_logits),
    "unseen": None,
  }
  if unseen is not None:
    analyses["unseen"] = measuring.superclasses(
      unseen_logits, unseen, hierarchy
    )
    divider = nbdt.divider(hierarchy, unseen.of_seen)
    analyses["unseen"]["node_children"] = (
      None if divider is None else list(divider.children)
    )
  return analyses


def nodes(seen: Seen, hierarchy: nbdt.Hierarchy) -> list[dict[str, Any]]:
  """Inner nodes with the accuracy of their decisions, None without labels."""
  labels = hierarchy.labels or tuple(map(str, range(hierarchy.num_nodes)))
  accuracy = visits = [None] * hierarchy.num_nodes
  if seen.labels is not None:
    measured = nbdt.node_accuracy(
      jnp.asarray(seen.logits), jnp.asarray(seen.labels), hierarchy
    )
    accuracy = np.asarray(measured.accuracy, np.float64).tolist()
    visits = np.asarray(measured.visits).tolist()
  below, sizes = hierarchy.children, _sizes(hierarchy)
  return [
    {
      "node": node,
      "name": labels[node],
      "children": below[node - hierarchy.num_classes],
      "classes": int(sizes[node]),
      "accuracy": accuracy[node],
      "visits": visits[node],
    }
    for node in range(hierarchy.num_classes, hierarchy.num_nodes)
  ]


def error_detection(scores: Any, wrong: Any) -> float | None:
  """Probability that a wrong image has a larger score than a right one.

  Args:
    scores: `f32[N]`.
    wrong: `bool[N]`.

  Returns:
    The area under the ROC curve, ties counted half; None if all are alike.
  """
  scores, wrong = np.asarray(scores, np.float64), np.asarray(wrong, bool)
  count = int(wrong.sum())
  if not 0 < count < len(wrong):
    return None
  _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
  ranks = (np.cumsum(size) - (size - 1) / 2)[place]
  above = ranks[wrong].sum() - count * (count + 1) / 2
  return float(above / (count * (len(wrong) - count)))


def png(image: np.ndarray) -> str:
  """An image `u8[H, W, C]` as a PNG in base64."""
  if image.shape[-1] == 1:
    image = np.repeat(image, 3, -1)
  picture = Image.fromarray(np.ascontiguousarray(image[..., :3]))
  picture.thumbnail((_LARGEST, _LARGEST))
  buffer = io.BytesIO()
  picture.save(buffer, "PNG", optimize=True)
  return base64.b64encode(buffer.getvalue()).decode()


def _ambiguous(seen: Seen, hierarchy: nbdt.Hierarchy) -> dict[str, Any]:
  """The most ambiguous images by the tree, and by the plain network."""
  z = jnp.asarray(seen.logits)
  by_tree = np.asarray(nbdt.path_entropy(z, hierarchy))
  two = nbdt.top_two_entropy(z)
  by_network = np.asarray(two.confusion)
  tree_says = np.asarray(nbdt.soft_predict(z, hierarchy))
  network_says = np.asarray(z.argmax(-1))
  ambiguous: dict[str, Any] = {
    "by_tree": _listed(seen, hierarchy, by_tree, tree_says),
    "by_network": _listed(seen, hierarchy, by_network, network_says),
  }
  if seen.labels is not None:
    wrong = tree_says != seen.labels
    ambiguous["errors"] = {
      "tree": int(wrong.sum()),
      "path_entropy": error_detection(by_tree, wrong),
      "top_two_entropy": error_detection(
        two.between, network_says != seen.labels
      ),
      "confusion": error_detection(by_network, network_says != seen.labels),
    }
  return ambiguous


def _listed(
  seen: Seen, hierarchy: nbdt.Hierarchy, scores: np.ndarray, says: np.ndarray
) -> list[dict[str, Any]]:
  chosen = np.argsort(-scores, kind="stable")[:_AMBIGUOUS]
  steps = nbdt.decisions(
    jnp.asarray(seen.logits[chosen]), hierarchy, jnp.asarray(says[chosen])
  )
  names = hierarchy.labels or tuple(map(str, range(hierarchy.num_nodes)))
  rows = []
  for place, index in enumerate(chosen):
    path = [
      {"name": names[node], "probability": float(share)}
      for node, share in zip(
        np.asarray(steps.nodes)[place][1:],
        np.asarray(steps.probabilities)[place][1:],
        strict=True,
      )
      if node >= 0
    ]
    label = None if seen.labels is None else names[int(seen.labels[index])]
    rows.append(
      {
        "index": int(index),
        "label": label,
        "predicted": names[int(says[index])],
        "score": float(scores[index]),
        "path": path,
        "png": None if seen.images is None else png(seen.images[index]),
      }
    )
  return rows


def _examples(
  seen: Seen, hierarchy: nbdt.Hierarchy, weights: Any
) -> list[dict[str, Any]]:
  """Images most similar to the nodes of the most classes."""
  if seen.images is None:
    return []
  options = {}
  if seen.features is not None and weights is not None:
    options = {"features": seen.features, "weights": weights}
  similar = np.asarray(
    nbdt.similar_examples(
      jnp.asarray(seen.logits), hierarchy, _EXAMPLES, **options
    )
  )
  names = hierarchy.labels or tuple(map(str, range(hierarchy.num_nodes)))
  inner = range(hierarchy.num_classes, hierarchy.num_nodes)
  sizes = _sizes(hierarchy)
  largest = sorted(inner, key=lambda i: (-sizes[i], i))
  return [
    {
      "node": node,
      "name": names[node],
      "images": [
        {
          "index": int(i),
          "label": None if seen.labels is None else names[int(seen.labels[i])],
          "png": png(seen.images[i]),
        }
        for i in similar[node]
      ],
    }
    for node in largest[:_NODES]
  ]


def _traversals(
  seen: Seen,
  hierarchy: nbdt.Hierarchy,
  unseen: Unseen | None,
  unseen_logits: Any,
) -> dict[str, Any] | None:
  """Shares of each class's images that pass each node by hard decisions."""
  if seen.labels is None or hierarchy.num_nodes > 200:
    return None  # A table of that size shows nothing.
  names = hierarchy.labels or tuple(map(str, range(hierarchy.num_nodes)))
  groups: list[str] = list(names[: hierarchy.num_classes])
  logits: list[Any] = [seen.logits]
  numbers: list[Any] = [seen.labels]
  if unseen is not None:
    groups += unseen.classes
    logits.append(unseen_logits)
    numbers.append(unseen.labels + hierarchy.num_classes)
  ends = nbdt.hard_predict(jnp.asarray(np.concatenate(logits)), hierarchy)
  shares = nbdt.traversals(
    ends, hierarchy, jnp.asarray(np.concatenate(numbers)), len(groups)
  )
  order = _from_left(hierarchy)
  return {
    "groups": groups,
    "unseen": 0 if unseen is None else len(unseen.classes),
    "nodes": order,
    "shares": np.asarray(shares, np.float64)[:, order].tolist(),
  }


def _sizes(hierarchy: nbdt.Hierarchy) -> np.ndarray:
  """Classes under each node, `i32[V]`."""
  counts = np.asarray(hierarchy.merges.counts)
  return counts[np.asarray(hierarchy.rows)]


def _from_left(hierarchy: nbdt.Hierarchy) -> list[int]:
  """All nodes but the root, parents first, from left to right."""
  nodes: list[int] = []
  waiting: list[int] = [hierarchy.root]
  children = hierarchy.children
  while waiting:
    node = waiting.pop()
    nodes.append(node)
    if node >= hierarchy.num_classes:
      waiting.extend(reversed(children[node - hierarchy.num_classes]))
  return nodes[1:]


def draw(
  folder: Path,
  hierarchy: nbdt.Hierarchy,
  title: str,
  seen: Seen | None = None,
  nodes: list[dict[str, Any]] | None = None,
) -> dict[str, str]:
  """Writes `hierarchy.json`, `tree.html` and `tree.svg`.

  Args:
    folder: where to.
    hierarchy: over `K` classes, named.
    title: of the page.
    seen: a classifier's outputs, of which some samples are shown.
    nodes: accuracy and visits of inner nodes, as `nodes` has them.

  Returns:
    The files to look at, `page` and `drawing`.
  """
  folder.mkdir(parents=True, exist_ok=True)
  hierarchy.save(folder / HIERARCHY)
  accuracy: list[Any] = [None] * hierarchy.num_nodes
  visits: list[Any] = [None] * hierarchy.num_nodes
  for row in nodes or ():
    accuracy[row["node"]] = row["accuracy"]
    visits[row["node"]] = row["visits"]
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
  return {"page": PAGE, "drawing": DRAWING}


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
