"""The FBNetV3 space against Table 4.2 of Wan 2022, written out once more."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces.recipe import Recipe

# kernel, first expansion, other expansions, channels, blocks, stride, SE.
STAGES = {
  1: ((3, 5), (1, 1, 1), (1, 1, 1), (16, 24, 2), (1, 4), 1, False),
  2: ((3, 5), (4, 7, 1), (2, 5, 1), (20, 32, 4), (4, 7), 2, False),
  3: ((3, 5), (4, 7, 1), (2, 5, 1), (24, 48, 4), (4, 7), 2, True),
  4: ((3, 5), (4, 7, 1), (2, 5, 1), (56, 84, 4), (4, 8), 2, False),
  5: ((3, 5), (4, 7, 1), (2, 5, 1), (96, 144, 4), (6, 10), 1, True),
  6: ((3, 5), (4, 7, 1), None, (180, 224, 4), (5, 9), 2, True),
  7: ((3, 5), (6, 6, 1), None, (180, 224, 4), (1, 1), 1, True),
}
RECIPE_COUNTS = {
  "learning_rate": 11,
  "optimizer": 2,
  "ema": 2,
  "dropout": 31,
  "stochastic_depth": 22,
  "mixup": 42,
  "weight_decay": 15,
}


def values(low, high, step=1):
  return tuple(low + step * i for i in range((high - low) // step + 1))


@pytest.fixture(scope="module")
def space():
  return spaces.get("fbnetv3")


@pytest.fixture(scope="module")
def decisions(space):
  return {d.name: d for d in space.decisions}


def test_size(space):
  """The product of all choices, in numbers read off the table."""
  kernels = 2**8  # Seven stages and the last one.
  expansions = (4 * 4) ** 2 * (4 * 4) * 4  # Stages 2, 3, 4 and 5, 6.
  channels = 5 * 5 * 4 * 7 * 8 * 13 * 12 * 12  # Stem and seven stages.
  depths = 4 * 4 * 4 * 5 * 5 * 5
  resolutions = 7
  architectures = kernels * expansions * channels * depths * resolutions
  recipes = 11 * 2 * 2 * 31 * 22 * 42 * 15
  assert space.size == architectures * recipes
  assert math.prod(RECIPE_COUNTS.values()) == recipes
  assert space.size == math.prod(space.choices)


def test_values_of_the_architecture(decisions):
  expected = {
    "resolution": values(224, 272, 8),
    "stem.channels": values(16, 24, 2),
  }
  for stage, (kernel, first, rest, channels, blocks, _, _) in STAGES.items():
    expected[f"stage{stage}.kernel"] = kernel
    expected[f"stage{stage}.channels"] = values(*channels)
    if blocks[0] != blocks[1]:
      expected[f"stage{stage}.depth"] = values(*blocks)
    if stage in (2, 3):
      expected[f"stage{stage}.expansion_first"] = values(*first)
      expected[f"stage{stage}.expansion_rest"] = values(*rest)
  expected["stage4_5.expansion_first"] = (4, 5, 6, 7)
  expected["stage4_5.expansion_rest"] = (2, 3, 4, 5)
  expected["stage6.expansion"] = (4, 5, 6, 7)
  expected["head.kernel"] = (3, 5)
  found = {
    name: d.values
    for name, d in decisions.items()
    if not name.startswith("recipe.")
  }
  assert found == expected
  for name, decision in decisions.items():
    if not name.startswith("recipe."):
      assert decision.categorical == name.endswith("kernel")


def test_values_of_the_recipe(decisions):
  expected = {
    "learning_rate": [i / 1000 for i in range(20, 31)],
    "dropout": [i / 100 for i in range(1, 32)],
    "stochastic_depth": [i / 100 for i in range(10, 32)],
    "mixup": [i / 100 for i in range(42)],
    "weight_decay": [i * 1e-6 for i in range(7, 22)],
  }
  for name, numbers in expected.items():
    decision = decisions[f"recipe.{name}"]
    assert decision.values == pytest.approx(numbers, rel=1e-12)
    assert not decision.categorical
  assert decisions["recipe.optimizer"].values == ("rmsprop", "sgd")
  assert decisions["recipe.ema"].values == (True, False)
  assert decisions["recipe.optimizer"].categorical
  assert decisions["recipe.ema"].categorical
  assert {
    n.removeprefix("recipe."): len(d.values)
    for n, d in decisions.items()
    if n.startswith("recipe.")
  } == RECIPE_COUNTS


@pytest.mark.parametrize("seed", range(4))
def test_networks_are_those_of_the_table(space, decisions, seed):
  import jax

  genotype = space.sample(jax.random.key(seed), 1)[0]
  chosen = {
    d.name: d.values[int(i)]
    for d, i in zip(space.decisions, genotype, strict=True)
  }
  network = space.architecture(genotype)
  assert network.resolution == chosen["resolution"]
  assert network.squeeze_from_input
  assert network.divisor == 8
  assert (network.stem.channels, network.stem.stride, network.stem.kernel) == (
    chosen["stem.channels"],
    2,
    3,
  )
  assert (network.head.channels, network.head.expansion) == (1984, 6)
  assert network.head.kernel == chosen["head.kernel"]
  for stage, (_, _, _, _, depth, stride, squeeze) in STAGES.items():
    blocks = [b for b in network.blocks if b.stage == stage]
    assert len(blocks) == chosen.get(f"stage{stage}.depth", depth[0])
    shared = "stage4_5" if stage in (4, 5) else f"stage{stage}"
    for i, block in enumerate(blocks):
      if stage == 1:
        expansion = 1
      elif stage == 7:
        expansion = 6
      elif stage == 6:
        expansion = chosen["stage6.expansion"]
      else:
        expansion = chosen[f"{shared}.expansion_{'rest' if i else 'first'}"]
      assert block.expansion == expansion
      assert block.channels == chosen[f"stage{stage}.channels"]
      assert block.kernel == chosen[f"stage{stage}.kernel"]
      assert block.stride == (1 if i else stride)
      assert block.squeeze_excite == squeeze
      assert block.activation == "hswish"
      assert (block.op, block.groups, block.padding) == (
        "inverted_residual",
        1,
        None,
      )


def test_stages_4_and_5_share_their_expansions(space):
  names = [d.name for d in space.decisions]
  base = jnp.zeros(len(names), jnp.int32)
  changed = space.architecture(
    base.at[names.index("stage4_5.expansion_first")]
    .set(3)
    .at[names.index("stage4_5.expansion_rest")]
    .set(2)
  )
  plain = space.architecture(base)
  for before, after in zip(plain.blocks, changed.blocks, strict=True):
    if before.stage in (4, 5):
      first = before.expansion == 4
      assert after.expansion == (7 if first else 4)
    else:
      assert after == before


def test_published_recipe_lies_outside_in_stochastic_depth_alone(space):
  genotype = jnp.zeros(len(space.decisions), jnp.int32)
  architecture = space.architecture(genotype)
  with pytest.raises(ValueError, match=r"recipe.stochastic_depth is 0.09"):
    space.genotype(architecture, Recipe())
  inside = Recipe(stochastic_depth=0.1)
  assert space.recipe(space.genotype(architecture, inside)) == inside


def test_cifar_form_against_the_original():
  space, original = spaces.get("fbnetv3_cifar"), spaces.get("fbnetv3")
  assert space.decisions[1:] == original.decisions[1:]
  sides = space.decisions[0].values
  assert sides == (32, 33, 34, 35, 37, 38, 39)
  for genotype in np.asarray(space.sample(jax.random.key(0), 20)):
    small, large = space.architecture(genotype), original.architecture(genotype)
    assert small.resolution == round(large.resolution / 7)
    strides = {
      (a.stage, a.stride, b.stride)
      for a, b in zip(small.blocks, large.blocks, strict=True)
      if a != b
    }
    # Only the first block of the second stage of stride two differs.
    assert strides == {(3, 1, 2)}
