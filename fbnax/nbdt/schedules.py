"""Weights of the plain loss and of the tree loss over training.

Wan 2022 gives two answers: section 5.3 lets the tree's weight grow from 0 while
the plain loss's decays, section 5.8 keeps both constant. Both are here, as
functions of the progress of training, 0 at its start and 1 at its end, which
trace; and with them the original program's own.

Symbols: beta weighs the plain cross entropy, omega the tree loss, as in
equation 5.3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

# Section 5.3: omega at the end. Small data sets are CIFAR-10 and CIFAR-100,
# large ones TinyImageNet and ImageNet.
OMEGA_END = {"small": 0.5, "large": 5.0}
# Section 5.8: omega throughout; ten times as much for the hard loss.
OMEGA = {"small": 1.0, "large": 10.0}
HARD = 10.0


class Weights(NamedTuple):
  """`beta` of the plain cross entropy, `omega` of the tree loss, `f32[]`."""

  beta: jax.Array
  omega: jax.Array


def growing(
  progress: float | jax.Array,
  *,
  omega_end: float = OMEGA_END["small"],
  beta_end: float = 0.0,
) -> Weights:
  """Section 5.3: omega grows from 0, beta decays from 1, both linearly.

  Args:
    progress: share of training done; held within 0 and 1.
    omega_end: omega at the end, see `OMEGA_END`.
    beta_end: beta at the end, which the text leaves open.

  Raises:
    ValueError: a weight is negative.
  """
  _check(omega_end=omega_end, beta_end=beta_end)
  done = jnp.clip(jnp.asarray(progress, jnp.float32), 0.0, 1.0)
  return Weights(_between(1.0, beta_end, done), _between(0.0, omega_end, done))


def constant(
  progress: float | jax.Array,
  *,
  omega: float = OMEGA["small"],
  beta: float = 1.0,
) -> Weights:
  """Section 5.8: the same weights throughout.

  Args:
    progress: share of training done, of no effect.
    omega: see `OMEGA`; `HARD` times as much for the hard loss.
    beta: 1 in the text.

  Raises:
    ValueError: a weight is negative.
  """
  _check(omega=omega, beta=beta)
  still = jnp.zeros_like(jnp.asarray(progress, jnp.float32))
  return Weights(still + beta, still + omega)


def original(
  progress: float | jax.Array,
  *,
  omega_start: float = 1.0,
  omega_end: float | None = None,
  omega_power: float = 1.0,
  beta_start: float = 1.0,
  beta_end: float | None = None,
  beta_power: float = 1.0,
) -> Weights:
  """The original program's: from start to end by a power of the progress.

  There the progress of epoch `t` of `T` is `t / T`, and 1 before the first.

  Args:
    progress: share of training done; held within 0 and 1.
    omega_start: omega at the start.
    omega_end: omega at the end; None keeps it.
    omega_power: of the progress, for omega.
    beta_start: beta at the start.
    beta_end: beta at the end; None keeps it.
    beta_power: of the progress, for beta.

  Raises:
    ValueError: a weight or a power is negative.
  """
  omega_end = omega_start if omega_end is None else omega_end
  beta_end = beta_start if beta_end is None else beta_end
  _check(
    omega_start=omega_start,
    omega_end=omega_end,
    omega_power=omega_power,
    beta_start=beta_start,
    beta_end=beta_end,
    beta_power=beta_power,
  )
  done = jnp.clip(jnp.asarray(progress, jnp.float32), 0.0, 1.0)
  return Weights(
    _between(beta_start, beta_end, done**beta_power),
    _between(omega_start, omega_end, done**omega_power),
  )


def updates(start: int, end: int, period: int) -> tuple[int, ...]:
  """Epochs after which the hierarchy is induced anew: Table 5.4's.

  Args:
    start: epochs of plain training before the first hierarchy.
    end: no hierarchy is made from this epoch on.
    period: epochs between two of them.

  Returns:
    `start`, `start + period`, ... below `end`.

  Raises:
    ValueError: a number below 1, or an end that leaves no hierarchy.
  """
  if start < 1 or period < 1 or end <= start:
    raise ValueError(
      f"start is {start}, end {end}, period {period}; legal: 1 or more each, "
      f"and the end after the start"
    )
  return tuple(range(start, end, period))


def _between(start: float, end: float, share: jax.Array) -> jax.Array:
  return (1.0 - share) * start + share * end


def _check(**values: float) -> None:
  for key, value in values.items():
    if not value >= 0.0:
      raise ValueError(f"{key} is {value}; legal: 0 or more")
