"""The files of a tree: itself, the page to click through, and its drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax import nbdt
from fbnax.base import files
from fbnax.jobs.runtime.trees import analyses as nbdt_analyses
from fbnax.jobs.runtime.trees.analyses import Seen

HIERARCHY, PAGE, DRAWING = "hierarchy.json", "tree.html", "tree.svg"
# Samples in the page: as many right ones as wrong ones where there are.
_SAMPLES = 60


def write(
  folder: Path,
  hierarchy: nbdt.Hierarchy,
  title: str,
  seen: Seen | None = None,
  nodes: list[dict[str, Any]] | None = None,
) -> None:
  """Writes `hierarchy.json`, `tree.html` and `tree.svg`.

  Args:
    folder: where to.
    hierarchy: over `K` classes, named.
    title: of the page.
    seen: a classifier's outputs, of which some samples are shown.
    nodes: accuracy and visits of inner nodes, as `nbdt_analyses` has them.
  """
  folder.mkdir(parents=True, exist_ok=True)
  hierarchy.save(folder / HIERARCHY)
  accuracy: list[Any] = [None] * hierarchy.num_nodes
  visits: list[Any] = [None] * hierarchy.num_nodes
  for row in nodes or ():
    accuracy[row["node"]] = row["accuracy"]
    visits[row["node"]] = row["visits"]
  known = seen is not None and seen.labels is not None
  if seen is not None and seen.labels is not None:
    counts = np.bincount(seen.labels, minlength=hierarchy.num_classes)
    visits[: hierarchy.num_classes] = counts.tolist()
  leaves = None
  if seen is not None:
    leaves = nbdt_analyses.leaf_images(seen, hierarchy.num_classes)
  page = nbdt.tree_page(
    hierarchy,
    title=title,
    samples=None if seen is None else _samples(seen, hierarchy),
    leaf_images=leaves,
    node_accuracy=accuracy if known else None,
    node_visits=visits if known else None,
  )
  files.write_atomically(folder / PAGE, page)
  notes = [
    "" if a is None or not np.isfinite(a) else f"{_percent(a)} right"
    for a in accuracy
  ]
  drawn = nbdt.tree_svg(
    hierarchy,
    node_notes=notes if known else None,
    leaf_images=leaves,
    # Several stand in one report.
    name=f"tree-{folder.name}",
  )
  files.write_atomically(folder / DRAWING, drawn)


def _percent(share: float) -> str:
  """Of all exactly `100%`, which `100.0%` might be rounded to."""
  return "100%" if share == 1.0 else f"{100 * share:.1f}%"


def listed(folder: Path) -> dict[str, str | None]:
  """Which of the files to look at there are, by what they are."""
  names = {"page": PAGE, "drawing": DRAWING}
  return {k: v if (folder / v).exists() else None for k, v in names.items()}


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
