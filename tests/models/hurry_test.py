"""What is compiled in a hurry computes the same, up to rounding."""

import logging

import chex
import jax
import jax.numpy as jnp

from fbnax import models
from fbnax.models import hurry
from fbnax.spaces import Architecture, Block, Head, Stem

TINY = Architecture(
  resolution=8,
  stem=Stem(channels=4, stride=1),
  blocks=(Block(channels=4, stage=1, expansion=2.0),),
  head=Head(channels=4, expansion=0.0),
)


def test_weights_differ_by_rounding():
  network = models.Network(TINY, 3)

  def initial(key):
    images = jnp.zeros((1, 8, 8, 3))
    return models.initialize(network, key, images, train=False)

  key = jax.random.key(0)
  full = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
  }
  chex.assert_trees_all_close(
    hurry.jit_once(initial)(key),
    jax.jit(initial, compiler_options=full)(key),
    rtol=1e-5,
    atol=1e-6,
  )


def test_an_unknown_option_is_told_once(monkeypatch, caplog):
  monkeypatch.setattr(hurry, "OPTIONS", {"xla_no_such_option": 1})
  hurry.options.cache_clear()
  with caplog.at_level(logging.WARNING):
    once = [hurry.jit_once(lambda x: 2 * x)(i) for i in (1, 2)]
    other = hurry.jit_once(lambda x: 3 * x)(1)
  hurry.options.cache_clear()
  assert [*map(int, once), int(other)] == [2, 4, 3]
  assert caplog.text.count("xla_no_such_option") == 1
