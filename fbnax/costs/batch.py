"""Costs of whole populations, and of choice weights.

Symbols: `n` genotypes, `D` decisions. Both use the formulas of
`fbnax.costs.formulas`; numbers are float32, or float64 where JAX has it on.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fbnax.costs.count import Costs, count
from fbnax.costs.formulas import rows
from fbnax.costs.table import Cost
from fbnax.spaces.follow import Reader, at_genotypes, expectation
from fbnax.spaces.space import SearchSpace


@functools.partial(jax.jit, static_argnums=(0, 2))
def batch(
  space: SearchSpace, genotypes: jax.Array, num_classes: int = 1000
) -> Costs:
  """Costs of each genotype of a population.

  Args:
    space: the space.
    genotypes: `i32[n, D]`.
    num_classes: outputs of the classifier.

  Returns:
    MACs and parameters, `f32[n]` each.
  """
  columns = genotypes.T.astype(jnp.result_type(float))
  read = at_genotypes(
    {d.name: columns[i] for i, d in enumerate(space.decisions)}
  )
  return _total(space, read, num_classes, columns.shape[1:])


def expected(
  space: SearchSpace, weights: Sequence[jax.Array], num_classes: int = 1000
) -> Costs:
  """Costs at effective shapes under choice weights; differentiable.

  At one-hot weights they are the costs of that genotype.

  Args:
    space: the space.
    weights: one `f32[choices]` per decision, each sums to one.
    num_classes: outputs of the classifier.

  Returns:
    MACs and parameters, `f32[]` each.

  Raises:
    ValueError: the number of vectors or a length does not fit the space.
  """
  shapes = tuple(w.shape for w in weights)
  legal = tuple((c,) for c in space.choices)
  if shapes != legal:
    raise ValueError(
      f"weights of space {space.name!r} have shapes {shapes}; wanted {legal}"
    )
  named = {d.name: w for d, w in zip(space.decisions, weights, strict=True)}
  return _total(space, expectation(named), num_classes, ())


def _total(
  space: SearchSpace, read: Reader, num_classes: int, shape: tuple[int, ...]
) -> Costs:
  layers = rows(space.table, read, num_classes)
  totals = (
    _pairwise_sum([r.macs for r in layers]),
    _pairwise_sum([r.params for r in layers]),
  )
  dtype = jnp.result_type(float)
  return Costs(
    *(jnp.broadcast_to(jnp.asarray(t, dtype), shape) for t in totals)
  )


def _pairwise_sum(terms: list[Any]) -> Any:
  """A sum whose rounding error grows with the logarithm of the length."""
  while len(terms) > 1:
    pairs = zip(terms[::2], terms[1::2], strict=False)
    terms = [a + b for a, b in pairs] + terms[len(terms) & ~1 :]
  return terms[0]


def _counted(name: str) -> Cost:
  """One of `Costs` by itself."""
  return Cost(
    name,
    exact=lambda network, context: getattr(
      count(network, context.num_classes), name
    ),
    batch=lambda space, genotypes, context: getattr(
      batch(space, genotypes, context.num_classes), name
    ),
    expected=lambda space, weights, context: getattr(
      expected(space, weights, context.num_classes), name
    ),
  )


MACS = _counted("macs")
PARAMS = _counted("params")
