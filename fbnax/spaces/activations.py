"""The activations and gates that a network may have, as data.

What each computes is in `fbnax.ops.activations`, by the same names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Nonlinearity:
  """What the house has to know of an activation besides its numbers.

  Attributes:
    label: what pictures and tables call it.
    onnx: the operator of ONNX.
    attributes: of that operator.
    constants: inputs of that operator behind the map.
    times_input: the operator's result multiplies what it was given.
    gates: its values lie between 0 and 1, so that it is a gate of
      squeeze-excite and no activation.
  """

  label: str
  onnx: str
  attributes: Mapping[str, float] = dataclasses.field(default_factory=dict)
  constants: tuple[float, ...] = ()
  times_input: bool = False
  gates: bool = False


NONLINEARITIES: dict[str, Nonlinearity] = {
  "relu": Nonlinearity("relu", "Relu"),
  "hswish": Nonlinearity("hswish", "HardSwish"),
  "relu6": Nonlinearity("relu6", "Clip", constants=(0.0, 6.0)),
  "silu": Nonlinearity("silu", "Sigmoid", times_input=True),
  "hard_sigmoid": Nonlinearity(
    "hard sigmoid", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, gates=True
  ),
  "sigmoid": Nonlinearity("sigmoid", "Sigmoid", gates=True),
}
ACTIVATIONS = tuple(n for n, entry in NONLINEARITIES.items() if not entry.gates)
GATES = tuple(n for n, entry in NONLINEARITIES.items() if entry.gates)
