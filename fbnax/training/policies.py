"""Applies AutoAugment and RandAugment to batches of images, on the device.

All draws of a batch are made at once, and every image gets sub-policies of its
own. What runs depends on the backend: on a CPU images go one after the other
and only the operation that was drawn is computed; on an accelerator they go
side by side and every kind of operation is computed for all of them, since
lanes cannot take different branches. Both give the same bits (tested). What
the policies are is in `fbnax.training.policy_tables`.

Symbols: `B` images, `H`, `W`, `C` their shape, `S` sub-policies, `L` operations
of each, `N` draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.training import image_ops, policy_tables
from fbnax.training.policy_tables import SIGNED, Policy

NAMES = ("autoaugment_imagenet", "autoaugment_cifar10", "randaugment")


def get(name: str, operations: int = 2, magnitude: float = 9.0) -> Policy:
  """A policy by its name.

  Args:
    name: one of `NAMES`.
    operations: of RandAugment for each image.
    magnitude: of RandAugment, from 0 to 10.

  Raises:
    ValueError: there is none of that name; the legal ones are given.
  """
  if name == "randaugment":
    return policy_tables.randaugment(operations, magnitude)
  if name not in NAMES:
    raise ValueError(f"policy is {name!r}; legal: {', '.join(NAMES)}")
  policy: Policy = getattr(policy_tables, name.upper())
  return policy


def apply(
  key: jax.Array,
  images: jax.Array,
  policy: Policy,
  *,
  side_by_side: bool | None = None,
) -> jax.Array:
  """Each image by sub-policies of its own.

  Args:
    key: random key.
    images: `u8[B, H, W, C]`.
    policy: what may happen to them.
    side_by_side: whether all images go at once; None for what suits the
      backend.

  Returns:
    `u8[B, H, W, C]`.

  Raises:
    ValueError: the policy names an operation that there is not, or the images
      are neither gray nor RGB; the legal ones are named.
  """
  if side_by_side is None:
    side_by_side = jax.default_backend() != "cpu"
  used = {_kind_of(o.name) for s in policy.sub_policies for o in s}
  # Number 0 is what becomes of an operation that is not applied.
  kinds = ["identity", *sorted(used - {"identity"})]
  table = _table(policy, kinds, *images.shape[1:3])
  count, length = table.kind.shape[:2]
  draws = jax.random.uniform(
    key, (images.shape[0], policy.draws, 1 + 2 * length)
  )
  chosen = jnp.minimum((draws[..., 0] * count).astype(jnp.int32), count - 1)
  tosses, signs = jnp.split(draws[..., 1:], 2, -1)
  side = (signs < 0.5).astype(jnp.int32)
  at = (chosen[..., None], jnp.arange(length), side)
  steps = jax.tree.map(lambda column: jnp.asarray(column)[at], table)
  applied = tosses < steps.probability
  steps = steps._replace(kind=jnp.where(applied, steps.kind, 0))
  # One sequence of N x L operations for each image.
  steps = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), steps)
  branches = [_KINDS[kind] for kind in kinds]

  def one(image: jax.Array, steps: _Steps) -> jax.Array:
    def body(image: jax.Array, step: _Steps) -> tuple[jax.Array, None]:
      return jax.lax.switch(step.kind, branches, image, step), None

    return jax.lax.scan(body, image, steps)[0]

  if side_by_side:
    return jax.vmap(one)(images, steps)
  return jax.lax.map(lambda pair: one(*pair), (images, steps))


class _Steps(NamedTuple):
  """Operations as numbers, in the table `[S, L, 2]` or as drawn.

  Attributes:
    kind: index of the function to call, `i32[...]`.
    probability: of its being called, `f32[...]`.
    strength: its magnitude, `f32[...]`.
    matrix: of a geometric one, `i32[..., 6]`.
  """

  kind: Any
  probability: Any
  strength: Any
  matrix: Any


_Kind = Callable[[jax.Array, _Steps], jax.Array]


def _plain(operation: Callable[[jax.Array], jax.Array]) -> _Kind:
  return lambda image, step: operation(image)


def _scaled(operation: Callable[[jax.Array, Any], jax.Array]) -> _Kind:
  return lambda image, step: operation(image, step.strength)


# What is computed: the five geometric operations are one.
_KINDS: dict[str, _Kind] = {
  "identity": _plain(image_ops.identity),
  "affine": lambda image, step: image_ops.affine(image, step.matrix),
  "autocontrast": _plain(image_ops.autocontrast),
  "equalize": _plain(image_ops.equalize),
  "invert": _plain(image_ops.invert),
  "posterize": _scaled(image_ops.posterize),
  "solarize": _scaled(image_ops.solarize),
  "solarize_add": _scaled(image_ops.solarize_add),
  "color": _scaled(image_ops.color),
  "contrast": _scaled(image_ops.contrast),
  "brightness": _scaled(image_ops.brightness),
  "sharpness": _scaled(image_ops.sharpness),
}


def _kind_of(name: str) -> str:
  """The kind of an operation; geometric ones are all "affine"."""
  if name in SIGNED:
    return "affine"
  if name not in _KINDS or name == "affine":
    legal = sorted({*_KINDS, *SIGNED} - {"affine"})
    raise ValueError(f"operation is {name!r}; legal: {', '.join(legal)}")
  return name


def _table(policy: Policy, kinds: list[str], height: int, width: int) -> _Steps:
  length = max(len(s) for s in policy.sub_policies)
  shape = (len(policy.sub_policies), length, 2)
  table = _Steps(
    np.zeros(shape, np.int32),
    np.zeros(shape, np.float32),
    np.zeros(shape, np.float32),
    np.zeros((*shape, 6), np.int32),
  )
  for i, sub_policy in enumerate(policy.sub_policies):
    for j, operation in enumerate(sub_policy):
      table.kind[i, j] = kinds.index(_kind_of(operation.name))
      table.probability[i, j] = operation.probability
      table.strength[i, j] = operation.strengths
      for k, strength in enumerate(operation.strengths):
        table.matrix[i, j, k] = _matrix(operation.name, strength, height, width)
  return table


def _matrix(name: str, strength: float, height: int, width: int) -> Any:
  """Of `image_ops.affine`; 0 for an operation that has none."""
  if name == "rotate":
    return image_ops.rotation(strength, height, width)
  if name == "shear_x":
    return image_ops.shearing_x(strength)
  if name == "shear_y":
    return image_ops.shearing_y(strength)
  if name == "translate_x":
    return image_ops.translation_x(strength * width)
  if name == "translate_y":
    return image_ops.translation_y(strength * height)
  return 0
