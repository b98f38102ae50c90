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
from fbnax.jobs.runtime.trees.unseen import HeldOut
from fbnax.report.tree_schema import (
  TreeAccuracies,
  UnseenClass,
  UnseenClasses,
)
from fbnax.training import loop, outputs
from fbnax.training.outputs import Outputs
from fbnax.training.recipes import Settings


def measure(
  network: Any, prepared: Settings, images: loop.Feed, hierarchy: nbdt.Hierarchy
) -> tuple[Outputs, TreeAccuracies]:
  """What a network says of images, and how right it and its tree are.

  Args:
    network: a `module` with its `variables`.
    prepared: how images are prepared for it.
    images: `N` of the `K` classes, with labels.
    hierarchy: over the `K` classes.
  """
  said = outputs.of_split(network.module, prepared, network.variables, images)
  return said, accuracies(said.logits, said.labels, hierarchy)


def accuracies(
  logits: Any, labels: Any, hierarchy: nbdt.Hierarchy
) -> TreeAccuracies:
  """Shares that are right, and log-losses in nats.

  Args:
    logits: `f32[N, K]`.
    labels: `i32[N]`.
    hierarchy: over `K` classes.
  """
  z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32)
  return TreeAccuracies(
    **{k: float(v) for k, v in _accuracies(z, y, hierarchy).items()}
  )


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
  logits: Any, unseen: HeldOut, hierarchy: nbdt.Hierarchy
) -> UnseenClasses:
  """Whether images of unseen classes are given their superclass: Table 5.6.

  Args:
    logits: of the images of unseen classes, over the seen ones, `f32[N, K]`.
    unseen: what they should be taken for.
    hierarchy: over the `K` seen classes.
  """
  z, kinds = jnp.asarray(logits, jnp.float32), unseen.of_seen
  divider = nbdt.divider(hierarchy, kinds)
  answers = {
    "plain": nbdt.plain_superclass(z, kinds),
    "plain_within": nbdt.plain_superclass(z, kinds, within=True),
    "tree": nbdt.tree_superclass(z, hierarchy, kinds),
    "plain_sum": nbdt.superclass_log_probs(z, None, kinds).argmax(-1),
    "tree_sum": nbdt.superclass_log_probs(z, hierarchy, kinds).argmax(-1),
  }
  right = {k: np.asarray(v) == unseen.of_images for k, v in answers.items()}
  rows = []
  for number, name in enumerate(unseen.classes):
    of_class = unseen.labels == number
    rows.append(
      UnseenClass(
        name=name,
        images=int(of_class.sum()),
        superclass=unseen.superclasses[int(unseen.of_images[of_class][0])],
        **{k: float(v[of_class].mean()) for k, v in right.items()},
      )
    )
  return UnseenClasses(
    images=len(unseen.of_images),
    node=None if divider is None else divider.node,
    classes=tuple(rows),
    **{k: float(v.mean()) for k, v in right.items()},
  )
