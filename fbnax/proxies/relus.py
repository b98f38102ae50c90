"""Which maxima `max(x, 0)` of a traced program are ReLUs.

Programs take the same maximum of variances, which rounding makes negative, and
such a clamp says nothing of a network's regions. It is told by where it stands:

* in the code of one of Flax's normalisations, but not in that of a module that
  these call, nor in what a user's class adds to one of them; or
* on a statistic: a sum of squares, or what is made of such sums alone. A layer
  with weights, and what keeps an activation in it, makes activations again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax.linen import normalization

# Where primitives keep the program that they call once.
CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_NORMALISATION, _OTHER = "fbnax.normalisation", "fbnax.other_module"
_SQUARES = ("square", "abs")
_SUMS = ("reduce_sum", "reduce_window_sum", "cumsum", "psum")
_LAYERS = ("dot_general", "conv_general_dilated")

# The calls that lead to a program, and an equation in it, by their identities:
# equations of a program that is called twice are the same objects.
Path = tuple[int, ...]


class _Value(NamedTuple):
  """What is known of a variable.

  Attributes:
    moves: whether it depends on the images.
    degree: 0 of numbers that stand in the program, 1 of activations and
      weights, 2 of their squares, 3 of statistics.
  """

  moves: bool = False
  degree: int = 0


_ACTIVATION, _SQUARE, _STATISTIC = 1, 2, 3


@contextlib.contextmanager
def standing() -> Iterator[None]:
  """Lets a program that is traced in the block say which module made it."""

  def interceptor(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
    # Flax gives the method with its module bound to it.
    method = getattr(context.orig_method, "func", context.orig_method)
    flax_own = getattr(method, "__module__", "") == normalization.__name__
    with jax.named_scope(_NORMALISATION if flax_own else _OTHER):
      return next_fun(*args, **kwargs)

  with nn.intercept_methods(interceptor):
    yield


def find(jaxpr: Any, moving: Sequence[bool]) -> set[Path]:
  """The ReLUs of a program that was traced while `standing`.

  Args:
    jaxpr: the program.
    moving: which of its arguments depend on the images.

  Returns:
    For each the calls that lead to it, and its equation.
  """
  paths: set[Path] = set()
  values = [_Value(moves, _ACTIVATION) for moves in moving]
  _visit(jaxpr, values, (), False, paths)
  return paths


def operand(equation: Any) -> int | None:
  """The place of x in max(x, 0), of at least 2 axes; None of all else."""
  if equation.primitive.name == "max":
    for place, other in ((0, 1), (1, 0)):
      zero = equation.invars[other]
      if is_literal(zero) and zero.val == 0:
        # One axis has images, and no units.
        return place if equation.invars[place].aval.ndim >= 2 else None
  return None


def is_literal(variable: Any) -> bool:
  """Whether an operand of a traced program is a number that stands there."""
  return hasattr(variable, "val")


def called(equation: Any) -> Any | None:
  """The program that an equation calls once, perhaps with its constants."""
  if equation.primitive.name in ("cond", "scan", "while"):
    return None
  return next(
    (equation.params[k] for k in CALLED if k in equation.params), None
  )


def _visit(
  jaxpr: Any,
  values: Sequence[_Value],
  path: Path,
  inside: bool,
  paths: set[Path],
) -> list[_Value]:
  """What is known of the results; notes the ReLUs on the way."""
  value_of: dict[Any, _Value] = dict(zip(jaxpr.invars, values, strict=True))
  for variable in jaxpr.constvars:
    value_of[variable] = _Value(False, _ACTIVATION)

  def of(variable: Any) -> _Value:
    return _Value() if is_literal(variable) else value_of[variable]

  for equation in jaxpr.eqns:
    inputs = [of(v) for v in equation.invars]
    within = _is_inside(equation, inside)
    here = (*path, id(equation))
    place = operand(equation)
    if place is not None and not within:
      paths |= {here} if inputs[place].degree != _STATISTIC else set()
    name, params = equation.primitive.name, equation.params
    if name == "cond":
      branches = [
        _visit(branch.jaxpr, inputs[1:], here, within, paths)
        for branch in params["branches"]
      ]
      results = [_mixed(same) for same in zip(*branches, strict=True)]
    elif name == "scan":
      results = _visit(params["jaxpr"].jaxpr, inputs, here, within, paths)
    elif (inner := called(equation)) is not None:
      program = getattr(inner, "jaxpr", inner)
      results = _visit(program, inputs, here, within, paths)
    else:
      results = [_result(equation, inputs)] * len(equation.outvars)
    value_of.update(zip(equation.outvars, results, strict=True))
  return [of(v) for v in jaxpr.outvars]


def _is_inside(equation: Any, inside: bool) -> bool:
  """Whether the innermost module in which it stands is a normalisation."""
  stack = str(equation.source_info.name_stack)
  places = stack.rfind(_NORMALISATION), stack.rfind(_OTHER)
  return inside if max(places) < 0 else places[0] > places[1]


def _result(equation: Any, inputs: Sequence[_Value]) -> _Value:
  """What is known of the result of an equation that calls no program."""
  name, operands = equation.primitive.name, equation.invars
  twice = len(operands) == 2 and operands[0] is operands[1]
  value = _mixed(inputs)
  if name in _LAYERS:
    # A product of a value with itself sums its squares.
    return value._replace(degree=_STATISTIC if twice else _ACTIVATION)
  if value.degree == _ACTIVATION and (
    name in _SQUARES
    or (name == "mul" and twice)
    or (name == "integer_pow" and equation.params["y"] % 2 == 0)
  ):
    return value._replace(degree=_SQUARE)
  if value.degree == _SQUARE and name in _SUMS:
    return value._replace(degree=_STATISTIC)
  return value


def _mixed(values: Sequence[_Value]) -> _Value:
  """What is known of values that are computed with each other.

  What does not depend on the images (eps, a scale) changes nothing in what
  does, and what is made of an activation is one.
  """
  moves = any(value.moves for value in values)
  degrees = {v.degree for v in values if v.moves == moves and v.degree}
  if _ACTIVATION in degrees:
    return _Value(moves, _ACTIVATION)
  return _Value(moves, max(degrees, default=0))
