"""A network's steps (`fbnax.models.folded`) as an ONNX graph.

Written with the `onnx` package, a row for each kind of step, and not converted
from a traced program: of ten kinds of steps each has its own operator, and the
graph shows the network. Images come as elsewhere here, channels last, and are
turned once, in front. `onnx` is imported where it is used: it is an extra.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fbnax.models.folded import FoldedStep
from fbnax.spaces.activations import NONLINEARITIES, Nonlinearity

OPSET = 18


def missing() -> str:
  """Which package is lacking, "" where ONNX files can be made and checked."""
  import importlib.util

  for name in ("onnx", "onnxruntime"):
    if importlib.util.find_spec(name) is None:
      return name
  return ""


def convert(
  steps: tuple[FoldedStep, ...], shape: tuple[int, int, int], dtype: Any
) -> bytes:
  """The serialised ONNX model: `images` `[B, H, W, C]` to `logits` `[B, K]`.

  Args:
    steps: of a network.
    shape: `(H, W, C)`.
    dtype: of the images, uint8 or float32.
  """
  import onnx
  from onnx import TensorProto, helper, numpy_helper

  nodes: list[Any] = []
  constants: list[Any] = []
  names = ["input"]

  def constant(name: str, value: np.ndarray) -> str:
    constants.append(
      numpy_helper.from_array(np.asarray(value, order="C"), name)
    )
    return name

  def node(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
    nodes.append(helper.make_node(op, inputs, [output], **attributes))
    return output

  node("Cast", ["images"], "real", to=TensorProto.FLOAT)
  node("Transpose", ["real"], "input", perm=[0, 3, 1, 2])
  for place, step in enumerate(steps):
    inputs = [names[i] for i in step.inputs]
    out = f"x{place + 1}" if place + 1 < len(steps) else "logits"
    names.append(_ROWS[step.op](step, inputs, out, node, constant))
  kind = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
  classes = steps[-1].arrays["bias"].shape[0]
  graph = helper.make_graph(
    nodes,
    "fbnax",
    [
      helper.make_tensor_value_info(
        "images", kind[np.dtype(dtype).name], ["batch", *shape]
      )
    ],
    [
      helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch", classes]
      )
    ],
    constants,
  )
  model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
  )
  onnx.checker.check_model(model, full_check=True)
  return bytes(model.SerializeToString())


def run(model: bytes, images: np.ndarray) -> np.ndarray:
  """Logits of images by onnxruntime, on the CPU."""
  import onnxruntime

  session = onnxruntime.InferenceSession(
    model, providers=["CPUExecutionProvider"]
  )
  return np.asarray(session.run(["logits"], {"images": images})[0])


def _conv(
  s: FoldedStep, x: list[str], out: str, node: Any, constant: Any
) -> str:
  padding, stride = s.numbers["padding"], s.numbers["stride"]
  # ONNX has the rule, too, for images of whatever size.
  pads: dict[str, Any] = {"pads": [padding] * 4}
  if padding == "same":
    pads = {"auto_pad": "SAME_UPPER"}
  kernel = s.arrays["kernel"].transpose(3, 2, 0, 1)
  weights = [
    constant(f"{out}.kernel", kernel),
    constant(f"{out}.bias", s.arrays["bias"]),
  ]
  return str(
    node(
      "Conv",
      [*x, *weights],
      out,
      kernel_shape=list(kernel.shape[2:]),
      strides=[stride] * 2,
      group=s.numbers["groups"],
      **pads,
    )
  )


def _linear(
  s: FoldedStep, x: list[str], out: str, node: Any, constant: Any
) -> str:
  flat = node("Flatten", x, f"{out}.flat")
  weights = [constant(f"{out}.{n}", s.arrays[n]) for n in ("kernel", "bias")]
  return str(node("Gemm", [flat, *weights], out))


def _scale(
  s: FoldedStep, x: list[str], out: str, node: Any, constant: Any
) -> str:
  scale, offset = (
    constant(f"{out}.{n}", s.arrays[n].reshape(1, -1, 1, 1))
    for n in ("scale", "offset")
  )
  scaled = node("Mul", [*x, scale], f"{out}.scaled")
  return str(node("Add", [scaled, offset], out))


def _shuffle(
  s: FoldedStep, x: list[str], out: str, node: Any, constant: Any
) -> str:
  groups = s.numbers["groups"]
  channels = s.numbers["channels"]
  split = constant(
    f"{out}.split", np.asarray([0, groups, channels // groups, -1], np.int64)
  )
  parts = node("Reshape", [*x, split], f"{out}.parts")
  turned = node("Transpose", [parts], f"{out}.turned", perm=[0, 2, 1, 3])
  shape = node("Shape", x, f"{out}.shape")
  return str(node("Reshape", [turned, shape], out))


def _plain(op: str, **attributes: Any) -> Any:
  return lambda _, x, out, node, __: node(op, x, out, **attributes)


def _pointwise(entry: Nonlinearity) -> Any:
  """The row of an activation or a gate."""

  def row(
    _: FoldedStep, x: list[str], out: str, node: Any, constant: Any
  ) -> str:
    limits = [
      constant(f"{out}.constant{i}", np.float32(value))
      for i, value in enumerate(entry.constants)
    ]
    result = f"{out}.gate" if entry.times_input else out
    node(entry.onnx, [*x, *limits], result, **entry.attributes)
    if entry.times_input:
      node("Mul", [*x, result], out)
    return out

  return row


_ROWS: dict[str, Any] = {
  "conv": _conv,
  "linear": _linear,
  "scale": _scale,
  "shuffle": _shuffle,
  **{name: _pointwise(entry) for name, entry in NONLINEARITIES.items()},
  "add": _plain("Add"),
  "multiply": _plain("Mul"),
  "mean": _plain("GlobalAveragePool"),
}
