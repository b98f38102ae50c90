"""Losses of classification.

Symbols: `B` images, `K` classes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def smooth_labels(
  labels: jax.Array,
  num_classes: int,
  smoothing: float,
  class_weights: tuple[float, ...] = (),
) -> jax.Array:
  """`i32[B]` to target probabilities `f32[B, K]`.

  With weights of the classes an image's targets are multiplied by the weight of
  its label, and so is every loss here, which is linear in the targets.
  """
  hot = jax.nn.one_hot(labels, num_classes)
  targets = hot * (1.0 - smoothing) + smoothing / num_classes
  if class_weights:
    targets *= jnp.asarray(class_weights, targets.dtype)[labels][:, None]
  return targets


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Mean cross entropy of logits and target probabilities, both `f32[B, K]`."""
  return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()


def distillation(
  logits: jax.Array,
  targets: jax.Array,
  teacher_logits: jax.Array,
  weight: float | jax.Array,
  *,
  weighted: bool = False,
) -> jax.Array:
  """`weight` of the teacher's cross entropy, the rest of the labels'.

  Args:
    logits: the student's, `f32[B, K]`.
    targets: target probabilities, `f32[B, K]`.
    teacher_logits: `f32[B, K]`.
    weight: 0.8 in Wan 2022.
    weighted: the targets of an image sum to its weight and not to 1, and it is
      to have this weight in the teacher's part, too.
  """
  soft = jax.nn.softmax(teacher_logits)
  if weighted:
    soft *= targets.sum(-1, keepdims=True)
  return weight * cross_entropy(logits, soft) + (1.0 - weight) * cross_entropy(
    logits, targets
  )


def count_correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """1 where the largest logit is the label's, `f32[B]`."""
  return (jnp.argmax(logits, -1) == labels).astype(jnp.float32)
