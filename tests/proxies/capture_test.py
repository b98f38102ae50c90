"""What is found inside modules and traced programs."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from fbnax.proxies import capture


def watched(function, *arguments):
  """How often each ReLU was executed, and the active units."""
  found = jax.jit(
    lambda *a: (
      capture.watch(
        function,
        {capture.RELU: lambda x, i, n: (jnp.eye(n)[i], (x > 0).sum())},
        *a,
      ).sums
    )
  )(*arguments)
  return found.get(capture.RELU)


X = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)


@pytest.mark.parametrize(
  "relu",
  [
    nn.relu,
    jax.nn.relu6,
    lambda x: jnp.maximum(x, 0),
    lambda x: jnp.maximum(0.0, x),
    jax.checkpoint(nn.relu),
    jax.jit(nn.relu),
  ],
)
def test_relus_of_all_kinds(relu):
  calls, active = watched(lambda x: relu(x).sum(), X)
  assert calls.tolist() == [1]
  assert active == (X > 0).sum()


def test_what_is_no_relu():
  assert watched(lambda x: jnp.maximum(x, 1.0).sum(), X) is None
  assert watched(lambda x: jnp.maximum(x.var(0), 0.0).sum(), X) is None
  assert watched(lambda x: jnp.tanh(x).sum(), X) is None


def test_only_the_branch_that_is_taken_counts():
  def function(x, index):
    return lax.switch(
      index,
      [lambda x: x, lambda x: nn.relu(nn.relu(x) - 1.0), nn.relu],
      nn.relu(x),
    ).sum()

  wanted = [1, 3, 2]
  for index, calls in enumerate(wanted):
    assert watched(function, X, index)[0].sum() == calls
  many = jax.vmap(lambda i: watched(function, X, i)[0].sum())(jnp.arange(3))
  assert many.tolist() == wanted


def test_values_of_a_kind_are_told_apart_by_their_place():
  def function(x, index):
    y = checkpoint_name(x + 1.0, capture.LAYER)
    return lax.switch(
      index,
      [
        lambda y: checkpoint_name(y + 1.0, capture.LAYER),
        lambda y: checkpoint_name(y + 2.0, capture.LAYER),
      ],
      y,
    ).sum()

  for index, wanted in enumerate(([1.0, 2.0, 0.0], [1.0, 0.0, 3.0])):
    sums = capture.watch(
      function,
      {capture.LAYER: lambda x, i, n: jnp.zeros(n).at[i].set(x[0])},
      jnp.zeros(2),
      jnp.asarray(index),
    ).sums
    assert sums[capture.LAYER].tolist() == wanted


def test_a_loop_counts_every_turn():
  def function(x):
    def step(carry, shift):
      return nn.relu(carry - shift), carry.sum()

    end, sums = lax.scan(step, x, jnp.asarray([0.0, 0.1, 0.2]))
    return end.sum() + sums.sum()

  calls, active = watched(function, X)
  assert calls.tolist() == [3]
  x = np.asarray(X)
  turns = [x, np.maximum(x, 0) - 0.1]
  turns.append(np.maximum(turns[1], 0) - 0.2)
  assert active == sum((t > 0).sum() for t in turns)


class Net(nn.Module):
  @nn.compact
  def __call__(self, x, train=True):
    x = nn.Conv(4, (3, 3), strides=2, feature_group_count=2, name="conv")(x)
    x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
    h = nn.Dense(4, name="gate")(x.mean((1, 2), keepdims=True))
    return nn.Dense(3, name="fc")((x * h).mean((1, 2)))


@pytest.fixture(scope="module")
def net():
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 2))
  variables = Net().init(jax.random.key(1), images)

  def forward(variables, images):
    return Net().apply(variables, images, mutable=["batch_stats"])[0]

  return forward, variables, images


def test_layers_in_order_with_their_macs(net):
  found = capture.layers(*net)
  assert [layer.path for layer in found] == [("conv",), ("gate",), ("fc",)]
  assert [layer.convolves for layer in found] == [True, False, False]
  assert [layer.macs for layer in found] == [16 * 9 * 4, 16, 12]


def test_the_last_map_is_what_the_pool_takes_in(net):
  forward, variables, images = net
  found = capture.watch(forward, {}, variables, images)
  np.testing.assert_array_equal(found.result, forward(variables, images))
  assert found.last_map.shape == (2, 4, 4, 4)
  layer = variables["params"]["fc"]
  logits = found.last_map.mean((1, 2)) @ layer["kernel"] + layer["bias"]
  np.testing.assert_allclose(logits, found.result, rtol=1e-5, atol=1e-6)


def test_norm_that_is_skipped(net):
  forward, variables, images = net
  with capture.intercept(skip_norm=True):
    plain = forward(variables, images)
  layers = variables["params"]
  x = nn.Conv(4, (3, 3), strides=2, feature_group_count=2).apply(
    {"params": layers["conv"]}, images
  )
  gate = nn.Dense(4).apply(
    {"params": layers["gate"]}, x.mean((1, 2), keepdims=True)
  )
  wanted = nn.Dense(3).apply({"params": layers["fc"]}, (x * gate).mean((1, 2)))
  np.testing.assert_allclose(plain, wanted, rtol=1e-5, atol=1e-6)
