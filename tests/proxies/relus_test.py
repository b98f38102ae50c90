"""Clamps and ReLUs are told apart by where they stand."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import normalization

from fbnax import proxies
from fbnax.proxies import capture

IMAGES = jax.random.normal(jax.random.key(1), (4, 6, 6, 3))


def units(module):
  """Units of each ReLU that is counted, in order; nothing is computed."""
  variables = jax.eval_shape(module.init, jax.random.key(0), IMAGES)
  found = []

  def forward(variables, images):
    return module.apply(variables, images, mutable=["batch_stats"])[0]

  def statistic(x, *_):
    found.append(x[0].size)
    return jnp.zeros(())

  jax.eval_shape(
    lambda *a: capture.watch(forward, {capture.RELU: statistic}, *a).sums,
    variables,
    IMAGES,
  )
  return found[1:]  # Of the first call the shape is taken.


class Net(nn.Module):
  """A normalisation between layers, with an activation or another."""

  norm: Callable[[], Any]
  activation: Callable[[Any], Any] = nn.gelu
  more: tuple = ()

  @nn.compact
  def __call__(self, x, train=True):
    x = nn.Conv(8, (3, 3), strides=2, name="conv")(x)
    x = self.activation(self.norm()(x, **dict(self.more)))
    return nn.Dense(5)(x.mean((1, 2)))


class Wrapped(nn.Module):
  """A layer of the user's under a normalisation of weights."""

  wrapper: Any
  activation: Callable[[Any], Any]
  more: tuple = ()

  @nn.compact
  def __call__(self, x):
    return self.wrapper(Inner(self.activation))(x, **dict(self.more))


class Inner(nn.Module):
  activation: Callable[[Any], Any]

  @nn.compact
  def __call__(self, x):
    return nn.Dense(5)(self.activation(nn.Conv(8, (3, 3))(x)).mean((1, 2)))


def mask():
  return jnp.arange(8) < 5


NORMS = {
  "BatchNorm": lambda: nn.BatchNorm(use_running_average=False),
  "BatchNorm per place": lambda: nn.BatchNorm(False, axis=(1, 2, 3)),
  "BatchNorm over rows": lambda: nn.BatchNorm(False, axis=(1, 3)),
  "LayerNorm": nn.LayerNorm,
  "LayerNorm slow": lambda: nn.LayerNorm(use_fast_variance=False),
  "LayerNorm of a map": lambda: nn.LayerNorm(reduction_axes=(1, 2, 3)),
  "LayerNorm of places": lambda: nn.LayerNorm(reduction_axes=(1, 2)),
  "GroupNorm": lambda: nn.GroupNorm(2),
  "GroupNorm of one": lambda: nn.GroupNorm(None, group_size=1),
  "InstanceNorm": nn.InstanceNorm,
  "RMSNorm": nn.RMSNorm,
}


@pytest.mark.parametrize("name", NORMS)
def test_every_normalisation(name):
  norm = NORMS[name]
  assert units(Net(norm)) == []
  assert units(Net(norm, nn.relu)) == [72]
  assert units(Net(norm, lambda x: nn.relu(nn.relu(x) - 1))) == [72, 72]


def test_no_normalisation_of_flax_is_left_out():
  classes = {
    name
    for name, value in vars(normalization).items()
    if isinstance(value, type) and issubclass(value, nn.Module)
  }
  tested = {name.split()[0] for name in NORMS}
  assert classes - {"Module"} == tested | {"WeightNorm", "SpectralNorm"}


@pytest.mark.parametrize(
  ("wrapper", "more"),
  [(nn.WeightNorm, ()), (nn.SpectralNorm, (("update_stats", True),))],
)
def test_normalisations_of_weights(wrapper, more):
  # What the wrapped layers do is theirs.
  assert units(Wrapped(wrapper, nn.relu, more)) == [288]
  assert units(Wrapped(wrapper, nn.gelu, more)) == []


def test_a_mask_of_the_statistics():
  more = (("mask", mask()),)
  assert units(Net(nn.LayerNorm, nn.gelu, more)) == []
  assert units(Net(nn.LayerNorm, nn.relu, more)) == [72]


class Masked(nn.Module):
  """The images themselves say which of them count."""

  @nn.compact
  def __call__(self, x):
    return nn.LayerNorm()(x, mask=nn.sigmoid(x) > 0.2)


def test_a_mask_of_the_images():
  assert units(Net(Masked)) == []
  assert units(Net(Masked, nn.relu)) == [72]


class NormReLU(nn.LayerNorm):
  """A user's class of a normalisation that also has a ReLU."""

  @nn.compact
  def __call__(self, x):
    return nn.relu(super().__call__(x))


class Block(nn.Module):
  """A module with a normalisation and a ReLU in it."""

  @nn.compact
  def __call__(self, x):
    return nn.relu(nn.LayerNorm()(nn.relu(x)))


@pytest.mark.parametrize(
  ("norm", "relus"),
  [(NormReLU, 1), (Block, 2), (nn.remat(Block), 2), (nn.jit(Block), 2)],
)
def test_relus_in_modules_with_normalisations(norm, relus):
  assert units(Net(norm)) == [72] * relus


class Own(nn.Module):
  """A user's normalisation, with a clamp of its own."""

  clamp: Callable[[Any], Any]
  axes: tuple
  mean: bool = True

  @nn.compact
  def __call__(self, x):
    mean = x.mean(self.axes, keepdims=True) if self.mean else 0.0
    var = self.clamp((x * x).mean(self.axes, keepdims=True) - mean**2)
    scale = self.param("scale", nn.initializers.ones, (1, 1, 1, x.shape[-1]))
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * scale


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2), (3,), (1, 2, 3)])
@pytest.mark.parametrize(
  "clamp", [nn.relu, lambda x: jnp.maximum(x, 0), jax.jit(nn.relu)]
)
def test_normalisations_of_the_users_own(clamp, axes):
  # Of a program that jit keeps for both, the ReLU's call alone counts.
  assert units(Net(lambda: Own(clamp, axes))) == []
  assert units(Net(lambda: Own(clamp, axes), clamp)) == [72]


def test_deviations_that_are_clamped():
  def net(make):
    return Net(lambda: Own(nn.relu, (3,)), lambda x: x / make(x))

  assert units(net(lambda x: nn.relu(x.std((1, 2), keepdims=True)) + 1)) == []
  assert units(net(lambda x: nn.relu((x**2).sum(-1, keepdims=True)) + 1)) == []


class SqueezeExcite(nn.Module):
  """Its ReLU is of pooled values, and one."""

  @nn.compact
  def __call__(self, x):
    y = nn.relu(nn.Dense(4)(x.mean((1, 2), keepdims=True)))
    return x * nn.sigmoid(nn.Dense(x.shape[-1])(y))


def test_relus_of_pooled_values():
  assert units(Net(SqueezeExcite)) == [4]
  assert units(Net(nn.LayerNorm, lambda x: nn.relu(x.mean((1,))[:, None]))) == [
    24
  ]
  # After a layer, squares are activations.
  assert units(Net(lambda: nn.Dense(6), lambda x: nn.relu(x) ** 2)) == [54]


@pytest.mark.parametrize(
  ("activation", "count"),
  [(nn.relu6, 1), (nn.hard_swish, 1), (nn.leaky_relu, 0), (nn.silu, 0)],
)
def test_what_is_built_of_relu(activation, count):
  assert units(Net(lambda: nn.GroupNorm(2), activation)) == [72] * count


@pytest.mark.parametrize("fast", [True, False])
def test_naswot_of_a_network_with_layer_norm(fast):
  labels = np.arange(4) % 5
  for activation in (nn.gelu, nn.relu):
    net = Net(lambda: nn.LayerNorm(use_fast_variance=fast), activation)
    variables = net.init(jax.random.key(0), IMAGES)
    arguments = (net, variables, IMAGES, labels, jax.random.key(2))
    if activation is nn.relu:
      assert np.isfinite(proxies.score(["naswot"], *arguments)["naswot"])
    else:
      with pytest.raises(ValueError, match="the module computes no ReLU"):
        proxies.score(["naswot"], *arguments)
