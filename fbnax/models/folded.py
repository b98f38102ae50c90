"""A trained network as plain data: a list of steps with BN folded in.

In inference BN is a linear function of each channel, so a convolution and the
BN behind it are one convolution with a bias: kernel `w s / sqrt(v + eps)`, bias
`(b - m) s / sqrt(v + eps) + beta`, computed in double precision. What is left
is few kinds of steps, each a row of a table here (`run`) and in
`fbnax.jobs.export.onnx_files`: what an export needs to know of a network.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fbnax.models.reading import shuffle
from fbnax.ops import conv as conv_ops
from fbnax.ops import shifted
from fbnax.ops.activations import ACTIVATIONS
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.resnet import ResNet


class FoldedStep(NamedTuple):
  """One operation.

  Attributes:
    op: a key of `OPS`.
    inputs: places of its inputs; 0 is the images, `i` the result of step
      `i - 1`.
    arrays: weights: `kernel` (HWIO, or `[C, K]` of a linear layer) and `bias`,
      or `scale` and `offset`.
    numbers: `stride`, `padding` (pixels, or "same"), `groups`, `channels`.
  """

  op: str
  inputs: tuple[int, ...]
  arrays: dict[str, np.ndarray]
  numbers: dict[str, Any]


class _Builder:
  """Appends steps; methods return the place of their result."""

  def __init__(self, variables: Any) -> None:
    self.steps: list[FoldedStep] = []
    self.variables = variables

  def add(
    self, op: str, *inputs: int, arrays: Any = None, **numbers: Any
  ) -> int:
    self.steps.append(FoldedStep(op, inputs, arrays or {}, numbers))
    return len(self.steps)

  def params(self, *path: str) -> Any:
    found = self.variables["params"]
    for step in path:
      found = found[step]
    return found

  def norm(self, path: tuple[str, ...], epsilon: float) -> tuple[Any, Any]:
    """Scale and offset of a BN, `f64[C]`."""
    found = self.variables["batch_stats"]
    for step in path:
      found = found[step]
    given = self.params(*path)
    mean, var = (np.asarray(found[n], np.float64) for n in ("mean", "var"))
    scale = np.asarray(given["scale"], np.float64) / np.sqrt(var + epsilon)
    return scale, np.asarray(given["bias"], np.float64) - mean * scale

  def conv(
    self,
    x: int,
    path: tuple[str, ...],
    norm: tuple[str, ...] | None = None,
    *,
    epsilon: float = 1e-5,
    stride: int = 1,
    padding: int | str = "symmetric",
    groups: int = 1,
    depthwise: bool = False,
  ) -> int:
    """A convolution, with the BN behind it if there is one."""
    given = self.params(*path)
    kernel = np.asarray(given["kernel"], np.float64)
    out = kernel.shape[-1]
    bias = np.asarray(given.get("bias", np.zeros(out)), np.float64)
    if norm is not None:
      scale, offset = self.norm(norm, epsilon)
      kernel, bias = kernel * scale, bias * scale + offset
    if padding == "symmetric" or (stride == 1 and padding == "same"):
      padding = kernel.shape[0] // 2
    return self.add(
      "conv",
      x,
      arrays={"kernel": _single(kernel), "bias": _single(bias)},
      stride=stride,
      padding=padding,
      groups=out if depthwise else groups,
    )

  def conv_norm(
    self, x: int, *path: str, activation: str | None = None, **settings: Any
  ) -> int:
    """A `ConvNorm` module, or a convolution with BN of a ResNet."""
    norm = (*path, "norm") if "norm" in self.params(*path) else None
    x = self.conv(x, (*path, "conv"), norm, **settings)
    return x if activation is None else self.add(activation, x)

  def classifier(self, x: int, *path: str) -> int:
    given = self.params(*path)
    arrays = {name: np.asarray(given[name]) for name in ("kernel", "bias")}
    return self.add("linear", x, arrays=arrays)


def fold(
  network: Architecture | ResNet, variables: Any
) -> tuple[FoldedStep, ...]:
  """The steps of a network in inference, from images to logits.

  Args:
    network: the network.
    variables: of its module, `models.building.build(network, K)`.

  Raises:
    ValueError: it is of a kind that has no steps.
  """
  build = _Builder(variables)
  if isinstance(network, Architecture):
    _architecture(build, network)
  elif isinstance(network, ResNet):
    _resnet(build, network)
  else:
    raise ValueError(
      f"network is a {type(network).__name__}; legal: Architecture, ResNet"
    )
  return tuple(build.steps)


def _architecture(build: _Builder, table: Architecture) -> None:
  eps: dict[str, Any] = {"epsilon": table.bn_epsilon}
  stem, head = table.stem, table.head
  x = build.conv_norm(
    0,
    "stem",
    activation=stem.activation,
    stride=stem.stride,
    padding=table.padding,
    **eps,
  )
  c_in = stem.channels
  for name, block in zip(table.block_names, table.blocks, strict=True):
    x = _block(build, table, name.replace(".", "_"), block, c_in, x)
    c_in = block.channels
  if head.expand:
    x = build.conv_norm(x, "head", "expand", activation=head.activation, **eps)
  if head.kernel > 1:
    x = build.conv_norm(
      x,
      "head",
      "depthwise",
      activation=head.activation,
      depthwise=True,
      **eps,
    )
  x = build.add("mean", x)
  if head.expansion:
    x = build.conv(x, ("head", "project"))
    x = build.add(head.activation, x)
  build.classifier(x, "head", "classifier")


def _block(
  build: _Builder,
  table: Architecture,
  module: str,
  block: Block,
  c_in: int,
  x: int,
) -> int:
  start = x
  for layer in kinds.layers(table, block, c_in):
    if layer.op == "squeeze_excite":
      inner = (module, "squeeze_excite")
      gate = build.conv(build.add("mean", x), (*inner, "squeeze"))
      gate = build.add(block.squeeze_activation or block.activation, gate)
      gate = build.add(block.gate, build.conv(gate, (*inner, "excite")))
      x = build.add("multiply", x, gate)
      continue
    if layer.shuffles and block.groups > 1:
      kernel = build.params(module, layer.name, "conv")["kernel"]
      x = build.add(
        "shuffle", x, groups=block.groups, channels=kernel.shape[-1]
      )
    x = build.conv_norm(
      x,
      module,
      layer.name,
      activation=kinds.activation(layer, block),
      epsilon=table.bn_epsilon,
      stride=block.stride if layer.stride else 1,
      padding=kinds.padding(table, block) if layer.kernel else 0,
      groups=block.groups if layer.groups else 1,
      depthwise=layer.op == "depthwise",
    )
  if kinds.KINDS[block.op].passes:
    return x
  same = kinds.adds_input(block)(c_in, block.channels)
  return build.add("add", x, start) if same else x


def _resnet(build: _Builder, table: ResNet) -> None:
  pre = table.preactivation

  def normed(x: int, *path: str) -> int:
    scale, offset = map(_single, build.norm(path, 1e-5))
    x = build.add("scale", x, arrays={"scale": scale, "offset": offset})
    return build.add("relu", x)

  def conv(x: int, *path: str, stride: int = 1) -> int:
    if pre:
      return build.conv(x, path, stride=stride)
    return build.conv_norm(x, *path, stride=stride)

  x = conv(0, "stem")
  x = x if pre else build.add("relu", x)
  width = table.stem
  for stage, (count, out) in enumerate(
    zip(table.blocks, table.widths, strict=True)
  ):
    for index in range(count):
      name, start = f"stage{stage}_block{index}", x
      stride = 2 if stage and not index else 1
      if pre:
        x = normed(x, name, "norm0")
      if stride != 1 or width != out:
        start = conv(x, name, "shortcut", stride=stride)
      x = conv(x, name, "conv0", stride=stride)
      x = normed(x, name, "norm1") if pre else build.add("relu", x)
      x = build.add("add", conv(x, name, "conv1"), start)
      x = x if pre else build.add("relu", x)
      width = out
  if pre:
    x = normed(x, "norm")
  build.classifier(build.add("mean", x), "classifier")


def run(steps: tuple[FoldedStep, ...], images: jax.Array) -> jax.Array:
  """Logits of images.

  Args:
    steps: of a network.
    images: `f32[B, H, W, C]`, normalised.

  Returns:
    `f32[B, K]`.
  """
  values = [images]
  for step in steps:
    inputs = [values[i] for i in step.inputs]
    values.append(OPS[step.op](step, *inputs))
  return values[-1]


def _conv(step: FoldedStep, x: jax.Array) -> jax.Array:
  kernel, bias = map(jnp.asarray, (step.arrays["kernel"], step.arrays["bias"]))
  stride, padding = step.numbers["stride"], step.numbers["padding"]
  groups = step.numbers["groups"]
  side, channels = kernel.shape[0], x.shape[-1]

  def plain(x: jax.Array) -> jax.Array:
    return conv_ops.lax_conv(x, kernel, stride, padding, groups)

  if side == 1 and padding == 0 and groups < channels:
    y = conv_ops.pointwise(x[:, ::stride, ::stride], kernel, groups)
  elif groups == channels and kernel.shape[2] == 1 and groups > 1:
    # XLA's grouped convolution is slow on a CPU (see `fbnax.ops.conv`).
    y = lax.platform_dependent(
      x,
      cpu=lambda x: shifted.depthwise(x, kernel, stride, padding),
      default=plain,
    )
  else:
    y = plain(x)
  return y + bias


def _linear(step: FoldedStep, x: jax.Array) -> jax.Array:
  flat = x.reshape(x.shape[0], -1)
  return flat @ step.arrays["kernel"] + step.arrays["bias"]


# What each step computes.
OPS: dict[str, Any] = {
  "conv": _conv,
  "linear": _linear,
  "scale": lambda s, x: x * s.arrays["scale"] + s.arrays["offset"],
  **{
    name: lambda _, x, f=activation.apply: f(x)
    for name, activation in ACTIVATIONS.items()
  },
  "add": lambda _, x, y: x + y,
  "multiply": lambda _, x, y: x * y,
  "mean": lambda _, x: x.mean((1, 2), keepdims=True),
  "shuffle": lambda s, x: shuffle(x, s.numbers["groups"]),
}


def _single(array: np.ndarray) -> np.ndarray:
  return array.astype(np.float32)
