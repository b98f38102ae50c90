"""The clock: what it calls, how often, and what it makes of the times."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.models import Network, timing
from fbnax.models.timing import TimingSettings


@pytest.mark.parametrize("times", (1, 5))
def test_a_function_is_called_so_often(times):
  called = []

  def function(x):
    jax.debug.callback(lambda _: called.append(1), x[0, 0])
    return 2.0 * x[:, :1]

  x = jnp.arange(6.0).reshape(2, 3)
  found = jax.block_until_ready(jax.jit(timing.repeated(function, times))(x))
  jax.effects_barrier()
  assert len(called) == times
  # The last result is that of the argument as it was.
  np.testing.assert_array_equal(found, 2.0 * x[:, :1])


def test_each_call_waits_for_the_one_before():
  """The loop's body reads the result that the loop carries."""
  x = jnp.ones((2, 2))
  jaxpr = jax.make_jaxpr(timing.repeated(lambda x: x @ x, 4))(x)
  text = str(jaxpr)
  assert "dot_general" in text
  found = jax.jit(timing.repeated(lambda x: x + jnp.nan, 4))(x)
  assert np.isnan(found).all()


def test_median_and_spread():
  random = np.random.default_rng(0)
  times = 3.0 + 0.5 * random.normal(size=20_000)
  times[:50] = 1000.0  # Something else ran.
  found = timing._summary(times)
  assert found.ms == pytest.approx(3.0, abs=0.02)
  assert found.spread == pytest.approx(0.5, abs=0.02)
  assert found.repeats == 20_000


class Products(nn.Module):
  """So many products with one matrix."""

  count: int

  @nn.compact
  def __call__(self, x, *, train):
    x = x.reshape(x.shape[0], -1)
    dense = nn.Dense(x.shape[-1])
    x = dense(x)
    kernel = dense.variables["params"]["kernel"]
    return jax.lax.fori_loop(
      0, self.count, lambda _, h: jnp.tanh(h @ kernel), x
    )


def test_more_work_takes_more_time():
  settings = TimingSettings(repeats=5, loops=4)
  shape = (8, 1, 1, 128)
  few, many = (
    timing.measure(Products(count), {"train": False}, shape, settings, 0.0)
    for count in (1, 2000)
  )
  assert many.ms > 3 * few.ms > 0
  assert many.repeats == 5
  assert timing.overhead(settings).ms > 0


def test_what_takes_long_is_called_less_often(monkeypatch):
  monkeypatch.setattr(timing, "_SECONDS", 0.0)
  settings = TimingSettings(repeats=30, loops=1)
  assert timing.overhead(settings).repeats == timing._FEWEST


def test_activations_keep_their_size():
  space = spaces.get("small_dnas")
  genotype = space.sample(jax.random.key(1), 1)[0]
  module = Network(space.architecture(genotype), 10)
  images = np.random.default_rng(1).normal(size=(2, 32, 32, 3))
  images = images.astype(np.float32)
  shapes = jax.eval_shape(
    lambda key: module.init(key, images, train=False), jax.random.key(0)
  )
  filled = timing._filled(shapes)

  def same(leaf, want):
    np.testing.assert_equal((leaf.shape, leaf.dtype), (want.shape, want.dtype))

  jax.tree.map(same, filled, shapes)
  found = jax.jit(lambda x: module.apply(filled, x, train=False))(images)
  assert 0.01 < np.asarray(found).std() < 100


def test_the_device_has_a_name():
  assert timing.device().startswith("CPU, ")
  assert len(timing.device()) > len("CPU, ")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"batch_size": 0}, "batch_size is 0; legal: at least 1"),
    ({"repeats": 0}, "repeats is 0; legal: at least 1"),
    ({"loops": 0}, "loops is 0; legal: at least 1"),
    ({"warmup": -1}, "warmup is -1; legal: at least 0"),
    ({"num_classes": 0}, "num_classes is 0; legal: at least 1"),
  ],
)
def test_settings_that_measure_nothing(changes, message):
  with pytest.raises(ValueError, match=message):
    TimingSettings(**changes)
