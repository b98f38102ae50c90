"""Why a class was chosen: the decisions on its path, as data and as text.

Symbols: `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.base.names import escaped
from fbnax.nbdt import inference
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.naming import all_names


class Option(NamedTuple):
  """A child of a node, its name, and its probability given the node."""

  node: int
  name: str
  probability: float


class PathDecision(NamedTuple):
  """A node on a path, its children, and the place among them that was taken.

  `reached` is the probability of all decisions before it.
  """

  node: int
  name: str
  reached: float
  options: tuple[Option, ...]
  taken: int

  @property
  def chosen(self) -> Option:
    """The child on the path."""
    return self.options[self.taken]


def explain(
  logits: Any,
  hierarchy: Hierarchy,
  names: Sequence[str] | None = None,
  *,
  label: int | None = None,
) -> list[PathDecision]:
  """The decisions from the root to a class, for one sample.

  Args:
    logits: `f32[K]`.
    hierarchy: over `K` classes.
    names: of the `K` classes or of all `V` nodes; by default the hierarchy's
      labels, else classes by number and nodes by their leaves.
    label: the class; by default the one whose path is the likeliest.

  Returns:
    One decision per inner node of the path. Nodes with one child are left out:
    nothing is decided there.

  Raises:
    ValueError: logits of another shape or not finite, another number of names,
      or no such class.
  """
  logits = np.asarray(logits, np.float32)
  if logits.shape != (hierarchy.num_classes,):
    raise ValueError(
      f"logits has shape {logits.shape}; legal: [{hierarchy.num_classes}], of "
      f"one sample and as many classes as the hierarchy has"
    )
  if not np.isfinite(logits).all():
    raise ValueError("logits are not finite; legal: finite numbers")
  if label is None:
    label = int(inference.soft_predict(jnp.asarray(logits), hierarchy))
  if not 0 <= label < hierarchy.num_classes:
    raise ValueError(
      f"label is {label}; legal: 0 to {hierarchy.num_classes - 1}"
    )
  words = all_names(hierarchy, names)
  steps = inference.decision_log_probs(jnp.asarray(logits), hierarchy)
  probabilities = np.exp(np.asarray(steps, np.float64))
  children = hierarchy.children
  path = hierarchy.path(label)
  decisions, reached = [], 1.0
  for node, child in pairwise(path):
    below = children[node - hierarchy.num_classes]
    if len(below) > 1:
      options = tuple(
        Option(n, words[n], float(probabilities[n])) for n in below
      )
      decisions.append(
        PathDecision(node, words[node], reached, options, below.index(child))
      )
      reached *= float(probabilities[child])
  return decisions


def describe(decisions: Sequence[PathDecision]) -> str:
  """Decisions as text: the path and its probability, then each in a line.

  Args:
    decisions: as `explain` gives them, at least one.

  Returns:
    Lines without an end of line at the end.

  Raises:
    ValueError: there are none.
  """
  if not decisions:
    raise ValueError("decisions is empty; legal: as explain gives them")
  last = decisions[-1]
  total = last.reached * last.chosen.probability
  lines = [f"{escaped(last.chosen.name)}: {total:.1%}"]
  for step in decisions:
    options = sorted(step.options, key=lambda o: -o.probability)
    others = [o for o in options if o.node != step.chosen.node]
    against = ", ".join(_said(o) for o in others[:3])
    more = f", {len(others) - 3} more" if len(others) > 3 else ""
    lines.append(
      f"  {escaped(step.name)}: {_said(step.chosen)} rather than"
      f" {against}{more}"
    )
  return "\n".join(lines)


def _said(option: Option) -> str:
  return f"{escaped(option.name)} {option.probability:.1%}"
