"""Any classifier as a decision tree, in one call.

`wrap(f, weights)` takes whatever gives logits for images: a jitted Flax module,
a PyTorch model behind a function that returns NumPy, a table of logits.

Symbols: `N` samples, standing for any leading dimensions (the pixels of a
segmentation), `K` classes, `D` features, `V` nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.nbdt.explaining import PathDecision, explain
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.induce import induce
from fbnax.nbdt.inference import hard_predict, path_log_probs, soft_predict
from fbnax.nbdt.naming import all_names, distinct_names


@dataclasses.dataclass(frozen=True)
class TreeClassifier:
  """A classifier that predicts by a hierarchy's decisions; made by `wrap`.

  Attributes:
    classifier: images to logits `f32[N, K]`.
    hierarchy: over `K` classes.
    names: of the classes, then of the inner nodes, `V` of them.
  """

  classifier: Callable[..., Any]
  hierarchy: Hierarchy
  names: tuple[str, ...]

  def logits(self, images: Any) -> jax.Array:
    """What the classifier itself says, `f32[N, K]`."""
    return jnp.asarray(self.classifier(images))

  def __call__(self, images: Any) -> jax.Array:
    """Log path probabilities of the classes, `f32[N, K]`: equation 5.1.

    Raises:
      ValueError: the logits are of another number of classes.
    """
    return path_log_probs(self.logits(images), self.hierarchy)

  def predict(self, images: Any, *, hard: bool = False) -> jax.Array:
    """Classes `i32[N]`, by path probabilities or by one decision at a time.

    Raises:
      ValueError: as calling it.
    """
    rule = hard_predict if hard else soft_predict
    return rule(self.logits(images), self.hierarchy)

  def explain(
    self, images: Any, classes: Any = None
  ) -> list[list[PathDecision]]:
    """The decisions that lead to a class, one list for each sample.

    Args:
      images: what the classifier takes.
      classes: where the paths end, `i32[N]`; the soft predictions by default.

    Returns:
      As `fbnax.nbdt.explain`; samples in row-major order.

    Raises:
      ValueError: as calling it, or classes of another shape.
    """
    logits = self.logits(images)
    if classes is None:
      classes = soft_predict(logits, self.hierarchy)
    if np.shape(classes) != logits.shape[:-1]:
      raise ValueError(
        f"classes has shape {np.shape(classes)}; legal: {logits.shape[:-1]}, "
        f"as the logits without their last dimension"
      )
    rows = np.asarray(logits, np.float32).reshape(-1, logits.shape[-1])
    ends = np.ravel(np.asarray(classes)).tolist()
    return [
      explain(row, self.hierarchy, self.names, label=end)
      for row, end in zip(rows, ends, strict=True)
    ]


def wrap(
  classifier: Callable[..., Any],
  tree: Any,
  class_names: Sequence[str] | None = None,
  **induced: Any,
) -> TreeClassifier:
  """Makes a classifier a decision tree.

  Args:
    classifier: any function of images that returns logits `f32[N, K]`.
    tree: a hierarchy over `K` classes, or the weights of the classifier's last
      layer, `[K, D]`, which induce one.
    class_names: of the classes; the hierarchy's labels, or numbers, by default.
      Those that repeat get their class's number behind.
    **induced: further arguments of `induce`, where weights are given.

  Raises:
    ValueError: the weights induce no hierarchy, or the names are of another
      number of classes.
  """
  if not callable(classifier):
    raise ValueError(
      f"classifier is {classifier!r}; legal: a function of images that returns "
      f"logits"
    )
  if isinstance(tree, Hierarchy):
    if induced:
      raise ValueError(f"{sorted(induced)} are of induce; legal with weights")
    hierarchy = tree
  else:
    hierarchy = induce(tree, **induced)
  if class_names is not None:
    class_names = distinct_names(class_names)
  return TreeClassifier(
    classifier, hierarchy, all_names(hierarchy, class_names)
  )
