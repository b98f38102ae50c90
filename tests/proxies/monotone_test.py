import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fbnax import models, proxies, spaces
from fbnax.ops.hand_written import forward_mode
from fbnax.proxies import capture, monotone

X = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 4)))
W = jnp.asarray(np.random.default_rng(1).uniform(size=(4, 2)))
SIGNED = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2)))


def _loop(x, w):
  return lax.scan(lambda c, r: (c + jax.nn.relu(r @ w), c), x[0] @ w, x)[0]


def _falling_loop(x, w):
  """Falls from the second round on."""

  def step(carry, _):
    first, second = carry
    return (second, -first), None

  y = x @ w
  return lax.scan(step, (y, y), None, length=2)[0][0]


@pytest.mark.parametrize(
  ("function", "rises"),
  [
    (lambda x, w: x @ w + 3.0, True),
    (lambda x, w: jax.nn.relu(x @ w).sum(), True),
    (lambda x, w: jax.nn.relu6(x @ w) / 2.0, True),
    (lambda x, w: jax.nn.sigmoid(x @ w) * (x @ w), True),
    (lambda x, w: (x @ w) * jax.nn.relu6(x @ w + 3.0) / 6.0, True),
    (lambda x, w: lax.switch(1, [jnp.sin, jnp.tanh], x @ w), False),
    (lambda x, w: lax.switch(jnp.argmax(SIGNED[0]), [jnp.exp] * 2, x @ w), 1),
    (lambda x, w: lax.cond(x.sum() > 1, jnp.exp, jnp.exp, x @ w), False),
    (_loop, True),
    (_falling_loop, False),
    (lambda x, w: x @ w - 1.0, False),
    (lambda x, w: -(x @ w), False),
    (lambda x, w: x @ w * SIGNED, False),
    (lambda x, w: (x @ w) / (x @ w + 1.0), False),
    (lambda x, w: 1.0 / (x @ w + 1.0), False),
    (lambda x, w: jax.nn.softmax(x @ w), False),
  ],
)
def test_what_is_known_to_rise(function, rises):
  assert monotone.increases(function, X, W) == bool(rises)


class Network(nn.Module):
  """ReLU and BN, or a group norm, which subtracts a mean."""

  group: bool = False
  looped: bool = False

  @nn.compact
  def __call__(self, x, train):
    x = nn.Conv(4, (3, 3), name="first")(x)
    if self.group:
      x = nn.GroupNorm(num_groups=2, name="norm")(x)
    else:
      x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
    x = nn.relu(x)
    x = nn.relu(
      nn.Conv(4, (3, 3), strides=2, name="second")(x) + x[:, ::2, ::2]
    )
    return nn.Dense(3, name="fc")(x.mean((1, 2)))


@pytest.mark.parametrize("group", (False, True))
def test_synflow_is_the_sum_over_the_weights_either_way(group, monkeypatch):
  module = Network(group=group)
  images = jax.random.normal(jax.random.key(0), (2, 6, 6, 2))
  variables = module.init(jax.random.key(1), images, train=False)
  arguments = (variables, images, jnp.zeros(2, jnp.int32), jax.random.key(2))
  asked = []
  known = monotone.increases

  def ask(*given):
    asked.append(known(*given))
    return asked[-1]

  monkeypatch.setattr(monotone, "increases", ask)
  found = proxies.score(("synflow",), module, *arguments)["synflow"]
  monkeypatch.setattr(monotone, "increases", lambda *_: False)
  wanted = proxies.score(("synflow", "log_synflow"), module, *arguments)
  assert asked == [not group]
  assert found == pytest.approx(wanted["synflow"], rel=1e-9)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_synflow_of_the_cells_needs_no_backward_pass(dtype):
  space = spaces.get("nasbench201")
  cell = spaces.CellNetwork(("conv3x3",) * 6, channels=2, cells=2, resolution=8)
  module = models.CellSupernet(cell, 3, biased=True, one_hot=True)
  choice = models.one_hot(space, np.full(6, 2))
  images = np.ones((1, 8, 8, 3), dtype)
  shapes = jax.eval_shape(
    lambda key: module.init(key, images, choice, train=False),
    jax.random.key(0),
  )
  variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, dtype), shapes)
  found = []

  def trace(choice):
    def total(params):
      changed = {**variables, "params": params}
      return module.apply(changed, images, choice, train=False).sum()

    with capture.intercept(skip_norm=True), forward_mode():
      found.append(monotone.increases(total, variables["params"]))

  with jax.enable_x64(True):
    jax.eval_shape(trace, choice)
  assert found == [True]
