"""Blocks of each kind against the same written with plain convolutions."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fbnax import costs, models
from fbnax.costs import LayerCost
from fbnax.models import weight_names
from fbnax.models.blocks import TrunkBlock
from fbnax.models.network import extract, one_hot
from fbnax.spaces import Architecture, Block, Head, SearchSpace, Stem
from fbnax.spaces.space import Decision, follow
from tests.models.folded_test import filled

FUSED = Block(
  channels=16,
  stage=1,
  op="fused_mbconv",
  kernel=3,
  expansion=4,
  squeeze_excite=True,
  activation="silu",
  gate="sigmoid",
  squeeze_divisor=1,
  squeeze_from_input=True,
)
NETWORK = Architecture(
  resolution=8,
  stem=Stem(channels=16, stride=1, activation="silu", bias=False),
  blocks=(FUSED, dataclasses.replace(FUSED, channels=24, stride=2)),
  head=Head(channels=32, expansion=0.0, activation="silu"),
  padding="same",
)


def convolved(x, kernel, stride=1, padding="SAME"):
  dimensions = ("NHWC", "HWIO", "NHWC")
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), padding, dimension_numbers=dimensions
  )


def by_hand(x, params, statistics, stride):
  """A fused MBConv with SiLU and a sigmoid gate, in inference."""

  def normed(x, name):
    scale, bias = params[name]["norm"]["scale"], params[name]["norm"]["bias"]
    mean, var = (
      statistics[name]["norm"]["mean"],
      statistics[name]["norm"]["var"],
    )
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias

  h = normed(convolved(x, params["expand"]["conv"]["kernel"], stride), "expand")
  h = h / (1 + jnp.exp(-h))
  inner = params["squeeze_excite"]
  pooled = h.mean((1, 2), keepdims=True)
  z = convolved(pooled, inner["squeeze"]["kernel"]) + inner["squeeze"]["bias"]
  z = z / (1 + jnp.exp(-z))
  z = convolved(z, inner["excite"]["kernel"]) + inner["excite"]["bias"]
  h = h / (1 + jnp.exp(-z))
  h = normed(convolved(h, params["project"]["conv"]["kernel"]), "project")
  return h + x if h.shape == x.shape else h


@pytest.mark.parametrize("index", (0, 1))
def test_a_fused_mbconv_is_that_of_plain_convolutions(index):
  block = NETWORK.blocks[index]
  _, variables = filled(NETWORK)
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 16))
  name = f"stage1_block{index}"
  own = {kind: tree[name] for kind, tree in variables.items()}
  got = TrunkBlock(NETWORK, block, 16).apply(
    own, x, None, train=False, drop_rate=0.0, uniform=None
  )
  want = by_hand(x, own["params"], own["batch_stats"], block.stride)
  chex.assert_trees_all_close(got, want, atol=2e-5, rtol=2e-5)


def test_a_fused_mbconv_is_counted_as_by_hand():
  rows = {r.name: r for r in costs.layers(NETWORK, 10)}
  mid, squeeze = 64, 4
  expand: LayerCost = rows["stage1.block1.expand"]
  assert (expand.kernel, expand.stride, expand.h_out) == (3, 2, 4)
  assert expand.macs == 4 * 4 * 3 * 3 * 16 * mid
  assert expand.params == 3 * 3 * 16 * mid + 2 * mid
  assert rows["stage1.block1.squeeze"].params == mid * squeeze + squeeze
  assert rows["stage1.block1.excite"].params == mid * squeeze + mid
  project = rows["stage1.block1.project"]
  assert project.macs == 4 * 4 * mid * 24
  assert project.params == mid * 24 + 2 * 24
  _, variables = filled(NETWORK, 10)
  leaves = jax.tree.leaves(variables["params"])
  assert costs.count(NETWORK, 10).params == sum(leaf.size for leaf in leaves)
  # The input, the expanded map of a quarter of the pixels, the result.
  memory = costs.peak_memory(
    dataclasses.replace(NETWORK, blocks=NETWORK.blocks[1:])
  )
  assert memory == 8 * 8 * 16 + 4 * 4 * mid


def test_timm_has_a_name_for_each_of_its_layers():
  plain = dataclasses.replace(NETWORK, padding="symmetric")
  names = weight_names.modules(plain, "timm")
  assert names["stage1_block0", "expand", "conv"] == "blocks.0.0.conv_exp"
  assert names["stage1_block0", "expand", "norm"] == "blocks.0.0.bn1"
  assert names["stage1_block0", "project", "conv"] == "blocks.0.0.conv_pwl"
  assert names["stage1_block0", "project", "norm"] == "blocks.0.0.bn2"
  with pytest.raises(ValueError, match="no fused mbconv; legal layouts: timm"):
    weight_names.modules(plain, "official")


def test_one_hot_weights_make_the_derived_network():
  """Kernel, width, expansion, depth and head of fused blocks are masks."""
  kernel = Decision("kernel", (3, 5), categorical=True)
  width = Decision("width", (8, 16))
  expansion = Decision("expansion", (2, 4))
  depth = Decision("depth", (1, 2))
  head = Decision("head", (16, 32))
  first = dataclasses.replace(
    FUSED,
    channels=follow(width),
    kernel=follow(kernel),
    expansion=follow(expansion),
    stride=2,
  )
  second = dataclasses.replace(
    first, stride=1, residual=True, present=follow(depth, (False, True))
  )
  space = SearchSpace(
    name="fused",
    decisions=(kernel, width, expansion, depth, head),
    table=dataclasses.replace(
      NETWORK,
      blocks=(first, second),
      head=Head(channels=follow(head), expansion=0.0, activation="relu6"),
    ),
  )
  supernet = models.Supernet(space, 4)
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
  key = jax.random.key(1)
  zeros = jnp.zeros(5, jnp.int32)
  variables = jax.jit(lambda k, w: supernet.init(k, images, w, train=False))(
    key, one_hot(space, zeros)
  )
  run = jax.jit(lambda w: supernet.apply(variables, images, w, train=False))
  for genotype in ([0, 0, 0, 0, 0], [1, 1, 0, 1, 0], [0, 0, 1, 1, 1]):
    genotype = jnp.asarray(genotype)
    network = space.architecture(genotype)
    assert (space.genotype(network) == space.canonical(genotype[None])[0]).all()
    module = models.Network(network, 4)
    got = module.apply(extract(space, genotype, variables), images, train=False)
    chex.assert_trees_all_close(run(one_hot(space, genotype)), got, atol=1e-5)
    exact = costs.count(network, 4)
    expected = costs.expected(space, one_hot(space, genotype), 4)
    counted = costs.batch(space, genotype[None], 4)
    for name in ("macs", "params"):
      value = getattr(exact, name)
      assert float(getattr(expected, name)) == pytest.approx(value, rel=1e-6)
      assert float(getattr(counted, name)[0]) == pytest.approx(value, rel=1e-6)


def test_a_searched_layer_mixes_any_activations():
  """Each type alone, in a supernet, is the network of that type."""
  types = ("relu", "silu", "relu6", "hswish")
  kind = Decision("kind", types, categorical=True)
  block = Block(
    channels=16,
    stage=1,
    op=follow(kind, ("inverted_residual",) * 4),
    activation=follow(kind),
    expansion=2,
    squeeze_excite=follow(kind, (True, True, False, True)),
    gate="sigmoid",
    stride=2,
  )
  space = SearchSpace(
    "mixed", (kind,), dataclasses.replace(NETWORK, blocks=(block,))
  )
  supernet = models.Supernet(space, 4)
  images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
  weights = [one_hot(space, jnp.asarray([i])) for i in range(4)]
  variables = jax.jit(lambda k, w: supernet.init(k, images, w, train=False))(
    jax.random.key(1), weights[0]
  )

  def trained(module, variables, *arguments):
    y, updated = module.apply(
      variables, images, *arguments, train=True, mutable=["batch_stats"]
    )
    return y, updated

  single = models.Supernet(space, 4, single_path=True)
  for i, weight in enumerate(weights):
    genotype = jnp.asarray([i])
    module = models.Network(space.architecture(genotype), 4)
    want, _ = trained(module, extract(space, genotype, variables))
    for form in (supernet, single):
      got, _ = trained(form, variables, weight)
      chex.assert_trees_all_close(got, want, atol=2e-5, rtol=1e-4)


def test_a_block_without_residual_has_none():
  network = dataclasses.replace(
    NETWORK, blocks=(dataclasses.replace(FUSED, residual=False),)
  )
  _, variables = filled(network)
  own = {kind: tree["stage1_block0"] for kind, tree in variables.items()}
  x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 8, 16)), "f4")
  arguments = {"train": False, "drop_rate": 0.0, "uniform": None}
  with_it, without = (
    TrunkBlock(network, block, 16).apply(own, x, None, **arguments)
    for block in (FUSED, network.blocks[0])
  )
  chex.assert_trees_all_close(with_it - x, without, atol=2e-5)


def test_memory_holds_the_input_of_a_residual_alone():
  """While the result is made of the expanded map."""
  block = dataclasses.replace(FUSED, squeeze_excite=False)
  network = dataclasses.replace(NETWORK, blocks=(block,))
  without = dataclasses.replace(
    network, blocks=(dataclasses.replace(block, residual=False),)
  )
  assert costs.peak_memory(network) == 8 * 8 * (16 + 64 + 16)
  assert costs.peak_memory(without) == 8 * 8 * (16 + 64)
