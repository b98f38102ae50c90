"""How right a tree is: by soft and by hard inference, and on unseen classes.

Beside the plain network, on the test images of the classes that it was trained
on; and on images of classes that were held out of training (`unseen`), which
should be given their superclass.

Symbols: `N` images, `K` classes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import nbdt
from fbnax.jobs.runtime.trees.unseen import Unseen
from fbnax.training import loop, outputs
from fbnax.training.outputs import Outputs
from fbnax.training.recipes import Settings


def measure(
  network: Any, prepared: Settings, images: loop.Feed, hierarchy: nbdt.Hierarchy
) -> tuple[Outputs, dict[str, float]]:
  """What a network says of images, and how right it and its tree are.

  Args:
    network: a `module` with its `variables`.
    prepared: how images are prepared for it.
    images: `N` of the `K` classes, with labels.
    hierarchy: over the `K` classes.
  """
  said = outputs.of_split(network.module, prepared, network.variables, images)
  return said, accuracies(said.logits, said.labels, hierarchy)


def by_inference(measured: dict[str, float]) -> dict[str, float]:
  """`network_accuracy`, `soft_accuracy` and `hard_accuracy` of `accuracies`."""
  return {f"{k}_accuracy": measured[k] for k in ("network", "soft", "hard")}


def accuracies(
  logits: Any, labels: Any, hierarchy: nbdt.Hierarchy
) -> dict[str, float]:
  """Shares that are right, and log-losses in nats.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`.
    hierarchy: over `K` classes.

  Returns:
    `network`, `soft` and `hard`: accuracy of the plain network, of the soft and
    of the hard tree; `agree`, the share of images on which the soft tree and
    the network say the same; `network_log_loss` and `tree_log_loss`.
  """
  z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32)
  return {k: float(v) for k, v in _accuracies(z, y, hierarchy).items()}


@jax.jit
def _accuracies(
  z: jax.Array, y: jax.Array, hierarchy: nbdt.Hierarchy
) -> dict[str, jax.Array]:
  plain = jnp.argmax(z, -1)
  soft = nbdt.soft_predict(z, hierarchy)
  hard = nbdt.hard_predict(z, hierarchy)
  picked = jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1)
  return {
    "network": (plain == y).mean(),
    "soft": (soft == y).mean(),
    "hard": (hard == y).mean(),
    "agree": (plain == soft).mean(),
    "network_log_loss": -picked.mean(),
    "tree_log_loss": nbdt.soft_tree_loss(z, y, hierarchy),
  }


def superclasses(
  logits: Any, unseen: Unseen, hierarchy: nbdt.Hierarchy
) -> dict[str, Any]:
  """Whether images of unseen classes are given their superclass: Table 5.6.

  Args:
    logits: of the images of unseen classes, over the seen ones, `f32[N, K]`.
    unseen: what they should be taken for.
    hierarchy: over the `K` seen classes.

  Returns:
    `plain`: accuracy of the superclass of the network's prediction; `tree`: of
    the tree's; `plain_sum` and `tree_sum`: of the superclass with the largest
    summed probability; `node`: that tells the superclasses apart, or None; and
    the same for each unseen class under `classes`, with its `name`.
  """
  z = jnp.asarray(logits, jnp.float32)
  divider = nbdt.divider(hierarchy, unseen.of_seen)
  answers = {
    "plain": nbdt.plain_superclass(z, unseen.of_seen),
    "tree": nbdt.tree_superclass(z, hierarchy, unseen.of_seen),
    "plain_sum": nbdt.superclass_log_probs(z, None, unseen.of_seen).argmax(-1),
    "tree_sum": nbdt.superclass_log_probs(z, hierarchy, unseen.of_seen).argmax(
      -1
    ),
  }
  right = {k: np.asarray(v) == unseen.of_images for k, v in answers.items()}
  rows = []
  for number, name in enumerate(unseen.classes):
    mine = unseen.labels == number
    rows.append(
      {
        "name": name,
        "images": int(mine.sum()),
        "superclass": unseen.superclasses[int(unseen.of_images[mine][0])],
        **{k: float(v[mine].mean()) for k, v in right.items()},
      }
    )
  return {
    "images": len(unseen.of_images),
    **{k: float(v.mean()) for k, v in right.items()},
    "node": None if divider is None else divider.node,
    "classes": rows,
  }
