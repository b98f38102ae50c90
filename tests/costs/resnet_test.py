"""Residual networks against published counts and their own modules."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs
from fbnax.models.building import build
from fbnax.ops import conv
from fbnax.spaces.resnet import NAMED


@pytest.mark.parametrize(
  ("name", "classes", "params"),
  [
    # Of the programs that the networks are usually taken from, to the digit.
    ("resnet18", 10, 11_173_962),
    ("resnet18", 100, 11_220_132),
    ("wideresnet28_10", 10, 36_479_194),
    ("wideresnet28_10", 100, 36_536_884),
  ],
)
def test_published_parameters(name, classes, params):
  assert costs.count(NAMED[name], classes).params == params


def test_published_macs():
  # 0.56 and 5.25 billion: those of the publications and usual counters.
  assert round(costs.count(NAMED["resnet18"], 10).macs / 1e9, 2) == 0.56
  assert round(costs.count(NAMED["wideresnet28_10"], 10).macs / 1e9, 2) == 5.24


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("side", [32, 9])
def test_rows_are_those_of_the_module(name, side):
  network = dataclasses.replace(NAMED[name], resolution=side)
  module = build(network, 10)
  shapes = jax.eval_shape(
    lambda k: module.init(k, jnp.zeros((1, side, side, 3)), train=False),
    jax.random.key(0),
  )
  numbers = sum(
    int(np.prod(x.shape)) for x in jax.tree.leaves(shapes["params"])
  )
  rows = costs.layers(network, 10)
  assert sum(r.params for r in rows) == numbers
  assert costs.published(network, 10) == costs.count(network, 10)

  seen = []
  convolve = conv.conv

  def listen(x, kernel, *more, **keywords):
    y = convolve(x, kernel, *more, **keywords)
    seen.append(y.size * kernel.size // kernel.shape[-1])
    return y

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(conv, "conv", listen)
    jax.eval_shape(
      lambda v: module.apply(v, jnp.zeros((1, side, side, 3)), train=False),
      shapes,
    )
  last = rows[-1]
  assert sum(seen) + last.c_in * last.c_out == sum(r.macs for r in rows)
