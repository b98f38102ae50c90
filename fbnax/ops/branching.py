"""A switch whose gradient is a switch.

`lax.switch` keeps for its gradient what each of its branches needs, and every
branch fills what the others would have kept with zeros: a branch that does
nothing costs as much memory traffic as the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.ops.hand_written import gradient_by_hand


def recomputed_switch(
  index: jax.Array,
  branches: Sequence[Callable[..., Any]],
  *operands: Any,
  fixed: Any = (),
) -> Any:
  """`lax.switch` that keeps its operands only.

  Its gradient runs the chosen branch again, in a switch of this kind, too.

  Args:
    index: of the branch, `i32[]`.
    branches: are given `fixed` and the operands, and give results of one
      structure; may close over traced arrays of floating point numbers.
    *operands: trees of arrays of floating point numbers.
    fixed: a tree of arrays that have no gradient, such as integers.
  """
  pairs = [jax.closure_convert(b, fixed, *operands) for b in branches]
  functions = [function for function, _ in pairs]
  caught = [tuple(values) for _, values in pairs]

  @gradient_by_hand
  def run(index: jax.Array, fixed: Any, operands: Any, caught: Any) -> Any:
    return lax.switch(
      index,
      [
        lambda fixed, operands, caught, f=f, i=i: f(
          fixed, *operands, *caught[i]
        )
        for i, f in enumerate(functions)
      ],
      fixed,
      operands,
      caught,
    )

  def forward(*arguments: Any) -> Any:
    return run(*arguments), arguments

  def backward(kept: Any, cotangent: Any) -> Any:
    index, fixed, operands, caught = kept

    def pull(i: int) -> Callable[..., Any]:
      def back(fixed: Any, operands: Any, caught: Any, cotangent: Any) -> Any:
        _, toward = jax.vjp(
          lambda operands, own: functions[i](fixed, *operands, *own),
          operands,
          caught[i],
        )
        to_operands, to_own = toward(cotangent)
        to_caught = [jax.tree.map(jnp.zeros_like, own) for own in caught]
        to_caught[i] = to_own
        return to_operands, to_caught

      return back

    toward = [pull(i) for i in range(len(functions))]
    found = recomputed_switch(
      index, toward, operands, caught, cotangent, fixed=fixed
    )
    return None, None, *found

  run.defvjp(forward, backward)
  return run(index, fixed, operands, caught)
