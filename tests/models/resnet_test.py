"""Residual networks: against NumPy, and what training asks of a module."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.models import initialize
from fbnax.models.building import build
from fbnax.spaces import CellNetwork
from fbnax.spaces.resnet import ResNet

TINY = {
  False: ResNet((1, 1), (4, 6), 4, resolution=6, input_channels=2),
  True: ResNet(
    (1, 2), (4, 6), 3, preactivation=True, resolution=6, input_channels=2
  ),
}


def _convolve(x, kernel, stride=1):
  """Tap by tap, in float64."""
  side, pad = kernel.shape[0], kernel.shape[0] // 2
  x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  out = (x.shape[1] - side) // stride + 1
  total = 0
  for i in range(side):
    for j in range(side):
      part = x[:, i : i + stride * out : stride, j : j + stride * out : stride]
      total = total + part[:, :out, :out] @ kernel[i, j]
  return total


def _norm(x, p, stats):
  scaled = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
  return scaled * p["scale"] + p["bias"]


def _reference(table, variables, x):
  """The published forward pass by hand."""
  as64 = jax.tree.map(lambda v: np.asarray(v, np.float64), variables)
  p, s = as64["params"], as64["batch_stats"]

  def relu(v):
    return np.maximum(v, 0)

  def both(v, path, block, stride=1):
    y = _convolve(v, p[block][path]["conv"]["kernel"], stride)
    return _norm(y, p[block][path]["norm"], s[block][path]["norm"])

  if table.preactivation:
    x = _convolve(x, p["stem"]["kernel"])
  else:
    x = _convolve(x, p["stem"]["conv"]["kernel"])
    x = relu(_norm(x, p["stem"]["norm"], s["stem"]["norm"]))
  for stage, blocks in enumerate(table.blocks):
    for index in range(blocks):
      name = f"stage{stage}_block{index}"
      stride = 2 if stage and not index else 1
      if table.preactivation:
        y = relu(_norm(x, p[name]["norm0"], s[name]["norm0"]))
        if "shortcut" in p[name]:
          x = _convolve(y, p[name]["shortcut"]["kernel"], stride)
        y = _convolve(y, p[name]["conv0"]["kernel"], stride)
        y = relu(_norm(y, p[name]["norm1"], s[name]["norm1"]))
        x = x + _convolve(y, p[name]["conv1"]["kernel"])
      else:
        y = both(relu(both(x, "conv0", name, stride)), "conv1", name)
        if "shortcut" in p[name]:
          x = both(x, "shortcut", name, stride)
        x = relu(x + y)
  if table.preactivation:
    x = relu(_norm(x, p["norm"], s["norm"]))
  x = x.mean((1, 2))
  return x @ p["classifier"]["kernel"] + p["classifier"]["bias"]


@pytest.mark.parametrize("pre", [False, True])
def test_forward_and_training(pre):
  table = TINY[pre]
  module = build(table, 3)
  x = jax.random.normal(jax.random.key(1), (4, 6, 6, 2))
  variables = jax.jit(lambda k: initialize(module, k, x, train=False))(
    jax.random.key(0)
  )
  # Running statistics and scales that are no ones and zeros.
  leaves, tree = jax.tree.flatten(variables)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  variables = jax.tree.unflatten(
    tree,
    [
      v + 0.2 * jax.random.uniform(k, v.shape)
      for v, k in zip(leaves, keys, strict=True)
    ],
  )
  logits = jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, x)
  chex.assert_shape(logits, (4, 3))
  np.testing.assert_allclose(
    logits, _reference(table, variables, np.asarray(x, np.float64)), rtol=1e-4
  )

  @jax.jit
  def train(v, x, key, dropout, depth):
    return module.apply(
      v,
      x,
      train=True,
      dropout=dropout,
      stochastic_depth=depth,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )

  key = jax.random.key(3)
  plain, updated = train(variables, x, key, 0.0, 0.0)
  again, _ = train(variables, x, jax.random.key(4), 0.0, 0.0)
  np.testing.assert_array_equal(plain, again)
  assert not np.array_equal(plain, train(variables, x, key, 0.5, 0.0)[0])
  assert not np.array_equal(plain, train(variables, x, key, 0.0, 0.9)[0])
  chex.assert_trees_all_equal_shapes(
    updated["batch_stats"], variables["batch_stats"]
  )
  moved = jax.tree.map(
    lambda a, b: bool(jnp.any(a != b)),
    updated["batch_stats"],
    variables["batch_stats"],
  )
  assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize("pre", [False, True])
def test_logits_are_the_classifiers_of_the_last_feature_map(pre):
  table = dataclasses.replace(
    TINY[pre], blocks=(1, 1, 1), widths=(4, 6, 8), resolution=8
  )
  module = build(table, 3)
  x = jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
  variables = jax.jit(lambda k: initialize(module, k, x, train=False))(
    jax.random.key(0)
  )
  maps, logits = jax.jit(
    lambda v, x: [
      module.apply(v, x, train=False, features=wanted)
      for wanted in (True, False)
    ]
  )(variables, x)
  assert {stride: m.shape for stride, m in maps.items()} == {4: (2, 2, 2, 8)}
  last = variables["params"]["classifier"]
  np.testing.assert_allclose(
    maps[4].mean((1, 2)) @ last["kernel"] + last["bias"], logits, rtol=1e-5
  )


def test_only_what_has_a_module_is_built():
  cells = CellNetwork(("none",) * 6)
  with pytest.raises(ValueError, match="CellNetwork"):
    build(cells, 10)
  other = dataclasses.replace(TINY[False], stem=5)
  assert build(other, 3).architecture == other
