"""Any `Architecture` as a plain PyTorch module: the peer of `network_step`.

Has the weights of ours, and its layout is channels last. Needs the extra
`torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fbnax.spaces import Architecture, Block

_ACTIVATIONS = {"relu": nn.ReLU, "hswish": nn.Hardswish}


class Gate(nn.Module):
  """Squeeze and excite."""

  def __init__(self, variables: Any, activation: str) -> None:
    """Builds it from our variables."""
    super().__init__()
    self.squeeze = _convolution(variables["squeeze"])
    self.excite = _convolution(variables["excite"])
    self.activation = _ACTIVATIONS[activation]()

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Scales the channels."""
    hidden = self.activation(self.squeeze(x.mean((2, 3), keepdim=True)))
    return x * functional.hardsigmoid(self.excite(hidden))


class Residual(nn.Module):
  """Adds what the body makes of a map to it."""

  def __init__(self, body: nn.Module) -> None:
    """Wraps the body."""
    super().__init__()
    self.body = body

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """The sum."""
    return x + self.body(x)


def make_step(
  architecture: Architecture,
  variables: Any,
  images: np.ndarray,
  labels: np.ndarray,
  rate: float,
  compiled: bool = False,
) -> Callable[[], float]:
  """A step of SGD with momentum 0.9 on a batch; returns the loss before it.

  Args:
    architecture: of inverted residuals without groups, and of skips.
    variables: of `fbnax.models.Network`.
    images: `f32[B, H, W, C]`.
    labels: `i32[B]`.
    rate: learning rate.
    compiled: by `torch.compile`.
  """
  network: Any = _network(architecture, variables["params"])
  network = network.train().to(memory_format=torch.channels_last)
  called = torch.compile(network) if compiled else network
  optimizer = torch.optim.SGD(network.parameters(), rate, 0.9)
  x = torch.from_numpy(images).permute(0, 3, 1, 2)
  x = x.contiguous(memory_format=torch.channels_last)
  y = torch.from_numpy(labels).long()

  def step() -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(called(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())

  return step


def _network(architecture: Architecture, params: Any) -> nn.Module:
  epsilon = architecture.bn_epsilon
  stem, head = architecture.stem, architecture.head
  layers = [_norm(params["stem"], epsilon, stem.stride, stem.activation)]
  c_in = stem.channels
  names = architecture.block_names
  for name, block in zip(names, architecture.blocks, strict=True):
    same = block.stride == 1 and block.channels == c_in
    # A skip that keeps the shape has no weights.
    own = params.get(name.replace(".", "_"))
    if block.op != "skip":
      body = _inverted_residual(block, own, epsilon)
      layers.append(Residual(body) if same else body)
    elif not same:
      layers.append(_norm(own["skip"], epsilon, block.stride, "relu"))
    c_in = block.channels
  own = params["head"]
  layers.append(_norm(own["expand"], epsilon, 1, head.activation))
  layers.append(nn.AdaptiveAvgPool2d(1))
  if "project" in own:
    layers.append(_convolution(own["project"]))
    layers.append(_ACTIVATIONS[head.activation]())
  kernel = np.asarray(own["classifier"]["kernel"])
  classifier = nn.Linear(*kernel.shape)
  _fill(classifier, kernel.T, own["classifier"]["bias"])
  return nn.Sequential(*layers, nn.Flatten(), classifier)


def _inverted_residual(block: Block, own: Any, epsilon: float) -> nn.Sequential:
  parts: list[nn.Module] = []
  if "expand" in own:
    parts.append(_norm(own["expand"], epsilon, 1, block.activation))
  parts.append(
    _norm(
      own["depthwise"],
      epsilon,
      block.stride,
      block.activation,
      depthwise=True,
      padding=block.padding,
    )
  )
  if "squeeze_excite" in own:
    parts.append(Gate(own["squeeze_excite"], block.activation))
  parts.append(_norm(own["project"], epsilon, 1, None))
  return nn.Sequential(*parts)


def _norm(
  own: Any,
  epsilon: float,
  stride: int,
  activation: str | None,
  **options: Any,
) -> nn.Sequential:
  convolution = _convolution(own["conv"], stride, **options)
  norm = nn.BatchNorm2d(convolution.out_channels, eps=epsilon)
  _fill(norm, own["norm"]["scale"], own["norm"]["bias"])
  parts = [convolution, norm]
  if activation is not None:
    parts.append(_ACTIVATIONS[activation]())
  return nn.Sequential(*parts)


def _convolution(
  own: Any,
  stride: int = 1,
  depthwise: bool = False,
  padding: int | None = None,
) -> Any:
  kernel = np.asarray(own["kernel"])
  side, _, inputs, outputs = kernel.shape
  layer = nn.Conv2d(
    outputs if depthwise else inputs,
    outputs,
    side,
    stride,
    side // 2 if padding is None else padding,
    groups=outputs if depthwise else 1,
    bias="bias" in own,
  )
  _fill(layer, kernel.transpose(3, 2, 0, 1), own.get("bias"))
  return layer


def _fill(layer: Any, weight: Any, bias: Any) -> None:
  with torch.no_grad():
    layer.weight.copy_(torch.tensor(np.asarray(weight)))
    if bias is not None:
      layer.bias.copy_(torch.tensor(np.asarray(bias)))
