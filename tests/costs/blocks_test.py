"""Expected costs of searched blocks against equations 3.5 to 3.10 in NumPy."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.models import one_hot
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.searched import typed_block
from fbnax.spaces.space import Decision, SearchSpace, follow

CLASSES = 10


def rounded(value, divisor):
  """Half up, and one step up where that is under 95%."""
  if value % divisor == 0:
    return int(value)
  nearest = max(divisor, divisor * math.floor(value / divisor + 0.5))
  return nearest if nearest >= 0.95 * value else nearest + divisor


def random_weights(space, seed):
  rng = np.random.default_rng(seed)
  return {
    d.name: rng.dirichlet(np.ones(len(d.values))) for d in space.decisions
  }


class Sums:
  """MACs and parameters, layer by layer, at effective shapes."""

  def __init__(self):
    self.macs = self.params = 0.0

  def conv(self, share, side, c_in, c_out, kernel=1, groups=1, others=2):
    """Equation 3.10; `others` are the trainable numbers per output channel."""
    weights = kernel**2 * c_in * c_out / groups
    self.macs += share * weights * side**2
    self.params += share * (weights + others * c_out)


def effective_costs_of_masked_space(space, rows, stem_stride, head):
  """Costs where channels, expansions, types and the resolution are searched.

  `rows` hold (channels, expansions, stride) of each layer.
  """
  weights = random_weights(space, 5)
  values = {d.name: d.values for d in space.decisions}
  total = Sums()
  sides = np.asarray(values["resolution"]) // stem_stride
  # Equation 3.6: the effective side, not the effective number of pixels.
  side = sides @ weights["resolution"]
  total.conv(1, side, 3, 16, kernel=3, others=3)
  before, before_weights = np.asarray([16]), np.ones(1)
  for index, (channels, expansions, stride) in enumerate(rows, start=1):
    layer = f"layer{index}"
    out_weights = weights[f"{layer}.channels"]
    assert tuple(channels) == values[f"{layer}.channels"]
    mixed = weights.get(f"{layer}.expansion", np.ones(1))
    assert tuple(expansions) == values.get(f"{layer}.expansion", (1.0,))
    c_in = before @ before_weights
    c_out = np.asarray(channels) @ out_weights  # Equation 3.5.
    mid = expands = squeeze = 0.0
    for (c, g), (e, h) in itertools.product(
      zip(before, before_weights, strict=True),
      zip(expansions, mixed, strict=True),
    ):
      width = rounded(c * e, 8)
      mid += g * h * width
      expands += g * h * (width != c)
      squeeze += g * h * rounded(int(width / 4), 8)
    changes = sum(
      g * h * (stride == 2 or c != d)
      for (c, g), (d, h) in itertools.product(
        zip(before, before_weights, strict=True),
        zip(channels, out_weights, strict=True),
      )
    )
    after = np.ceil(sides / stride) @ weights["resolution"]
    for kind, share in zip(
      values[f"{layer}.block"], weights[f"{layer}.block"], strict=True
    ):
      if kind == "skip":
        total.conv(share * changes, after, c_in, c_out)
        continue
      kernel = int(kind[1])
      total.conv(share * expands, side, c_in, mid)
      # Equation 3.9: a depthwise convolution hands its channels on.
      total.conv(share, after, mid, mid, kernel, groups=mid)
      if "se" in kind.split("_"):
        total.conv(share, 1, mid, squeeze, others=1)
        total.conv(share, 1, squeeze, mid, others=1)
      total.conv(share, after, mid, c_out)
    sides, side = np.ceil(sides / stride), after
    before, before_weights = np.asarray(channels), out_weights
  total.conv(1, side, before @ before_weights, head)
  total.conv(1, 1, head, CLASSES, others=1)
  return weights, total


def check(space, weights, total):
  with jax.enable_x64(True):
    ordered = tuple(jnp.asarray(weights[d.name]) for d in space.decisions)
    found = jax.jit(lambda w: costs.expected(space, w, CLASSES))(ordered)
    np.testing.assert_allclose(found.macs, total.macs, rtol=1e-12)
    np.testing.assert_allclose(found.params, total.params, rtol=1e-12)


def test_small_dnas():
  space = spaces.get("small_dnas")
  rows = [((12, 16), (1.0,), 1)]
  expansions = (1.5, 3.0, 4.5)
  for channels in ((16, 20, 24), (24, 32, 40), (48, 64, 80)):
    rows += [(channels, expansions, 2), (channels, expansions, 1)]
  check(space, *effective_costs_of_masked_space(space, rows, 1, 256))


def test_fbnetv2_f():
  space = spaces.get("fbnetv2_f")
  expansions = (0.75, 1.5, 2.25, 3.0, 3.75, 4.5)
  rows = [((12, 16), (1.0,), 1)]
  for low, high, step, strides in (
    (16, 24, 4, (2, 1, 1)),
    (16, 40, 8, (2, 1, 1)),
    (48, 80, 8, (2, 1, 1)),
    (72, 112, 8, (1, 1, 1)),
    (112, 184, 8, (2, 1, 1, 1)),
  ):
    channels = tuple(range(low, high + 1, step))
    rows += [(channels, expansions, stride) for stride in strides]
  check(space, *effective_costs_of_masked_space(space, rows, 2, 1984))


def test_fbnet_cifar():
  """Widths are fixed, so the costs are linear in the types' weights."""
  space = spaces.get("fbnet_cifar")
  weights = random_weights(space, 6)
  total = Sums()
  total.conv(1, 32, 3, 16, kernel=3, others=3)
  c, side, index = 16, 32, 0
  for channels, layers, first in (
    (16, 1, 1),
    (24, 4, 1),
    (32, 4, 2),
    (64, 4, 2),
    (112, 4, 1),
    (184, 4, 2),
    (352, 1, 1),
  ):
    for layer in range(layers):
      stride = first if layer == 0 else 1
      after = side // stride
      decision = space.decisions[index]
      for kind, share in zip(
        decision.values, weights[decision.name], strict=True
      ):
        if kind == "skip":
          if c != channels or stride == 2:
            total.conv(share, after, c, channels, others=3)
          continue
        kernel, expansion = int(kind[1]), int(kind[4])
        groups = 2 if kind.endswith("_g2") else 1
        mid = c * expansion
        if expansion > 1:
          total.conv(share, side, c, mid, groups=groups, others=3)
        total.conv(share, after, mid, mid, kernel, groups=mid, others=3)
        total.conv(share, after, mid, channels, groups=groups, others=3)
      c, side, index = channels, after, index + 1
  total.conv(1, side, c, 1504, others=3)
  total.conv(1, 1, 1504, CLASSES, others=1)
  check(space, weights, total)


def test_types_with_widths_and_a_depth_of_their_own():
  """All fields may follow the type, and a searched block may be absent."""
  kind = Decision("kind", ("thin", "wide", "skip"), categorical=True)
  depth = Decision("depth", (1, 2))
  types = {
    "thin": {"kernel": 3, "expansion": 2.0, "squeeze_excite": True},
    "wide": {"kernel": 5, "expansion": 4.0},
    "skip": {"op": "skip"},
  }
  space = SearchSpace(
    "mixed",
    (kind, depth),
    Architecture(
      resolution=8,
      stem=Stem(channels=8, stride=1),
      blocks=(
        Block(
          channels=follow(kind, (8, 16, 24)),
          stage=1,
          **{
            name: getattr(typed_block(kind, types, channels=8, stage=1), name)
            for name in ("op", "kernel", "expansion", "squeeze_excite")
          },
        ),
        typed_block(
          kind,
          types,
          channels=follow(kind, (8, 16, 24)),
          stage=1,
          present=follow(depth, (False, True)),
        ),
      ),
      head=Head(channels=16, expansion=0.0),
    ),
  )
  genotypes = jnp.asarray(list(itertools.product(range(3), range(2))))
  found = costs.batch(space, genotypes, CLASSES)
  for i, genotype in enumerate(np.asarray(genotypes)):
    exact = costs.count(space.architecture(genotype), CLASSES)
    assert (int(found.macs[i]), int(found.params[i])) == exact
    expected = costs.expected(space, one_hot(space, genotype), CLASSES)
    assert (int(expected.macs), int(expected.params)) == exact


@pytest.mark.parametrize(
  ("name", "one", "other"),
  (("small_dnas", "k5", "k3_hs"), ("fbnet_cifar", "k3_e1", "k5_e6")),
)
def test_cut_types(name, one, other):
  cut = spaces.get(name).fix(
    **{"layer2.block": one, "layer3.block": [other, "skip"]}
  )
  genotypes = cut.sample(jax.random.key(0), 20)
  found = costs.batch(cut, genotypes, CLASSES)
  for i, genotype in enumerate(np.asarray(genotypes)):
    exact = costs.count(cut.architecture(genotype), CLASSES)
    assert (int(found.macs[i]), int(found.params[i])) == exact
