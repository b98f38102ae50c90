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
    tflite: the operator of TensorFlow Lite; "" where it has none.
    fused: its name there as a part of the operation before it; "" for none.
    constants: inputs of ONNX's operator behind the map.
    times_input: the operator's result multiplies what it was given.
    gates: its values lie between 0 and 1, so that it is a gate of
      squeeze-excite and no activation.
  """

  label: str
  onnx: str
  attributes: Mapping[str, float] = dataclasses.field(default_factory=dict)
  tflite: str = ""
  fused: str = ""
  constants: tuple[float, ...] = ()
  times_input: bool = False
  gates: bool = False


NONLINEARITIES: dict[str, Nonlinearity] = {
  "relu": Nonlinearity("relu", "Relu", tflite="RELU", fused="RELU"),
  "hswish": Nonlinearity("hswish", "HardSwish", tflite="HARD_SWISH"),
  "relu6": Nonlinearity(
    "relu6", "Clip", tflite="RELU6", fused="RELU6", constants=(0.0, 6.0)
  ),
  "silu": Nonlinearity("silu", "Sigmoid", tflite="LOGISTIC", times_input=True),
  "hard_sigmoid": Nonlinearity(
    "hard sigmoid", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, gates=True
  ),
  "sigmoid": Nonlinearity("sigmoid", "Sigmoid", tflite="LOGISTIC", gates=True),
}
ACTIVATIONS = tuple(n for n, entry in NONLINEARITIES.items() if not entry.gates)
GATES = tuple(n for n, entry in NONLINEARITIES.items() if entry.gates)
