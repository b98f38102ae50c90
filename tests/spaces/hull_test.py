"""The part of a space that some genotypes need."""

import dataclasses

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.spaces.follow import Follow, decisions_of
from fbnax.spaces.hull import has_hulls, hull
from fbnax.spaces.tables import open_fields

SMALL = spaces.get("small")


@pytest.mark.parametrize("name", ["small", "fbnetv3", "fbnetv3_cifar"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_networks_and_recipes_are_those_of_the_space(name, count):
  space = spaces.get(name)
  genotypes = np.asarray(space.sample(jax.random.key(count), count))
  part, inside = hull(space, genotypes)
  assert inside.shape == genotypes.shape
  for ours, theirs in zip(inside, genotypes, strict=True):
    assert part.architecture(ours) == space.architecture(theirs)
    assert part.recipe(ours) == space.recipe(theirs)


def test_one_network_leaves_nothing_open_but_its_recipe():
  genotype = np.asarray(SMALL.sample(jax.random.key(0), 1))
  part, inside = hull(SMALL, genotype)
  assert open_fields(part.table) == []
  assert part.table == SMALL.architecture(genotype[0])
  recipe = set(decisions_of(*open_fields(SMALL.recipe_table)))
  for decision, before in zip(part.decisions, SMALL.decisions, strict=True):
    if decision.name in recipe:
      assert decision == before
    else:
      assert len(decision.values) == 1
  assert np.all(inside < part.choices)


def test_it_holds_the_choices_that_occur_and_no_others():
  genotypes = np.zeros((2, len(SMALL.decisions)), np.int32)
  names = [d.name for d in SMALL.decisions]
  genotypes[1, names.index("stage2.channels")] = 3
  genotypes[1, names.index("stage3.depth")] = 1
  part, _ = hull(SMALL, genotypes)
  chosen = {d.name: d.values for d in part.decisions}
  assert chosen["stage2.channels"] == (16, 28)
  assert chosen["stage3.depth"] == (1, 2)
  assert chosen["stage1.channels"] == (8,)
  blocks = dict(zip(part.table.block_names, part.table.blocks, strict=True))
  # Of each stage the blocks that one of both has.
  assert list(blocks) == [
    "stage1.block0",
    "stage2.block0",
    "stage3.block0",
    "stage3.block1",
    "stage4.block0",
  ]
  assert blocks["stage3.block0"].present is True
  assert blocks["stage3.block1"].present == Follow(
    "stage3.depth", (False, True)
  )
  assert blocks["stage2.block0"].channels == Follow("stage2.channels", (16, 28))


def test_its_largest_network_is_no_smaller_than_any():
  genotypes = np.asarray(SMALL.sample(jax.random.key(3), 6))
  part, inside = hull(SMALL, genotypes)
  top = part.architecture(inside.max(0))
  most = max(costs.count(SMALL.architecture(g), 10).macs for g in genotypes)
  whole = SMALL.architecture(np.asarray(SMALL.choices) - 1)
  assert most <= costs.count(top, 10).macs <= costs.count(whole, 10).macs


def test_what_has_none():
  for name, wanted in (
    ("small", True),
    ("fbnetv3", True),
    ("fbnetv2_f", False),
    ("nasbench201", False),
  ):
    assert has_hulls(spaces.get(name)) == wanted
  space = spaces.get("fbnetv2_f")
  with pytest.raises(ValueError, match="'fbnetv2_f' has no hulls"):
    hull(space, np.zeros((1, len(space.decisions)), int))
  with pytest.raises(ValueError, match=r"shape \(0, 25\).*legal"):
    hull(SMALL, np.zeros((0, len(SMALL.decisions)), int))


def test_a_decision_of_both_network_and_recipe_keeps_its_choices():
  first = SMALL.recipe_table.dropout
  shared = dataclasses.replace(
    SMALL,
    table=dataclasses.replace(
      SMALL.table,
      stem=dataclasses.replace(
        SMALL.table.stem,
        channels=Follow(first.decision, tuple(range(4, 4 + len(first.values)))),
      ),
    ),
  )
  genotype = np.asarray(shared.sample(jax.random.key(0), 1))
  part, inside = hull(shared, genotype)
  assert part.architecture(inside[0]) == shared.architecture(genotype[0])
  assert part.recipe(inside[0]) == shared.recipe(genotype[0])
