"""Losses of classification.

Symbols: `B` images, `K` classes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def smooth_labels(
  labels: jax.Array, num_classes: int, smoothing: float
) -> jax.Array:
  """`i32[B]` to target probabilities `f32[B, K]`."""
  hot = jax.nn.one_hot(labels, num_classes)
  return hot * (1.0 - smoothing) + smoothing / num_classes


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Mean cross entropy of logits and target probabilities, both `f32[B, K]`."""
  return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()


def distillation(
  logits: jax.Array,
  targets: jax.Array,
  teacher_logits: jax.Array,
  weight: float | jax.Array,
) -> jax.Array:
  """`weight` of the teacher's cross entropy, the rest of the labels'.

  Args:
    logits: the student's, `f32[B, K]`.
    targets: target probabilities, `f32[B, K]`.
    teacher_logits: `f32[B, K]`.
    weight: 0.8 in Wan 2022.
  """
  soft = jax.nn.softmax(teacher_logits)
  return weight * cross_entropy(logits, soft) + (1.0 - weight) * cross_entropy(
    logits, targets
  )


def count_correct(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """1 where the largest logit is the label's, `f32[B]`."""
  return (jnp.argmax(logits, -1) == labels).astype(jnp.float32)
