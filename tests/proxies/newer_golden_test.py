"""AZ-NAS, SWAP, VKDNW, ZiCo and MeCo against values of their programs."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import proxies
from fbnax.ops import feature_map
from fbnax.proxies import az, features, vkdnw
from fbnax.proxies.probe import Probe
from tests.proxies import golden

NAMES = (
  "zico",
  "zico_4",
  "meco",
  "swap",
  "az_expressivity",
  "az_progressivity",
  "az_trainability",
  "az_complexity",
  "vkdnw",
  "vkdnw_fisher",
  "vkdnw_dim",
  "params",
)


@pytest.fixture(scope="module", params=list(golden.NETWORKS))
def network(request):
  data = golden.load(request.param)
  module = golden.NETWORKS[request.param]()
  variables = golden.variables(request.param, data)
  images, labels = golden.batch(data)

  key = jax.random.key(0)
  return types.SimpleNamespace(
    values=golden.load(request.param, "proxies"),
    scores=proxies.score(NAMES, module, variables, images, labels, key),
    probe=Probe(golden.forward_of(module), variables, images, labels, key, ()),
  )


def test_scores(network):
  scores, values = network.scores, network.values
  for name, wanted, tolerance in (
    # Two batches' gradients nearly agree, where a ratio is lost in rounding.
    ("zico", "zico/score_2_batches", 5e-4),
    ("zico_4", "zico/score_4_batches", 1e-5),
    ("meco", "meco/conv_outputs_batch16", 1e-4),
    ("vkdnw", "vkdnw/score", 1e-9),
    ("vkdnw_fisher", "vkdnw/score_true_fisher", 1e-9),
    ("az_expressivity", "az/expressivity", 1e-5),
    ("az_complexity", "az/complexity", 1e-12),
  ):
    assert scores[name] == pytest.approx(values[wanted], rel=tolerance), name
  assert scores["az_progressivity"] == pytest.approx(
    values["az/progressivity"], abs=1e-5
  )
  assert scores["swap"] == values["swap/score"]
  assert scores["vkdnw_dim"] == values["vkdnw/dim"]


def test_trainability_of_own_draws(network):
  draws = network.values["az/trainability_draws"]
  away = abs(network.scores["az_trainability"] - draws.mean())
  assert away < 4 * draws.std()


def test_feature_maps(network):
  probe = network.probe
  found = features.shapes(probe.forward, probe.variables, probe.images)
  wanted = network.values["az/feature_shapes"][:, [0, 2, 3, 1]]
  np.testing.assert_array_equal(found, wanted)
  entropies = jax.jit(lambda: az.entropies(probe))()
  np.testing.assert_allclose(
    entropies, network.values["az/expressivity_features"], atol=1e-5
  )


def test_trainability_of_given_signs(network):
  def signs(place):
    stored = network.values.get(f"az/sign_{place}")
    if stored is None:  # Nothing is pulled back from the first map.
      shape = network.values["az/feature_shapes"][place][[0, 2, 3, 1]]
      return jnp.ones(shape)
    return jnp.asarray(stored.transpose(0, 2, 3, 1), jnp.float32)

  found = jax.jit(lambda: az.pairs(network.probe, signs))()
  np.testing.assert_allclose(
    found, network.values["az/trainability_pairs"], atol=1e-5
  )


def test_regularised(network):
  values = network.values
  found = proxies.regularised(
    network.scores["swap"],
    network.scores["params"],
    float(values["swap/mu"]),
    float(values["swap/sigma"]),
  )
  assert found == pytest.approx(values["swap/score_regularised"], rel=1e-12)


def test_fisher_matrices(network):
  values = network.values
  with jax.enable_x64(True):
    widen = lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64)  # noqa: E731
    probe = network.probe
    probe = Probe(
      probe.forward,
      jax.tree.map(widen, probe.variables),
      widen(probe.images),
      probe.labels,
      probe.key,
      (),
    )
    measured = jax.device_get(jax.jit(lambda: vkdnw.jacobian(probe))())
  for transform, name in (
    (vkdnw.fisher_matrix(measured), "true_fisher"),
    (vkdnw.fisher_matrix(measured, 0.0, 1.0), "true_fisher_unsmoothed"),
  ):
    found = np.linalg.eigvalsh(transform)[::-1]
    wanted = values[f"vkdnw/{name}_eigenvalues"]
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-14)
  unsmoothed = vkdnw.entropy(vkdnw.fisher_matrix(measured, 0.0, 1.0))
  wanted = values["vkdnw/score_true_fisher_unsmoothed"]
  assert unsmoothed == pytest.approx(wanted, rel=1e-9)
  program = vkdnw.entropy(values["vkdnw/fisher"], np.linspace(0, 1, 11))
  assert program == pytest.approx(values["vkdnw/score_11_quantiles"], rel=1e-9)


def test_aggregations(network):
  agg = {k[4:]: v for k, v in network.values.items() if k.startswith("agg/")}
  four = ("expressivity", "progressivity", "trainability", "complexity")
  found = proxies.log_rank(np.stack([agg[name] for name in four], 1))
  np.testing.assert_allclose(found, agg["az_nas"], rtol=1e-12)
  single = proxies.dense_rank(agg["vkdnw_dim"], agg["vkdnw_entropy"])
  np.testing.assert_array_equal(single, agg["vkdnw_single_dense_rank"])
  others = ("expressivity", "trainability", "complexity", "jacov")
  found = proxies.vkdnw_aggregated(
    agg["vkdnw_dim"],
    agg["vkdnw_entropy"],
    np.stack([agg[name] for name in others], 1),
  )
  np.testing.assert_allclose(found, agg["vkdnw_aggregated"], rtol=1e-12)


class Relu(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.relu(x)


class Unit(nn.Module):
  features: int
  stride: int

  @nn.compact
  def __call__(self, x, train):
    x = golden.conv(self.features, 3, "conv", self.stride)(x)
    return Relu()(golden.norm(train, "norm")(x))


class InModules(nn.Module):
  """`golden.Plain`, cut into modules as the original is."""

  @nn.compact
  def __call__(self, x, train):
    for i, (width, stride) in enumerate(golden.Plain().layers()):
      x = Unit(width, stride, name=f"c{i + 1}")(x, train)
    return nn.Dense(10, name="fc")(x.mean((1, 2)))


def test_meco_of_all_modules():
  data = golden.load("plain16")
  values = golden.load("plain16", "proxies")
  flat = golden.variables("plain16", data)
  nested = {kind: {} for kind in flat}
  for kind, collection in flat.items():
    for name, leaves in collection.items():
      place = {"c": "conv", "n": "norm"}.get(name[0])
      if place is None:
        nested[kind][name] = leaves
      else:
        nested[kind].setdefault(f"c{name[1]}", {})[place] = leaves
  images, labels = golden.batch(data)
  found = proxies.score(
    ("meco_modules",), InModules(), nested, images, labels, jax.random.key(0)
  )
  assert found["meco_modules"] == pytest.approx(
    values["meco/score_original"], rel=1e-4
  )


class Passing(nn.Module):
  """A layer, then blocks that pass its result on, or nothing."""

  factors: tuple[float, ...]

  @nn.compact
  def __call__(self, x, train):
    x = feature_map(golden.conv(4, 3, "stem")(x))
    for factor in self.factors:
      x = feature_map(x * factor if factor != 1 else x)
    return nn.Dense(3, name="fc")(x.mean((1, 2)))


@pytest.mark.parametrize(
  ("factors", "wanted"), [((1.0,), -np.inf), ((0.0, 2.0), (2 - 1e6 - 0.0) / 2)]
)
def test_what_lets_nothing_or_all_through(factors, wanted):
  module = Passing(factors)
  images = jax.random.normal(jax.random.key(1), (4, 6, 6, 3))
  variables = module.init(jax.random.key(2), images, train=False)
  found = proxies.score(
    NAMES[4:7],
    module,
    variables,
    images,
    jnp.zeros(4, jnp.int32),
    jax.random.key(0),
  )
  if np.isinf(wanted):
    assert found["az_trainability"] == -np.inf
  else:
    # The second block doubles the signs: their products with themselves are 2.
    assert found["az_trainability"] == pytest.approx(
      ((2 - 1e6) + (2 - 4.4 - 1 / 4.4)) / 2, rel=1e-5
    )
    assert found["az_expressivity"] == -np.inf
    assert found["az_progressivity"] == -np.inf
