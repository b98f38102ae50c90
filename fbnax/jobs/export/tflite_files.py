"""A network's steps (`fbnax.models.folded`) as a TensorFlow Lite file.

Written with the schema of the package `ai-edge-litert`, a row for each kind of
step: TensorFlow is not needed, and no map is transposed, since images come
channels last here, too. ReLU and ReLU6 are part of the operation before them.
The file has one signature, `serving_default`, from `images` to `logits`.

TensorFlow Lite knows two paddings, SAME and VALID. Any other is an operation
of its own, with a copy of the map: that of a symmetric padding at stride two,
where the side is even.

Symbols: `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fbnax.models.folded import FoldedStep
from fbnax.spaces.activations import NONLINEARITIES

SIGNATURE = "serving_default"
IMAGES, LOGITS = "images", "logits"
_VERSION, IDENTIFIER = 3, b"TFL3"
_ALIGNMENT = 16  # Of weights in the file, bytes.
_LAST_OLD_CODE = 127  # Above, an operator's code stands in a second field.


def missing() -> str:
  """Which package is lacking, "" where files can be made and run."""
  if importlib.util.find_spec("ai_edge_litert") is None:
    return "ai-edge-litert"
  return ""


class _Graph:
  """A model that grows by operators; tensors are known by their places."""

  def __init__(self) -> None:
    from ai_edge_litert import schema_py_generated as schema

    self.schema: Any = schema
    self.graph = schema.SubGraphT()
    self.graph.tensors, self.graph.operators = [], []
    self.model = schema.ModelT()
    self.model.version = _VERSION
    self.model.description = "fbnax"
    self.model.buffers = [schema.BufferT()]
    self.model.subgraphs = [self.graph]
    self.model.operatorCodes = []
    self.codes: dict[int, int] = {}

  def tensor(
    self, name: str, shape: Sequence[int], value: np.ndarray | None = None
  ) -> int:
    """The place of a new tensor, of float32 unless its value is of integers."""
    schema = self.schema
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, list(shape)
    integers = value is not None and value.dtype == np.int32
    tensor.type = schema.TensorType.INT32 if integers else 0
    tensor.buffer = 0
    if value is not None:
      buffer = schema.BufferT()
      buffer.data = np.frombuffer(
        np.ascontiguousarray(value).tobytes(), np.uint8
      )
      self.model.buffers.append(buffer)
      tensor.buffer = len(self.model.buffers) - 1
    self.graph.tensors.append(tensor)
    return len(self.graph.tensors) - 1

  def constant(self, name: str, value: np.ndarray) -> int:
    return self.tensor(name, value.shape, value)

  def shape(self, place: int) -> tuple[int, ...]:
    return tuple(self.graph.tensors[place].shape)

  def operator(
    self,
    code: str,
    inputs: Sequence[int],
    name: str,
    shape: Sequence[int],
    options: str = "",
    **values: Any,
  ) -> int:
    """The place of the result of a new operator."""
    schema = self.schema
    operator = schema.OperatorT()
    operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, code))
    operator.inputs = list(inputs)
    if options:
      operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
      operator.builtinOptions = getattr(schema, f"{options}T")()
      for field, value in values.items():
        setattr(operator.builtinOptions, field, value)
    place = self.tensor(name, shape)
    operator.outputs = [place]
    self.graph.operators.append(operator)
    return place

  def _code(self, code: int) -> int:
    if code not in self.codes:
      entry = self.schema.OperatorCodeT()
      entry.builtinCode = code
      entry.deprecatedBuiltinCode = min(code, _LAST_OLD_CODE)
      entry.version = 1
      self.model.operatorCodes.append(entry)
      self.codes[code] = len(self.codes)
    return self.codes[code]

  def packed(self, images: int, logits: int) -> bytes:
    """The file."""
    schema, graph = self.schema, self.graph
    graph.inputs, graph.outputs, graph.name = [images], [logits], "main"
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    for field, name, place in (
      ("inputs", IMAGES, images),
      ("outputs", LOGITS, logits),
    ):
      entry = schema.TensorMapT()
      entry.name, entry.tensorIndex = name, place
      setattr(signature, field, [entry])
    self.model.signatureDefs = [signature]
    return pack(self.model)


def run(content: bytes, images: np.ndarray) -> np.ndarray:
  """Logits of images `f32[B, H, W, C]` by LiteRT, by a float32 file."""
  from ai_edge_litert import interpreter

  runner = interpreter.Interpreter(model_content=content, num_threads=1)
  call = runner.get_signature_runner(SIGNATURE)
  return np.concatenate(
    [call(**{IMAGES: image[None]})[LOGITS] for image in images]
  )


def unpack(content: bytes) -> Any:
  """A file as the schema's tree, `ModelT`, with all weights in its buffers.

  Some programs write weights behind the tree, where microcontrollers'
  interpreters do not look for them.
  """
  from ai_edge_litert import schema_py_generated as schema

  model = schema.ModelT.InitFromObj(
    schema.Model.GetRootAs(bytearray(content), 0)
  )
  for buffer in model.buffers:
    if buffer.offset:
      end = buffer.offset + buffer.size
      buffer.data = np.frombuffer(content[buffer.offset : end], np.uint8)
      buffer.offset = buffer.size = 0
  return model


def with_metadata(content: bytes, texts: Mapping[str, str]) -> bytes:
  """A file with texts in it, by their names."""
  from ai_edge_litert import schema_py_generated as schema

  model = unpack(content)
  model.metadata = list(model.metadata or [])
  for name, text in texts.items():
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata.append(entry)
  return pack(model)


def metadata(content: bytes, name: str) -> str | None:
  """The text of that name in a file; None without one."""
  model = unpack(content)
  for entry in model.metadata or []:
    if entry.name.decode() == name:
      return bytes(model.buffers[entry.buffer].data).decode()
  return None


def operators(content: bytes) -> list[str]:
  """The operators of a file by the schema's names, each once, in order."""
  from ai_edge_litert import schema_py_generated as schema

  names = {
    value: name
    for name, value in vars(schema.BuiltinOperator).items()
    if isinstance(value, int)
  }
  return sorted({names[c.builtinCode] for c in unpack(content).operatorCodes})


def pack(model: Any) -> bytes:
  """The file of a tree, its weights at multiples of 16 bytes."""
  import flatbuffers

  builder = flatbuffers.Builder(1 << 16)
  for buffer in model.buffers:
    buffer.Pack = functools.partial(_packed_buffer, buffer)
  builder.Finish(model.Pack(builder), IDENTIFIER)
  return bytes(builder.Output())


def _packed_buffer(buffer: Any, builder: Any) -> int:
  """As the schema's own, which does not align what it should."""
  from ai_edge_litert import schema_py_generated as schema

  data = None
  if buffer.data is not None and len(buffer.data):
    content = np.asarray(buffer.data, np.uint8).tobytes()
    builder.StartVector(1, len(content), _ALIGNMENT)
    builder.head -= len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    data = builder.EndVector()
  schema.BufferStart(builder)
  if data is not None:
    schema.BufferAddData(builder, data)
  return int(schema.BufferEnd(builder))


def convert(
  steps: tuple[FoldedStep, ...], shape: tuple[int, int, int]
) -> bytes:
  """The float32 file: `images` `f32[1, H, W, C]` to `logits` `f32[1, K]`.

  Args:
    steps: of a network.
    shape: `(H, W, C)`.
  """
  graph = _Graph()
  places = [graph.tensor(IMAGES, (1, *shape))]
  uses = [0] * (len(steps) + 1)
  for step in steps:
    for i in step.inputs:
      uses[i] += 1
  fused: dict[int, str] = {}
  for i, step in enumerate(steps):
    (before, *_) = step.inputs
    source = steps[before - 1].op if before else ""
    entry = NONLINEARITIES.get(step.op)
    if entry and entry.fused and uses[before] == 1 and source in _FUSE:
      fused[before] = entry.fused
      fused[i + 1] = ""  # The activation itself is no operator any more.
  for i, step in enumerate(steps, 1):
    inputs = [places[j] for j in step.inputs]
    name = f"x{i}" if i < len(steps) else LOGITS
    if fused.get(i) == "":
      places.append(inputs[0])
      continue
    activation = getattr(
      graph.schema.ActivationFunctionType, fused.get(i, "NONE")
    )
    places.append(_ROWS[step.op](graph, step, inputs, name, activation))
  return graph.packed(places[0], places[-1])


def _conv(
  graph: _Graph, step: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  kernel, bias = step.arrays["kernel"], step.arrays["bias"]
  stride, padding = step.numbers["stride"], step.numbers["padding"]
  side, channels = kernel.shape[0], graph.shape(x[0])[-1]
  place, rule = _padded(graph, x[0], name, side, stride, padding)
  height, width = graph.shape(place)[1:3]
  if rule == graph.schema.Padding.SAME:
    out = (-(-height // stride), -(-width // stride))
  else:
    out = ((height - side) // stride + 1, (width - side) // stride + 1)
  is_depthwise = step.numbers["groups"] == channels and kernel.shape[2] == 1
  turned = (2, 0, 1, 3) if is_depthwise and channels > 1 else (3, 0, 1, 2)
  options = dict(
    padding=rule,
    strideW=stride,
    strideH=stride,
    dilationWFactor=1,
    dilationHFactor=1,
    fusedActivationFunction=activation,
  )
  weights = [
    graph.constant(f"{name}.kernel", kernel.transpose(turned)),
    graph.constant(f"{name}.bias", bias),
  ]
  shape = (1, *out, kernel.shape[-1])
  if turned == (2, 0, 1, 3):
    return graph.operator(
      "DEPTHWISE_CONV_2D",
      [place, *weights],
      name,
      shape,
      "DepthwiseConv2DOptions",
      depthMultiplier=kernel.shape[-1] // channels,
      **options,
    )
  return graph.operator(
    "CONV_2D", [place, *weights], name, shape, "Conv2DOptions", **options
  )


def _padded(
  graph: _Graph, x: int, name: str, side: int, stride: int, padding: int | str
) -> tuple[int, int]:
  """The map that a convolution takes, and its rule of padding."""
  rules = graph.schema.Padding
  if padding == "same":
    return x, rules.SAME
  pixels = int(padding)
  if pixels == 0:
    return x, rules.VALID
  shape = graph.shape(x)

  def is_same(size: int) -> bool:
    total = max((-(-size // stride) - 1) * stride + side - size, 0)
    count = (size + 2 * pixels - side) // stride + 1
    # What is right of the last window is not read.
    read = (count - 1) * stride + side - pixels - size
    return count == -(-size // stride) and (total // 2, total - total // 2) == (
      pixels,
      max(read, 0),
    )

  if is_same(shape[1]) and is_same(shape[2]):
    return x, rules.SAME
  edges = np.asarray([[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]], np.int32)
  padded = graph.operator(
    "PAD",
    [x, graph.constant(f"{name}.edges", edges)],
    f"{name}.padded",
    (1, shape[1] + 2 * pixels, shape[2] + 2 * pixels, shape[3]),
    "PadOptions",
  )
  return padded, rules.VALID


def _linear(
  graph: _Graph, step: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  kernel = step.arrays["kernel"]
  weights = [
    graph.constant(f"{name}.kernel", kernel.T),
    graph.constant(f"{name}.bias", step.arrays["bias"]),
  ]
  return graph.operator(
    "FULLY_CONNECTED",
    [*x, *weights],
    name,
    (1, kernel.shape[1]),
    "FullyConnectedOptions",
    fusedActivationFunction=activation,
  )


def _with_constant(
  graph: _Graph,
  code: str,
  x: int,
  value: np.ndarray,
  name: str,
  activation: int = 0,
) -> int:
  """A sum or product of a map and a constant."""
  second = graph.constant(f"{name}.constant", value.astype(np.float32))
  return graph.operator(
    code,
    [x, second],
    name,
    graph.shape(x),
    f"{code.capitalize()}Options",
    fusedActivationFunction=activation,
  )


def _scale(
  graph: _Graph, step: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  scaled = _with_constant(
    graph, "MUL", x[0], step.arrays["scale"], f"{name}.scaled"
  )
  return _with_constant(
    graph, "ADD", scaled, step.arrays["offset"], name, activation
  )


def _both(code: str) -> Callable[..., int]:
  """The row of an operator on two maps, the second maybe of one pixel."""

  def row(
    graph: _Graph, _: FoldedStep, x: list[int], name: str, activation: int
  ) -> int:
    return graph.operator(
      code,
      x,
      name,
      graph.shape(x[0]),
      f"{code.capitalize()}Options",
      fusedActivationFunction=activation,
    )

  return row


def _mean(
  graph: _Graph, _: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  del activation
  axes = graph.constant(f"{name}.axes", np.asarray([1, 2], np.int32))
  shape = (1, 1, 1, graph.shape(x[0])[-1])
  return graph.operator(
    "MEAN", [*x, axes], name, shape, "ReducerOptions", keepDims=True
  )


def _shuffle(
  graph: _Graph, step: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  del activation
  shape, groups = graph.shape(x[0]), step.numbers["groups"]
  # Not of five axes, which microcontrollers cannot turn.
  split = (shape[1] * shape[2], groups, shape[3] // groups)
  turned = (split[0], split[2], split[1])
  parts = _reshaped(graph, x[0], f"{name}.parts", split)
  order = graph.constant(f"{name}.order", np.asarray([0, 2, 1], np.int32))
  swapped = graph.operator(
    "TRANSPOSE", [parts, order], f"{name}.turned", turned, "TransposeOptions"
  )
  return _reshaped(graph, swapped, name, shape)


def _reshaped(graph: _Graph, x: int, name: str, shape: Sequence[int]) -> int:
  new = graph.constant(f"{name}.shape", np.asarray(shape, np.int32))
  return graph.operator(
    "RESHAPE", [x, new], name, shape, "ReshapeOptions", newShape=list(shape)
  )


def _nonlinearity(op: str) -> Callable[..., int]:
  """The row of an activation or a gate that is no part of another operator."""
  entry = NONLINEARITIES[op]

  def row(
    graph: _Graph, _: FoldedStep, x: list[int], name: str, activation: int
  ) -> int:
    del activation
    result = f"{name}.gate" if entry.times_input else name
    y = graph.operator(entry.tflite, x, result, graph.shape(x[0]))
    if entry.times_input:
      y = _both("MUL")(graph, _, [*x, y], name, 0)
    return y

  return row


def _hard_sigmoid(
  graph: _Graph, _: FoldedStep, x: list[int], name: str, activation: int
) -> int:
  """It has no operator: relu6(x + 3) / 6."""
  del activation
  relu6 = graph.schema.ActivationFunctionType.RELU6
  moved = _with_constant(
    graph, "ADD", x[0], np.asarray(3.0), f"{name}.moved", relu6
  )
  return _with_constant(graph, "MUL", moved, np.asarray(1 / 6), name)


_ROWS: dict[str, Callable[..., int]] = {
  "conv": _conv,
  "linear": _linear,
  "scale": _scale,
  "shuffle": _shuffle,
  "add": _both("ADD"),
  "multiply": _both("MUL"),
  "mean": _mean,
  **{
    name: _nonlinearity(name) if entry.tflite else _hard_sigmoid
    for name, entry in NONLINEARITIES.items()
  },
}
_FUSE = ("conv", "linear", "scale", "add")
