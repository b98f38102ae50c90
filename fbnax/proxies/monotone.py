"""Whether a function of nonnegative numbers can only grow with them.

Read off the traced program, operation by operation: a value is known to be at
least 0 and not to fall where an argument grows, or nothing is known of it.
Products, sums, convolutions, ReLUs and pools of known values are known; what
is not listed here is not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fbnax.proxies import relus

# Rising where all of their operands are.
_KEEPING = frozenset(
  {
    "abs",
    "add",
    "add_any",
    "broadcast_in_dim",
    "concatenate",
    "conv_general_dilated",
    "convert_element_type",
    "copy",
    "cumsum",
    "dot_general",
    "exp",
    "expand_dims",
    "logistic",
    "max",
    "min",
    "mul",
    "name",
    "pad",
    "reduce_max",
    "reduce_sum",
    "reduce_window_max",
    "reduce_window_sum",
    "reshape",
    "rev",
    "slice",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "tanh",
    "transpose",
    "unstack",
  }
)
# Rising where the first operand is; the others only say where, and are fixed.
_INDEXING = frozenset({"dynamic_slice", "gather"})
_CALLS = frozenset(
  {"jit", "pjit", "closed_call", "custom_jvp_call", "checkpoint", "remat2"}
)


class _Value(NamedTuple):
  """What is known of a value.

  Attributes:
    rises: it is at least 0 and does not fall where an argument grows.
    fixed: it does not depend on the arguments.
  """

  rises: bool
  fixed: bool


_UNKNOWN = _Value(rises=False, fixed=False)


def increases(function: Callable[..., jax.Array], *arguments: Any) -> bool:
  """Whether it is known that no result falls where an argument grows.

  Then the function has a forward derivative too: one whose gradient is written
  by hand is not known.

  Args:
    function: is traced, not computed.
    *arguments: trees of arrays that are at least 0.
  """
  traced = jax.make_jaxpr(function)(*arguments)
  rising = [_Value(rises=True, fixed=False)] * len(traced.jaxpr.invars)
  return all(v.rises for v in _outputs(traced.jaxpr, traced.consts, rising))


def _outputs(
  jaxpr: Any, consts: Sequence[Any], inputs: Sequence[_Value]
) -> list[_Value]:
  value_of: dict[Any, _Value] = {}
  value_of.update(zip(jaxpr.constvars, map(_constant, consts), strict=True))
  value_of.update(zip(jaxpr.invars, inputs, strict=True))

  def read(variable: Any) -> _Value:
    if relus.is_literal(variable):
      return _constant(variable.val)
    return value_of[variable]

  for equation in jaxpr.eqns:
    results = _results(equation, [read(v) for v in equation.invars])
    value_of.update(zip(equation.outvars, results, strict=True))
  return [read(v) for v in jaxpr.outvars]


def _constant(value: Any) -> _Value:
  traced = isinstance(value, jax.core.Tracer)
  numeric = not traced and not jax.dtypes.issubdtype(
    getattr(value, "dtype", np.float64), jax.dtypes.extended
  )
  return _Value(rises=numeric and bool(np.all(value >= 0)), fixed=True)


def _results(equation: Any, inputs: list[_Value]) -> list[_Value]:
  """What is known of the results of an operation."""
  name, params = equation.primitive.name, equation.params
  if name in _CALLS:
    inner = params["call_jaxpr" if "call_jaxpr" in params else "jaxpr"]
    jaxpr = getattr(inner, "jaxpr", inner)
    return _outputs(jaxpr, getattr(inner, "consts", ()), inputs)
  if name == "scan":
    return _scan(params, inputs)
  fixed = all(v.fixed for v in inputs)
  first, *others = inputs or [_UNKNOWN]
  if name == "cond" and first.fixed:
    branches = [
      _outputs(branch.jaxpr, branch.consts, others)
      for branch in params["branches"]
    ]
    return [
      functools.reduce(_either, outcomes)
      for outcomes in zip(*branches, strict=True)
    ]
  rises = False
  if name in _KEEPING:
    rises = all(v.rises for v in inputs)
  elif name in _INDEXING:
    rises = first.rises and all(v.fixed for v in others)
  elif name == "select_n":
    rises = first.fixed and all(v.rises for v in others)
  elif name == "div":
    rises = first.rises and others[0] == _Value(rises=True, fixed=True)
  elif name == "integer_pow":
    rises = first.rises and params["y"] >= 0
  return [_Value(rises, fixed)] * len(equation.outvars)


def _scan(params: Any, inputs: list[_Value]) -> list[_Value]:
  consts = params["num_consts"]
  kept = params["num_carry"]
  carry = inputs[consts : consts + kept]
  inner = params["jaxpr"]
  while True:  # Until a further step teaches nothing.
    values = [*inputs[:consts], *carry, *inputs[consts + kept :]]
    results = _outputs(inner.jaxpr, inner.consts, values)
    merged = [_either(a, b) for a, b in zip(carry, results[:kept], strict=True)]
    if merged == carry:
      return [*carry, *results[kept:]]
    carry = merged


def _either(a: _Value, b: _Value) -> _Value:
  return _Value(rises=a.rises and b.rises, fixed=a.fixed and b.fixed)
