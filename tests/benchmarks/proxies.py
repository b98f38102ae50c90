"""Zero-cost proxies beside plain PyTorch: architectures per CPU-second.

  python -m tests.benchmarks.proxies [proxy ...] [--json=FILE] [--quick]

Cells of NAS-Bench-201 in the size of the benchmark (16 channels, five cells a
stage, batch 64, 32 x 32): ours one after the other through one compiled program
of all cells, PyTorch's each built for its one cell, eagerly, with the same
weights. Both give the same values: a wrong one fails, a slow one does not.
Processor time on one core is taken, the least of three runs each, so that other
work on the machine counts little. Needs the extra `torch`. `--quick` has one
cell, batch 8 and 8 x 8 pixels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fbnax import models, spaces
from fbnax.proxies import Scorer
from fbnax.spaces.cell import EDGES
from tests.benchmarks import measuring

NAMES = (
  "grad_norm",
  "snip",
  "fisher",
  "grasp",
  "jacob_cov",
  "naswot",
  "synflow",
)
CLASSES, BATCH, SIDE, RUNS = 10, 64, 32, 3
CELLS = (
  "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|"
  "+|skip_connect~0|none~1|nor_conv_3x3~2|",
  "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|"
  "+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|",
  "|skip_connect~0|+|none~0|nor_conv_1x1~1|"
  "+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
)
# Largest relative difference; grasp is a difference of large sums.
TOLERANCE = {"grasp": 3e-3, "jacob_cov": 2e-2}


class ReluConvNorm(nn.Module):
  """As in the benchmark's own program."""

  def __init__(self, variables, statistics, stride=1):
    super().__init__()
    self.conv = convolution(variables["conv"], stride)
    width = statistics["norm"]["mean"].shape[0]
    affine = "norm" in variables
    self.norm = nn.BatchNorm2d(width, affine=affine)

  def forward(self, x):
    return self.norm(self.conv(torch.relu(x)))


class Network(nn.Module):
  """The network of one cell, with the weights of ours."""

  def __init__(self, network, variables):
    super().__init__()
    self.network = network
    params, statistics = variables["params"], variables["batch_stats"]
    self.stem = convolution(params["stem_conv"], 1)
    self.stem_norm = nn.BatchNorm2d(network.channels)
    self.parts = nn.ModuleDict()
    for name, own in params.items():
      if name.startswith("stage") and "cell" in name:
        for edge, inner in own.items():
          self.parts[f"{name}_{edge}"] = ReluConvNorm(
            inner, statistics[name][edge]
          )
      elif name.startswith("stage"):
        for part, stride in (("conv1", 2), ("conv2", 1)):
          self.parts[f"{name}_{part}"] = ReluConvNorm(
            own[part], statistics[name][part], stride
          )
        self.parts[f"{name}_shortcut"] = convolution(own["shortcut"], 1)
    self.head_norm = nn.BatchNorm2d(4 * network.channels)
    kernel = params["classifier"]["kernel"]
    self.classifier = nn.Linear(*kernel.shape)
    fill(self.classifier, kernel.T, params["classifier"]["bias"])

  def forward(self, x):
    x = self.stem_norm(self.stem(x))
    for stage in range(3):
      if stage:
        name = f"stage{stage}_reduction"
        h = self.parts[f"{name}_conv2"](self.parts[f"{name}_conv1"](x))
        x = h + self.parts[f"{name}_shortcut"](F.avg_pool2d(x, 2))
      for index in range(self.network.cells):
        x = self.cell(x, f"stage{stage}_cell{index}")
    x = torch.relu(self.head_norm(x))
    return self.classifier(x.mean((2, 3)))

  def cell(self, x, name):
    nodes = [x]
    for end in (1, 2, 3):
      into = []
      for (start, to), op in zip(EDGES, self.network.ops, strict=True):
        if to != end:
          continue
        y = nodes[start]
        if op == "none":
          y = y * 0.0
        elif op == "avgpool3x3":
          y = F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
        elif op != "skip":
          y = self.parts[f"{name}_edge{start}_{end}_{op}"](y)
        into.append(y)
      nodes.append(sum(into[1:], start=into[0]))
    return nodes[-1]


def fill(layer, weight, bias):
  """Copies weights into a layer."""
  with torch.no_grad():
    layer.weight.copy_(torch.tensor(np.asarray(weight)))
    if layer.bias is not None:
      layer.bias.copy_(torch.tensor(np.asarray(bias)))


def convolution(variables, stride):
  """A convolution with given weights, HWIO."""
  kernel = np.asarray(variables["kernel"])
  side, _, inputs, outputs = kernel.shape
  layer = nn.Conv2d(
    inputs, outputs, side, stride, side // 2, bias="bias" in variables
  )
  fill(layer, kernel.transpose(3, 2, 0, 1), variables.get("bias"))
  return layer


def layers(net):
  """Convolutions and linear layers."""
  return [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def gradients(net, x, y, **keywords):
  """Of the loss toward the weights."""
  weights = [m.weight for m in layers(net)]
  loss = F.cross_entropy(net(x), y)
  return weights, torch.autograd.grad(
    loss, weights, allow_unused=True, **keywords
  )


def grad_norm(net, x, y):
  """See `fbnax.proxies.gradients`, here and below."""
  _, found = gradients(net, x, y)
  return sum(float(g.norm()) for g in found if g is not None)


def snip(net, x, y):
  weights, found = gradients(net, x, y)
  return sum(
    float((w * g).abs().sum())
    for w, g in zip(weights, found, strict=True)
    if g is not None
  )


def fisher(net, x, y):
  kept = []
  handles = [
    m.register_forward_hook(lambda m, _, out: kept.append((m, out)))
    for m in layers(net)
  ]
  loss = F.cross_entropy(net(x), y)
  for handle in handles:
    handle.remove()
  found = torch.autograd.grad(loss, [out for _, out in kept], allow_unused=True)
  total = 0.0
  for (m, out), g in zip(kept, found, strict=True):
    if g is not None:
      gate = (out * g).flatten(2).sum(2) if out.ndim > 2 else out * g
      size = math.prod(m.weight.shape[1:])
      total += float(0.5 * (gate * gate).mean(0).sum() * size)
  return total


def grasp(net, x, y):
  weights, found = gradients(net, x, y, create_graph=True)
  product = sum((g * g.detach()).sum() for g in found if g is not None)
  second = torch.autograd.grad(product, weights, allow_unused=True)
  return -sum(
    float((w * h).sum())
    for w, h in zip(weights, second, strict=True)
    if h is not None
  )


def jacob_cov(net, x, y):
  x = x.clone().requires_grad_(True)
  (found,) = torch.autograd.grad(net(x).sum(), x)  # None toward the weights.
  rows = found.reshape(len(x), -1).numpy()
  values = np.linalg.eigvalsh(np.corrcoef(rows))
  values = np.maximum(values, 0.0) + 1e-5
  return -np.sum(np.log(values) + 1.0 / values)


def naswot(net, x, y):
  matrix = np.zeros((len(x), len(x)))
  plain = torch.relu

  def counting(value):
    code = (value > 0).flatten(1).float()
    matrix[:] += (code @ code.T + (1 - code) @ (1 - code).T).numpy()
    return plain(value)

  torch.relu = counting
  try:
    with torch.no_grad():
      net(x)
  finally:
    torch.relu = plain
  return np.linalg.slogdet(matrix)[1]


def synflow(net, x, y):
  net = net.double()
  with torch.no_grad():
    for value in net.parameters():
      value.abs_()
  for name, module in list(net.named_modules()):
    if isinstance(module, nn.BatchNorm2d):
      owner = net.get_submodule(name.rpartition(".")[0])
      setattr(owner, name.rpartition(".")[2], nn.Identity())
  weights = [m.weight for m in layers(net)]
  total = net(torch.ones_like(x[:1]).double()).sum()
  found = torch.autograd.grad(total, weights, allow_unused=True)
  return sum(
    float((w * g).abs().sum())
    for w, g in zip(weights, found, strict=True)
    if g is not None
  )


@functools.cache
def problem(
  cells: tuple[Any, ...], batch: int, side: int
) -> tuple[Any, Any, tuple[Any, ...], np.ndarray, np.ndarray]:
  """Function, variables, choice weights, images and labels."""
  space = spaces.get("nasbench201")
  module = models.CellSupernet(
    cells[0], CLASSES, affine=False, biased=True, one_hot=True
  )
  random = np.random.default_rng(0)
  images = random.normal(size=(batch, side, side, 3)).astype(np.float32)
  labels = random.integers(0, CLASSES, batch)
  choices = tuple(models.one_hot(space, space.genotype(c)) for c in cells)
  variables = jax.jit(
    lambda key: models.initialize(
      module, key, images[:1], choices[0], train=False
    )
  )(jax.random.key(0))

  def network(variables, images, key, choice, train=True):
    logits, _ = module.apply(
      variables, images, choice, train=train, mutable=["batch_stats"]
    )
    return logits

  return network, variables, choices, images, labels


def measure(
  name: str, cells: tuple[Any, ...], batch: int, side: int
) -> measuring.Row:
  """The rate of a proxy over all cells, and PyTorch's."""
  network, variables, choices, images, labels = problem(cells, batch, side)
  ours_batch = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
  x = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous()
  y = torch.tensor(labels)
  scorer = Scorer((name,), network)
  first, ours, theirs = None, [], []
  for cell, choice in zip(cells, choices, strict=True):
    timing, found = measuring.timed(
      lambda _, choice=choice: scorer(
        variables, *ours_batch, jax.random.key(1), choice
      ),
      RUNS,
    )
    first = timing.first if first is None else first
    ours.append(min(timing.cpu))
    own = jax.device_get(models.extract_cell(cell, variables))
    # A new network each time: synflow changes its own.
    nets = [Network(cell, own).train() for _ in range(RUNS + 1)]
    timing, wanted = measuring.timed(
      lambda i, nets=nets: globals()[name](nets[i], x, y), RUNS
    )
    theirs.append(min(timing.cpu))
    np.testing.assert_allclose(
      found[name], wanted, rtol=TOLERANCE.get(name, 1e-3), err_msg=name
    )
  return measuring.Row(
    f"proxy {name}, cells of NAS-Bench-201, batch {batch}",
    len(cells) / sum(ours),
    "networks/CPU s",
    peer="PyTorch",
    peer_value=len(cells) / sum(theirs),
    notes=f"on one core, first call {first:.1f} s",
    main=True,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All proxies, or those that are asked for."""
  measuring.one_core()
  torch.set_num_threads(1)
  cells = tuple(spaces.CellNetwork.from_arch_str(text) for text in CELLS)
  sizes: Any = (cells[:1], 8, 8) if given.quick else (cells, BATCH, SIDE)
  for name in given.parts[:2] if given.quick else given.parts:
    yield measure(name, *sizes)


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=NAMES)
