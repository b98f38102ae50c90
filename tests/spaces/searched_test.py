"""Layers whose type is searched, and what their entries say."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.spaces import tables
from fbnax.spaces.architecture import Architecture, Block, Head, Stem
from fbnax.spaces.searched import SKIP, Row, layers, stepped, typed_block
from fbnax.spaces.space import Decision, SearchSpace, follow

TYPES = {
  "plain": {"kernel": 3},
  "rich": {"kernel": 5, "squeeze_excite": True, "activation": "hswish"},
  "skip": SKIP,
}
SEARCHED = (
  "fbnet",
  "fbnet_cifar",
  "fbnetv2_f",
  "fbnetv2_l",
  "fbnetv2_p",
  "small_dnas",
)


def space(*rows):
  decisions, blocks = layers(rows, TYPES)
  return SearchSpace(
    "s",
    decisions,
    Architecture(
      resolution=16,
      stem=Stem(channels=8),
      blocks=blocks,
      head=Head(channels=16, expansion=0.0),
    ),
  )


def test_ranges_hold_both_ends():
  assert stepped(12, 16, 4) == (12, 16)
  assert stepped(0.75, 4.5, 0.75) == (0.75, 1.5, 2.25, 3.0, 3.75, 4.5)
  assert stepped(8, 8, 4) == (8,)
  assert all(isinstance(v, int) for v in stepped(16, 28, 4))


@pytest.mark.parametrize("bad", ((16, 8, 4), (8, 15, 4), (8, 16, 0)))
def test_ranges_that_do_not_come_out(bad):
  with pytest.raises(ValueError, match=rf"from {bad[0]} to {bad[1]}.*divides"):
    stepped(*bad)


def test_rows_become_layers():
  made = space(
    Row(1, 1.0, 8), Row(2, (1.5, 3.0, 1.5), (8, 16, 4), layers=2, stride=2)
  )
  assert [d.name for d in made.decisions] == [
    "layer1.block",
    "layer2.block",
    "layer2.channels",
    "layer2.expansion",
    "layer3.block",
    "layer3.channels",
    "layer3.expansion",
  ]
  by_name = {d.name: d for d in made.decisions}
  assert by_name["layer3.block"].categorical
  assert by_name["layer3.block"].values == ("plain", "rich", "skip")
  assert by_name["layer3.channels"].values == (8, 12, 16)
  assert by_name["layer2.expansion"].values == (1.5, 3.0)
  assert made.table.block_names == (
    "stage1.block0",
    "stage2.block0",
    "stage2.block1",
  )
  assert [b.stride for b in made.table.blocks] == [1, 2, 1]


def test_a_type_fills_its_fields_and_no_others():
  made = space(Row(1, (1.5, 3.0, 1.5), (8, 16, 4)))
  plain, rich, skip = tables.alternatives(made.table.blocks[0])
  channels, expansion = (follow(d) for d in made.decisions[1:])
  common = {"channels": channels, "stage": 1}
  assert plain == Block(**common, expansion=expansion)
  assert rich == Block(
    **common,
    expansion=expansion,
    kernel=5,
    squeeze_excite=True,
    activation="hswish",
  )
  # Nothing is left in a skip that means nothing to it.
  assert skip == Block(**common, op="skip")
  closed = made.architecture([1, 2, 1]).blocks[0]
  assert tables.alternatives(closed) == (closed,)
  assert closed == dataclasses.replace(rich, channels=16, expansion=3.0)
  assert made.architecture([2, 2, 1]).blocks == (
    Block(channels=16, stage=1, op="skip"),
  )


def test_an_entry_without_a_skip_is_searched_too():
  kind = Decision("kind", ("plain", "rich"), categorical=True)
  types = {name: TYPES[name] for name in kind.values}
  block = typed_block(kind, types, channels=8, stage=1)
  assert [b.kernel for b in tables.alternatives(block)] == [3, 5]
  with pytest.raises(ValueError, match=r"'kind' has the values .*'skip'"):
    typed_block(kind, TYPES, channels=8, stage=1)


@pytest.mark.parametrize("name", SEARCHED)
def test_random_genotypes_and_their_canonical_form(name):
  found = spaces.get(name)
  rng = np.random.default_rng(1)
  genotypes = rng.integers(0, found.choices, (40, len(found.decisions)))
  position = {d.name: i for i, d in enumerate(found.decisions)}
  canonical = np.asarray(found.canonical(jnp.asarray(genotypes)))
  changed = 0
  for genotype, simple in zip(genotypes, canonical, strict=True):
    architecture = found.architecture(genotype)
    assert architecture == found.architecture(simple)
    np.testing.assert_array_equal(found.genotype(architecture), simple)
    wanted = genotype.copy()
    for layer in range(1, len(architecture.blocks) + 1):
      types = found.decisions[position[f"layer{layer}.block"]].values
      expansion = position.get(f"layer{layer}.expansion")
      chosen = types[genotype[position[f"layer{layer}.block"]]]
      if chosen == "skip" and expansion is not None:
        wanted[expansion] = 0
    np.testing.assert_array_equal(simple, wanted)
    changed += np.any(simple != genotype)
  assert (changed > 10) == (name not in ("fbnet", "fbnet_cifar"))


def test_canonical_genotypes_are_distinct_networks():
  made = space(Row(1, (1.5, 4.5, 1.5), (8, 16, 4)), Row(2, 1.0, 8))
  every = itertools.product(*(range(c) for c in made.choices))
  canonical = np.unique(made.canonical(jnp.asarray(list(every))), axis=0)
  # Two types with 3 expansions each and a skip; by 3 widths and 3 types.
  assert len(canonical) == (2 * 3 + 1) * 3 * 3
  assert len({made.architecture(g) for g in canonical}) == len(canonical)


def test_fix_cuts_all_fields_of_a_type():
  whole = spaces.get("small_dnas")
  cut = whole.fix(**{"layer2.block": ["skip", "k5"], "layer3.block": "k3_hs"})
  position = {d.name: i for i, d in enumerate(cut.decisions)}
  assert cut.decisions[position["layer2.block"]].values == ("k5", "skip")
  second, third = cut.table.blocks[1:3]
  assert [b.op for b in tables.alternatives(second)] == [
    "inverted_residual",
    "skip",
  ]
  assert tables.alternatives(second)[0].kernel == 5
  (only,) = tables.alternatives(third)
  assert (only.kernel, only.activation) == (3, "hswish")
  skipped = whole.fix(**{"layer2.block": "skip"})
  rng = np.random.default_rng(2)
  for part in (cut, skipped):
    genotypes = rng.integers(0, part.choices, (20, len(part.decisions)))
    simple = part.canonical(jnp.asarray(genotypes))
    for genotype, wanted in zip(genotypes, simple, strict=True):
      architecture = part.architecture(genotype)
      np.testing.assert_array_equal(part.genotype(architecture), wanted)
      # The network is in the whole space too.
      assert whole.architecture(whole.genotype(architecture)) == architecture
  # Its expansion changes nothing any more, whatever else is chosen.
  expansion = position["layer2.expansion"]
  assert not np.any(np.asarray(skipped.sobol(32))[:, expansion])


def test_a_skip_that_may_be_absent_keeps_its_depth():
  depth = Decision("depth", (1, 2))
  kind = Decision("kind", tuple(TYPES), categorical=True)
  made = SearchSpace(
    "s",
    (depth, kind),
    Architecture(
      resolution=16,
      stem=Stem(channels=8),
      blocks=(
        Block(channels=8, stage=1),
        typed_block(
          kind,
          TYPES,
          channels=8,
          stage=1,
          present=follow(depth, (False, True)),
        ),
      ),
      head=Head(channels=16, expansion=0.0),
    ),
  )
  for genotype in itertools.product(range(2), range(3)):
    simple = genotype if genotype[0] else (0, 0)
    np.testing.assert_array_equal(made.canonical(jnp.asarray(genotype)), simple)
    np.testing.assert_array_equal(
      made.genotype(made.architecture(genotype)), simple
    )


def test_a_network_of_other_types_is_refused():
  whole = spaces.get("small_dnas")
  inside = whole.architecture([0] * len(whole.decisions))
  block = inside.blocks[0]
  for change, message in (
    ({"kernel": 7}, r"stage1.block0.kernel is 7.*'layer1.block'"),
    # Squeeze-excite comes with a kernel of 5 and hard swish only.
    ({"squeeze_excite": True}, r"stage1.block0.activation is 'relu'|squeeze"),
  ):
    changed = (dataclasses.replace(block, **change), *inside.blocks[1:])
    with pytest.raises(ValueError, match=message):
      whole.genotype(dataclasses.replace(inside, blocks=changed))
