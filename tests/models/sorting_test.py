"""Channels sorted by importance, and what smaller networks inherit of them."""

import dataclasses
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import models, ops
from fbnax.models import sorting
from fbnax.models.network import extract, narrow
from fbnax.spaces import Architecture, Block, Head, Stem, around, zoo
from fbnax.spaces.hull import hull
from tests.models.efficientnet_test import shared
from tests.models.folded_test import filled

CLASSES = 5
SQUEEZED = {"squeeze_excite": True, "squeeze_activation": "relu"}
FROM_INPUT = {
  "squeeze_excite": True,
  "squeeze_divisor": 1,
  "squeeze_from_input": True,
  "gate": "sigmoid",
}
NETWORKS = {
  # Its stem cut to 16 would add to the first block, which does not.
  "lite": Architecture(
    24,
    Stem(32, activation="relu6", bias=False),
    (
      Block(16, 1, activation="relu6"),
      Block(24, 2, kernel=5, expansion=3.0, stride=2, activation="relu6"),
      Block(24, 2, kernel=5, expansion=3.0, activation="relu6"),
    ),
    Head(48, expansion=0.0, activation="relu6"),
    bn_epsilon=1e-3,
    padding="same",
  ),
  # Stem and first block share their channels, and a squeeze is in them.
  "mobilenetv3": Architecture(
    16,
    Stem(16, bias=False),
    (
      Block(16, 1, **SQUEEZED),
      Block(24, 2, kernel=5, expansion=2.3, activation="hswish", **SQUEEZED),
      Block(24, 3, expansion=3.0, activation="hswish", **SQUEEZED),
    ),
    Head(32, expansion=2.0, project_bias=True),
  ),
  "fused": Architecture(
    16,
    Stem(16, activation="silu"),
    (
      Block(24, 1, op="fused_mbconv", kernel=5, expansion=2.0, **FROM_INPUT),
      Block(24, 1, op="fused_mbconv", kernel=5, expansion=2.0, **FROM_INPUT),
      Block(32, 2, expansion=4.0, stride=2, activation="silu", **FROM_INPUT),
      Block(32, 2, op="skip"),
    ),
    Head(32, expansion=0.0, expand=False, bias=True),
    block_bias=True,
    squeeze_from_input=True,
  ),
}


@dataclasses.dataclass
class Case:
  """A network of random weights and statistics, compiled once."""

  network: Architecture
  variables: dict
  images: np.ndarray

  def __post_init__(self):
    self.module = models.Network(self.network, CLASSES)
    self.apply = jax.jit(lambda v, x: self.module.apply(v, x, train=False))
    self.logits = self.apply(self.variables, self.images)
    rng = np.random.default_rng(2)
    self.gradients = jax.tree.map(
      lambda w: rng.normal(size=w.shape), self.variables["params"]
    )


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
  network = NETWORKS[request.param]
  _, variables = filled(network, CLASSES)
  rng = np.random.default_rng(1)
  side = network.resolution
  images = rng.normal(size=(2, side, side, 3)).astype(np.float32)
  return Case(network, variables, images)


@pytest.mark.parametrize("criterion", sorting.CRITERIA)
def test_outputs_stay_and_the_important_lead(case, criterion):
  network = case.network
  scores = sorting.channel_importance(
    criterion, network, case.variables, case.gradients
  )
  ordered = sorting.sort_channels(network, case.variables, scores)
  assert jax.tree.structure(ordered) == jax.tree.structure(case.variables)
  assert np.std(case.logits) > 1e-3
  np.testing.assert_allclose(
    case.apply(ordered, case.images), case.logits, atol=1e-5, rtol=1e-5
  )
  # Another order, in which gradients are permuted as their parameters are.
  moved = sorting.sort_channels(network, {"params": case.gradients}, scores)[
    "params"
  ]
  again = sorting.channel_importance(criterion, network, ordered, moved)
  for name, after in again.items():
    np.testing.assert_allclose(
      after, np.sort(scores[name])[::-1], rtol=1e-5, err_msg=name
    )
    assert len(set(scores[name])) > 1, name


def test_every_array_is_permuted_with_its_channels(case):
  """All but the image's channels and the classes are in one set or another."""
  sets = sorting.channel_sets(case.network)
  covered = {}
  for place in itertools.chain(*sets.values()):
    covered.setdefault(place.path, set()).add(place.axis)
  for path, leaf in jax.tree_util.tree_flatten_with_path(case.variables)[0]:
    names = tuple(step.key for step in path)
    axes = {-1}
    if leaf.ndim > 1:
      axes = {-1, -2} if leaf.shape[-2] > 1 else {-1}
    if names[1] == "stem":
      axes -= {-2}
    if names[1:3] == ("head", "classifier"):
      axes -= {-1}
    assert covered.get(names, set()) == axes, names


def test_criteria_by_hand(case):
  if not case.network.head.project_bias:
    pytest.skip("about the channels between project and classifier")
  project, classifier = (
    case.variables["params"]["head"][n] for n in ("project", "classifier")
  )
  slopes = case.gradients["head"]
  norm = np.abs(classifier["kernel"]).sum(1)
  taylor = (
    np.abs(project["kernel"] * slopes["project"]["kernel"]).sum((0, 1, 2))
    + np.abs(project["bias"] * slopes["project"]["bias"])
    + np.abs(classifier["kernel"] * slopes["classifier"]["kernel"]).sum(1)
  )
  for criterion, wanted in (
    ("norm", norm),
    ("bn_scale", norm),  # It has no BN.
    ("taylor", taylor),
  ):
    found = sorting.channel_importance(
      criterion, case.network, case.variables, case.gradients
    )
    np.testing.assert_allclose(found["head.project"], wanted, rtol=1e-5)
  block = case.variables["params"]["stage2_block0"]
  scales = [block[n]["norm"]["scale"] for n in ("expand", "depthwise")]
  found = sorting.channel_importance("bn_scale", case.network, case.variables)
  np.testing.assert_allclose(found["stage2.block0.mid"], sum(scales))


class Linear(nn.Module):
  """The least that has a log-loss."""

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(CLASSES)(images.reshape(len(images), -1))


def test_gradients_of_the_log_loss():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(5, 1, 1, 3)).astype(np.float32)
  labels = rng.integers(0, CLASSES, 5)
  kernel = rng.normal(size=(3, CLASSES)).astype(np.float32)
  dense = {"kernel": kernel, "bias": np.zeros(CLASSES, np.float32)}
  found = sorting.log_loss_gradients(
    Linear(),
    {"params": {"Dense_0": dense}},
    [(images[:3], labels[:3]), (images[3:], labels[3:])],
  )
  x = images.reshape(5, 3)
  odds = np.exp(x @ kernel)
  wanted = odds / odds.sum(1, keepdims=True) - np.eye(CLASSES)[labels]
  np.testing.assert_allclose(
    found["Dense_0"]["kernel"], x.T @ wanted / 5, atol=1e-6
  )


def test_smaller_networks_inherit(case):
  """Extracted, narrowed and masked they compute the same."""
  space = around(case.network)
  supernet = models.Supernet(space, CLASSES)
  masked = jax.jit(lambda v, x, w: supernet.apply(v, x, w, train=False))
  whole = np.asarray(space.choices) - 1
  found = masked(case.variables, case.images, models.one_hot(space, whole))
  np.testing.assert_allclose(found, case.logits, atol=1e-5, rtol=1e-5)
  genotypes = np.asarray(
    [[0] * len(whole), *space.sample(jax.random.key(0), 1)]
  )
  for genotype in genotypes:
    member = space.architecture(genotype)
    weights = models.one_hot(space, jnp.asarray(genotype))
    found = masked(case.variables, case.images, weights)
    module = models.Network(member, CLASSES)
    own = extract(space, genotype, case.variables)
    wanted = jax.jit(lambda v, x, m=module: m.apply(v, x, train=False))(
      own, case.images
    )
    assert np.std(wanted) > 1e-4
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)
    assert any(
      a.shape != b.shape
      for a, b in zip(
        jax.tree.leaves(own), jax.tree.leaves(case.variables), strict=False
      )
    )
  part, inside = hull(space, genotypes[:1])
  alone = extract(part, inside[0], narrow(part, case.variables))
  jax.tree.map(
    np.testing.assert_array_equal,
    alone,
    extract(space, genotypes[0], case.variables),
  )


@pytest.mark.slow
def test_resolutions_in_one_program(case):
  """What a search by gradient runs, at one-hot weights (subsampled images)."""
  space = around(case.network, resolutions=(16, 32))
  module = models.Supernet(space, CLASSES, subsample=True)
  masked = jax.jit(lambda x, w: module.apply(case.variables, x, w, train=False))
  images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("f4")
  for genotype in space.sample(jax.random.key(1), 3):
    member = space.architecture(genotype)
    side = member.resolution
    found = masked(images, models.one_hot(space, genotype))
    own = extract(space, genotype, case.variables)
    network = models.Network(member, CLASSES)
    wanted = jax.jit(lambda v, x, m=network: m.apply(v, x, train=False))(
      own, ops.subsample(images, side, side)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)


def test_bad_input_is_told():
  network = NETWORKS["lite"]
  _, variables = filled(network, CLASSES)
  for importance, message in (
    ({"stage2.block0.middle": [1.0]}, "importance has 'stage2.block0.middle'"),
    ({"stem": np.ones(31)}, r"'stem' has shape \(31,\); legal"),
    ({"stem": np.full(32, np.nan)}, "is not finite; legal"),
  ):
    with pytest.raises(ValueError, match=message):
      sorting.sort_channels(network, variables, importance)
  with pytest.raises(ValueError, match="criterion is 'size'; legal: norm, bn"):
    sorting.channel_importance("size", network, variables)
  with pytest.raises(ValueError, match="'taylor' needs gradients"):
    sorting.channel_importance("taylor", network, variables)
  with pytest.raises(ValueError, match="variables lack params/stem/conv/ker"):
    sorting.channel_importance("norm", network, {"params": {"stem": {}}})
  with pytest.raises(ValueError, match=r"groups is 2; legal: 1"):
    block = dataclasses.replace(network.blocks[1], groups=2)
    sorting.channel_sets(dataclasses.replace(network, blocks=(block,)))
  with pytest.raises(ValueError, match="no batches"):
    sorting.log_loss_gradients(models.Network(network, 2), variables, [])


@pytest.mark.slow
def test_imagenets_lite0_keeps_the_logits_of_the_other_program():
  weights = shared("data", "efficientnet_lite0_imagenet.safetensors")
  golden = np.load(shared("golden", "efficientnet_lite0.npz"))
  network = zoo.get("timm_tf_efficientnet_lite0")
  variables = models.load_weights(weights, network)
  module = models.Network(network, 1000)
  apply = jax.jit(lambda v, x: module.apply(v, x, train=False))
  images = (golden["images_96"].astype(np.float32) - 127) / 128
  wanted = golden["logits_96"]
  for criterion in ("norm", "bn_scale"):
    scores = sorting.channel_importance(criterion, network, variables)
    ordered = sorting.sort_channels(network, variables, scores)
    found = apply(ordered, images)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
