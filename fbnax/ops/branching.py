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


def recomputed_switch(
  index: jax.Array,
  branches: Sequence[Callable[..., Any]],
  *operands: Any,
) -> Any:
  """`lax.switch` that keeps its operands only.

  Its gradient runs the chosen branch again. It has no forward derivative.

  Args:
    index: of the branch, `i32[]`.
    branches: are given the operands, and give results of one structure;
      may close over traced arrays of floating point numbers.
    *operands: trees of arrays of floating point numbers.
  """
  pairs = [jax.closure_convert(b, *operands) for b in branches]
  functions = [function for function, _ in pairs]
  caught = [tuple(values) for _, values in pairs]

  @jax.custom_vjp
  def run(index: jax.Array, operands: Any, caught: Any) -> Any:
    return lax.switch(
      index,
      [
        lambda operands, caught, f=function, i=i: f(*operands, *caught[i])
        for i, function in enumerate(functions)
      ],
      operands,
      caught,
    )

  def forward(index: jax.Array, operands: Any, caught: Any) -> Any:
    return run(index, operands, caught), (index, operands, caught)

  def backward(kept: Any, cotangent: Any) -> Any:
    index, operands, caught = kept

    def pull(i: int) -> Callable[..., Any]:
      def back(operands: Any, caught: Any, cotangent: Any) -> Any:
        _, toward = jax.vjp(
          lambda operands, own: functions[i](*operands, *own),
          operands,
          caught[i],
        )
        to_operands, to_own = toward(cotangent)
        to_caught = [jax.tree.map(jnp.zeros_like, own) for own in caught]
        to_caught[i] = to_own
        return to_operands, to_caught

      return back

    toward = [pull(i) for i in range(len(functions))]
    found = lax.switch(index, toward, operands, caught, cotangent)
    return None, *found

  run.defvjp(forward, backward)
  return run(index, operands, caught)
