"""Scores that are worked out by hand, many networks, and bad input."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, models, proxies, spaces
from fbnax.models.layers import Conv

B, SIDE, CHANNELS, CLASSES = 6, 4, 2, 3


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x, train):
    return nn.Dense(CLASSES, name="fc")(x.reshape(x.shape[0], -1))


class Small(nn.Module):
  """One convolution, maybe BN, ReLU, and dropout."""

  relu: bool = True
  norm: bool = False
  scale: float = 1.0

  @nn.compact
  def __call__(self, x, train):
    x = Conv(3, kernel=3, name="conv")(x) * self.scale
    if self.norm:
      x = nn.BatchNorm(use_running_average=not train, name="norm")(x)
    x = nn.relu(x) if self.relu else jnp.tanh(x)
    x = nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2)))
    return nn.Dense(CLASSES, name="fc")(x)


@pytest.fixture(scope="module")
def batch():
  random = np.random.default_rng(0)
  images = random.normal(size=(B, SIDE, SIDE, CHANNELS)).astype(np.float32)
  return jnp.asarray(images), jnp.asarray(random.integers(0, CLASSES, B))


def start(module, batch):
  return module.init(jax.random.key(1), batch[0], train=False)


def score(names, module, batch, variables=None):
  variables = start(module, batch) if variables is None else variables
  return proxies.score(names, module, variables, *batch, jax.random.key(2))


def _gradient(variables, images, labels):
  """Of the mean cross entropy of a linear network, in NumPy."""
  x = np.asarray(images, np.float64).reshape(len(images), -1)
  layer = variables["params"]["fc"]
  kernel, bias = (np.asarray(layer[k], np.float64) for k in ("kernel", "bias"))
  logits = x @ kernel + bias
  p = np.exp(logits - logits.max(1, keepdims=True))
  p = p / p.sum(1, keepdims=True) - np.eye(CLASSES)[np.asarray(labels)]
  return x.T @ p / len(x), x, p


def test_a_linear_network_in_closed_form(batch):
  variables = start(Linear(), batch)
  names = ("grad_norm", "snip", "zico", "jacob_cov", "macs", "params")
  found = score(names, Linear(), batch, variables)
  gradient, _, _ = _gradient(variables, *batch)
  kernel = np.asarray(variables["params"]["fc"]["kernel"], np.float64)
  assert found["grad_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
  assert found["snip"] == pytest.approx(
    np.abs(kernel * gradient).sum(), rel=1e-5
  )
  halves = np.stack(
    [
      _gradient(variables, batch[0][part], batch[1][part])[0]
      for part in (slice(0, B // 2), slice(B // 2, B))
    ]
  )
  ratio = np.abs(halves).mean(0) / halves.std(0)
  assert found["zico"] == pytest.approx(np.log(ratio.sum()), rel=1e-3)
  # All images have the same gradient of the logits: one eigenvalue is B.
  values = np.asarray([B] + [0] * (B - 1)) + 1e-5
  wanted = -(np.log(values) + 1 / values).sum()
  assert found["jacob_cov"] == pytest.approx(wanted, rel=0.02)
  size = SIDE * SIDE * CHANNELS * CLASSES
  assert (found["macs"], found["params"]) == (size, size + CLASSES)


def test_grasp_is_minus_w_times_hessian_times_gradient(batch):
  """The Hessian of the linear network by differences of its gradient."""
  variables = start(Linear(), batch)
  found = score(("grasp",), Linear(), batch, variables)["grasp"]
  gradient, _, _ = _gradient(variables, *batch)
  layer = variables["params"]["fc"]
  kernel = np.asarray(layer["kernel"], np.float64)
  step = 1e-5
  ends = [
    _gradient(
      {"params": {"fc": {**layer, "kernel": kernel + sign * step * gradient}}},
      *batch,
    )[0]
    for sign in (1, -1)
  ]
  along = (ends[0] - ends[1]) / (2 * step)
  assert found == pytest.approx(-(kernel * along).sum(), rel=1e-3)


def test_a_gradient_written_by_hand_has_a_grasp(batch):
  """A depthwise convolution on a CPU; the same network with lax's."""

  class Depthwise(nn.Module):
    own: bool

    @nn.compact
    def __call__(self, x, train):
      if self.own:
        x = Conv(CHANNELS, kernel=3, depthwise=True, name="conv")(x)
      else:
        x = nn.Conv(
          CHANNELS,
          (3, 3),
          feature_group_count=CHANNELS,
          use_bias=False,
          padding=1,
          name="conv",
        )(x)
      return nn.Dense(CLASSES, name="fc")(jnp.tanh(x).mean((1, 2)))

  variables = start(Depthwise(True), batch)
  found = [
    score(("grasp",), Depthwise(own), batch, variables)["grasp"]
    for own in (True, False)
  ]
  assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_gradient_that_a_module_brings_along_has_a_grasp(batch):
  """It cannot be taken forwards; the same network without it can."""

  @jax.custom_vjp
  def square(x):
    return x * x

  square.defvjp(lambda x: (x * x, x), lambda x, up: (2.0 * x * up,))

  class Squared(nn.Module):
    own: bool

    @nn.compact
    def __call__(self, x, train):
      x = nn.Conv(CHANNELS, (3, 3), name="conv")(x)
      x = square(x) if self.own else x * x
      return nn.Dense(CLASSES, name="fc")(x.mean((1, 2)))

  variables = start(Squared(True), batch)
  found = [
    score(("grasp",), Squared(own), batch, variables)["grasp"]
    for own in (True, False)
  ]
  assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_meco_is_the_least_eigenvalue_of_the_channels_correlations(batch):
  variables = start(Small(), batch)
  kernel = np.asarray(variables["params"]["conv"]["kernel"], np.float64)
  image = np.pad(np.asarray(batch[0][0], np.float64), ((1, 1), (1, 1), (0, 0)))
  channels = np.zeros((3, SIDE * SIDE))
  for row in range(SIDE):
    for column in range(SIDE):
      patch = image[row : row + 3, column : column + 3]
      channels[:, row * SIDE + column] = np.einsum("hwc,hwco->o", patch, kernel)
  wanted = np.linalg.eigvalsh(np.corrcoef(channels))[0]
  found = score(("meco",), Small(), batch, variables)["meco"]
  assert found == pytest.approx(wanted, rel=1e-3)


def test_naswot_of_codes_counted_one_by_one(batch):
  variables = start(Small(norm=True), batch)
  _, kept = Small(norm=True).apply(
    variables,
    batch[0],
    train=True,
    mutable=["intermediates", "batch_stats"],
    capture_intermediates=True,
    rngs={"dropout": jax.random.key(0)},
  )
  before = kept["intermediates"]["norm"]["__call__"][0]
  codes = np.asarray(before > 0).reshape(B, -1)
  matrix = [[(a == b).sum() for b in codes] for a in codes]
  found = score(("naswot",), Small(norm=True), batch, variables)["naswot"]
  assert found == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-6)


def test_many_networks_have_the_scores_of_each(batch):
  module = Small(norm=True)
  variables = start(module, batch)

  def network(variables, images, key, strength, train):
    return module.apply(
      variables,
      images * strength,
      train=train,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )[0]

  names = ("grad_norm", "jacob_cov", "naswot", "synflow")
  scorer = proxies.Scorer(names, network)
  strengths = jnp.asarray([0.5, 1.0, 3.0])
  arguments = (variables, *batch, jax.random.key(0))
  many = scorer.batch(*arguments, strengths)
  assert tuple(many) == names
  for i, strength in enumerate(strengths):
    one = scorer(*arguments, strength)
    for name in names:
      assert many[name][i] == pytest.approx(one[name], rel=1e-4)
  assert len(set(many["synflow"])) == 3
  with pytest.raises(ValueError, match="params counts the whole module"):
    proxies.Scorer(("params",), network).batch(*arguments, strengths)


@pytest.mark.parametrize("kind", [jnp.asarray, np.array])
def test_weights_that_change_in_place_change_the_score(batch, kind):
  variables = jax.tree.map(kind, start(Small(), batch))
  before = score(["synflow"], Small(), batch, variables)["synflow"]
  layer = variables["params"]["fc"]
  if kind is np.array:
    layer["kernel"] *= 3.0
  else:
    layer["kernel"] = 3.0 * layer["kernel"]
  after = score(["synflow"], Small(), batch, variables)["synflow"]
  assert after == pytest.approx(3.0 * before, rel=1e-6)


def test_what_is_not_finite_ranks_last(batch):
  dead = Small(norm=True, scale=0.0)
  names = ("grad_norm", "jacob_cov", "naswot", "log_synflow", "zen")
  found = score(names, dead, batch)
  assert not any(np.isnan(v) for v in found.values())
  for name in ("jacob_cov", "naswot", "log_synflow", "zen"):
    assert found[name] == -np.inf
  overflowing = Small(scale=1e38)
  found = score(("grad_norm", "snip"), overflowing, batch)
  assert found == {"grad_norm": -np.inf, "snip": -np.inf}


@pytest.mark.parametrize(
  "name, module, said",
  [
    ("naswot", Small(relu=False), "computes no ReLU"),
    ("fisher", Linear(), "calls no convolution"),
    ("meco", Linear(), "calls no convolution"),
    ("zen", nn.Sequential([]), ""),
  ],
)
def test_modules_without_a_score(name, module, said, batch):
  if name == "zen":

    class Flat(nn.Module):
      @nn.compact
      def __call__(self, x, train):
        return nn.Dense(CLASSES)(x[:, 0, 0])

    one_pixel = (batch[0][:, :1, :1], batch[1])
    with pytest.raises(ValueError, match="computes no feature map"):
      score(("zen",), Flat(), one_pixel)
    return
  with pytest.raises(ValueError, match=said):
    score((name,), module, batch)


@pytest.mark.parametrize("name", ("jacob_cov", "zico"))
def test_a_batch_of_one(name, batch):
  one = (batch[0][:1], batch[1][:1])
  with pytest.raises(ValueError, match=f"{name}: the batch has 1 image"):
    score((name,), Linear(), one)


def test_labels_and_names_that_do_not_fit(batch):
  images, labels = batch
  with pytest.raises(ValueError, match=r"labels go from 0 to 3; legal: 0 to 2"):
    score(("snip",), Linear(), (images, labels.at[0].set(3).at[1].set(0)))
  with pytest.raises(ValueError, match=r"labels has shape \(5,\)"):
    score(("snip",), Linear(), (images, labels[1:]))
  with pytest.raises(ValueError, match=r"images has shape \(6, 32\)"):
    score(("snip",), Linear(), (images.reshape(B, -1), labels))
  with pytest.raises(ValueError, match=r"\['snap'\] is none; legal: params"):
    score(("snap",), Linear(), batch)


def test_the_table_is_documented():
  for name, proxy in proxies.PROXIES.items():
    assert proxy.measure.__doc__, name
  assert proxies.names() == tuple(proxies.PROXIES)


def test_all_proxies_score_a_network_of_the_project():
  """Its convolutions have gradients of their own, its head a kernel of 4 axes
  behind the pool, and its last BN of a block a scale of 0."""
  depths = {f"stage{i}.depth": 1 for i in range(1, 5)}
  space = spaces.get("small").fix(resolution=8, **depths)
  architecture = space.architecture(space.sobol(1)[0])
  network = models.Network(architecture, CLASSES)
  random = np.random.default_rng(1)
  images = jnp.asarray(random.normal(size=(4, 8, 8, 3)).astype(np.float32))
  variables = jax.jit(
    lambda key: models.initialize(network, key, images, train=False)
  )(jax.random.key(0))
  labels = jnp.asarray([0, 1, 2, 0])
  found = proxies.score(
    proxies.names(), network, variables, images, labels, jax.random.key(1)
  )
  assert all(np.isfinite(value) for value in found.values()), found
  counted = costs.count(architecture, CLASSES)
  assert (found["params"], found["macs"]) == (counted.params, counted.macs)
