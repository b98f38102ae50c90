"""Labels from columns: expressions such as `acc * 100 / latency_gpu`.

AutoBuild (Mills et al. 2024, section 5.1) learns from labels that weigh
accuracy against cost, and which weights one takes decides which region of the
front its networks lie in. An expression is read by a grammar of its own:
numbers, names of columns, + - * / // % ** with parentheses, and the functions
in `FUNCTIONS`. Nothing else is looked at, and nothing is ever executed.

Symbols: `n` rows.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fbnax.base.names import nearest

FUNCTIONS: dict[str, Callable[..., Any]] = {
  "abs": np.abs,
  "exp": np.exp,
  "log": np.log,
  "log10": np.log10,
  "log2": np.log2,
  "max": np.maximum,
  "min": np.minimum,
  "sqrt": np.sqrt,
}
_TAKES_TWO = ("max", "min")
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.FloorDiv: operator.floordiv,
  ast.Mod: operator.mod,
  ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
  ast.UAdd: operator.pos,
  ast.USub: operator.neg,
}
LONGEST = 1000  # Characters: a tree of a longer text may exhaust the stack.


def evaluate(expression: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
  """The value of an expression in every row.

  Args:
    expression: such as `100 ** acc / (log10(latency_gpu + 1) + 1)`.
    columns: numbers by name, `[n]` each.

  Returns:
    `f64[n]`.

  Raises:
    ValueError: it cannot be read, has a name that is no column, calls what is
      no function of `FUNCTIONS`, or has no finite value in some row; what is
      wrong is named with its place.
  """
  tree = parse(expression)
  arrays = {k: np.asarray(v, np.float64) for k, v in columns.items()}
  for node in ast.walk(tree):
    if isinstance(node, ast.Name) and node.id not in {*arrays, *FUNCTIONS}:
      near = nearest(node.id, arrays, 0.5)
      raise _wrong(
        expression,
        node,
        f"{node.id!r} is no column; "
        + (f"nearest: {near}" if near else f"columns: {sorted(arrays)}"),
      )
  rows = len(next(iter(arrays.values()), ()))
  with np.errstate(all="ignore"):
    found = np.broadcast_to(_value(tree.body, arrays), rows)
  values = np.array(found, np.float64)
  wrong = np.flatnonzero(~np.isfinite(values))
  if len(wrong):
    names = sorted(n for n in names_of(expression) if n in arrays)
    cells = {n: float(arrays[n][wrong[0]]) for n in names}
    raise ValueError(
      f"expression {expression!r} is {values[wrong[0]]} in row {wrong[0]}, "
      f"where the columns are {cells}; legal: a finite number in every row"
    )
  return values


def parse(expression: str) -> ast.Expression:
  """The tree of an expression that holds nothing but what is legal.

  Raises:
    ValueError: as `evaluate`, of all that can be told without columns.
  """
  if len(expression) > LONGEST:
    raise ValueError(
      f"expression of {len(expression)} characters; legal: up to {LONGEST}"
    )
  try:
    tree = ast.parse(expression.strip(), mode="eval")
  except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    place = getattr(error, "offset", None)
    raise ValueError(
      f"expression {expression!r} cannot be read"
      + (f" at character {place}" if place else "")
      + "; legal: numbers, columns, + - * / // % ** ( ), and "
      + ", ".join(f"{f}(…)" for f in FUNCTIONS)
    ) from None
  _check(expression, tree.body)
  return tree


def names_of(expression: str) -> set[str]:
  """The names of columns in an expression.

  Raises:
    ValueError: as `parse`.
  """
  tree = parse(expression)
  called = {
    n.func.id
    for n in ast.walk(tree)
    if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
  }
  names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
  return names - called


def _check(expression: str, node: ast.AST) -> None:
  """Raises a ValueError for the first thing that is none of the grammar."""
  if isinstance(node, ast.Constant):
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
      raise _wrong(expression, node, f"{node.value!r} is no number")
  elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
    _check(expression, node.left)
    _check(expression, node.right)
  elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
    _check(expression, node.operand)
  elif isinstance(node, ast.Call):
    _check_call(expression, node)
  elif isinstance(node, ast.Name):
    if node.id in FUNCTIONS:
      raise _wrong(expression, node, f"function {node.id!r} is not called")
  else:
    kind = type(node).__name__
    raise _wrong(expression, node, f"{kind} is not part of expressions")


def _check_call(expression: str, node: ast.Call) -> None:
  name = node.func.id if isinstance(node.func, ast.Name) else None
  if name not in FUNCTIONS:
    text = ast.unparse(node.func)
    raise _wrong(
      expression,
      node,
      f"calls {text!r}; legal: {', '.join(FUNCTIONS)}",
    )
  arity = 2 if name in _TAKES_TWO else 1
  if node.keywords or len(node.args) != arity:
    raise _wrong(expression, node, f"{name} takes {arity} value(s)")
  for argument in node.args:
    _check(expression, argument)


def _value(node: ast.AST, columns: Mapping[str, np.ndarray]) -> Any:
  """The value of a checked tree."""
  if isinstance(node, ast.Constant):
    # A float, since powers of whole numbers could fill the memory.
    return np.float64(str(node.value))
  if isinstance(node, ast.Name):
    return columns[node.id]
  if isinstance(node, ast.UnaryOp):
    return _UNARY[type(node.op)](_value(node.operand, columns))
  if isinstance(node, ast.BinOp):
    left, right = (_value(n, columns) for n in (node.left, node.right))
    return _BINARY[type(node.op)](left, right)
  assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
  arguments = (_value(n, columns) for n in node.args)
  return FUNCTIONS[node.func.id](*arguments)


def _wrong(expression: str, node: ast.AST, what: str) -> ValueError:
  place = getattr(node, "col_offset", 0) + 1
  return ValueError(f"expression {expression!r}, character {place}: {what}")
