"""How a field of a layer follows a decision, and the readers of such fields.

A field of a layer table is a constant or a `Follow`: one value per choice of a
named decision. Whoever needs a number from the table asks a *reader*,
`read(function, *fields)`, for `function` of those fields. Readers differ only
in what stands for a choice, so that one formula serves all of them:

* `constant`: the fields are plain numbers (an `Architecture`);
* `largest`: the maximum over all choices (the size of a shared weight);
* `at_genotypes`: arrays over a population, `f32[n]`;
* `expectation`: sums over choices, weighted by choice weights (equations 3.5
  to 3.10 of Wan 2022 use these effective values). The function may return
  arrays, so channel masks are expectations too.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Reader = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Follow:
  """A field that takes `values[i]` when `decision` takes its choice `i`."""

  decision: str
  values: tuple[Any, ...]


def decisions_of(*fields: Any) -> tuple[str, ...]:
  """Names of the decisions that the fields follow, each once, in order."""
  names = (f.decision for f in fields if isinstance(f, Follow))
  return tuple(dict.fromkeys(names))


def constant(function: Callable[..., Any], *fields: Any) -> Any:
  """Reads a table without open fields."""
  return function(*fields)


def joint_values(
  function: Callable[..., Any], fields: tuple[Any, ...]
) -> list[tuple[dict[str, int], Any]]:
  """All joint choices of the followed decisions, with the function's value."""
  names = decisions_of(*fields)
  counts = {f.decision: len(f.values) for f in fields if isinstance(f, Follow)}
  joint = []
  for indices in itertools.product(*(range(counts[n]) for n in names)):
    choice = dict(zip(names, indices, strict=True))
    arguments = [
      f.values[choice[f.decision]] if isinstance(f, Follow) else f
      for f in fields
    ]
    joint.append((choice, function(*arguments)))
  return joint


def largest(function: Callable[..., Any], *fields: Any) -> Any:
  """The largest value over all choices of the followed decisions."""
  return max(value for _, value in joint_values(function, fields))


def smallest(function: Callable[..., Any], *fields: Any) -> Any:
  """The smallest value over all choices of the followed decisions."""
  return min(value for _, value in joint_values(function, fields))


def expectation(weights: Mapping[str, jax.Array]) -> Reader:
  """A reader of expected values under choice weights.

  Args:
    weights: for every decision a vector `[choices]` that sums to one, or
      `[B, choices]` for each example's own.

  Returns:
    `read(function, *fields)`: the sum of the function's values (numbers or
    arrays) over all joint choices, weighted by the product of their weights;
    with a leading axis `B` where a weight has one.
  """

  def read(function: Callable[..., Any], *fields: Any) -> Any:
    names = decisions_of(*fields)
    if not names:
      return function(*fields)
    joint = joint_values(function, fields)
    dtype = jnp.result_type(*(weights[name] for name in names))
    values = jnp.asarray(np.stack([np.asarray(v) for _, v in joint]), dtype)
    product = weights[names[0]]
    for name in names[1:]:
      pairs = product[..., :, None] * weights[name][..., None, :]
      product = pairs.reshape(*pairs.shape[:-2], -1)
    # An integer result must survive float32 to the last bit at one-hot
    # weights, so no reduced-precision matrix unit may touch this sum.
    return jnp.tensordot(product, values, 1, precision="highest")

  return read


def at_genotypes(columns: Mapping[str, jax.Array]) -> Reader:
  """A reader of a population's values.

  Args:
    columns: for every decision the choice of each candidate, `[n]`, floating.

  Returns:
    `read(function, *fields)`: the function of arrays `[n]`.
  """

  def read(function: Callable[..., Any], *fields: Any) -> Any:
    arguments = [
      _lookup(f.values, columns[f.decision]) if isinstance(f, Follow) else f
      for f in fields
    ]
    return function(*arguments)

  return read


def _lookup(values: tuple[Any, ...], index: jax.Array) -> jax.Array:
  """`values[index]` without a gather, which is the slow part on a CPU."""
  numbers = [float(v) for v in values]
  steps = np.diff(numbers)
  if len(numbers) == 1:
    return jnp.full_like(index, numbers[0])
  if np.all(steps == steps[0]):
    return numbers[0] + steps[0] * index
  result = jnp.full_like(index, numbers[0])
  for position, step in enumerate(steps, start=1):
    if step:
      result = jnp.where(index >= position, numbers[position], result)
  return result
