"""How a round is cut into groups that share a program."""

import itertools

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.search.evaluators import Candidate, grouping
from fbnax.spaces.hull import hull

SPACE = spaces.get("small").fix(resolution=(8, 12))
K = 10


def _candidates(count, seed=0):
  genotypes = np.asarray(SPACE.sample(jax.random.key(seed), count))
  ids = np.random.default_rng(seed).permutation(100)[:count]
  return [
    Candidate(int(i), tuple(g.tolist()), int(i))
    for i, g in zip(ids, genotypes, strict=True)
  ]


def _ids(groups):
  return [[c.id for c in group.candidates] for group in groups]


def _cheapest(prices):
  """By trying all ways."""
  count = len(prices)
  found = {}
  for cuts in itertools.product((False, True), repeat=count - 1):
    ends = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), count]
    groups = list(itertools.pairwise(ends))
    found[sum(prices[i, j] for i, j in groups)] = groups
  return found[min(found)]


@pytest.mark.parametrize("seed", range(8))
def test_the_cuts_are_the_cheapest_of_all(seed):
  count = 1 + seed
  prices = np.random.default_rng(seed).random((count, count + 1))
  assert grouping.cheapest_cuts(prices) == _cheapest(prices)


def test_short_trainings_share_a_program_and_long_ones_share_none():
  candidates = _candidates(8)
  short = grouping.by_size(3, K, images=10)(SPACE, candidates, 1)
  assert short == grouping.by_masks(3)(SPACE, candidates, 1)
  assert [(g.resolution, g.size, g.holds) for g in short] == [
    (8, 3, None),
    (12, 3, None),
  ]
  long = grouping.by_size(3, K, images=10**7)(SPACE, candidates, 1)
  assert [len(g.candidates) for g in long] == [1] * 8
  assert [g.size for g in long] == [1] * 8
  assert all(g.holds == (g.candidates[0].genotype,) for g in long)


def test_the_parts_of_a_group_are_of_like_size():
  """Not three and one, of which the one is trained three times."""
  candidates = _candidates(4)
  group = grouping.alone(8, candidates, 3)
  assert group.size == 2
  assert group.holds == tuple(c.genotype for c in candidates)
  parts = list(group.parts())
  assert [list(p.candidates) for p in parts] == [candidates[:2], candidates[2:]]
  # Each is for the program of all.
  assert all(p.holds == group.holds and p.size == 2 for p in parts)


def test_epochs_count_as_images_do():
  candidates = _candidates(6)
  few, many = (
    grouping.by_size(2, K, images=n)(SPACE, candidates, epochs)
    for n, epochs in ((40_000, 6), (6 * 40_000, 1))
  )
  assert few == many


@pytest.mark.parametrize("images", [20_000, 60_000, 100_000, 150_000])
@pytest.mark.parametrize("size", [2, 4])
def test_groups_are_the_cheapest_by_the_largest_network_of_each(size, images):
  """Against hulls of all cuts, by exact counts."""
  candidates = [c for c in _candidates(12, seed=1) if c.genotype[0] == 0][:6]
  macs = {
    c: costs.count(SPACE.architecture(np.asarray(c.genotype)), K).macs
    for c in candidates
  }
  ordered = sorted(candidates, key=lambda c: (macs[c], c.id))
  space = SPACE.fix(resolution=8)
  whole = space.architecture(np.asarray(space.choices) - 1)
  second = images / grouping.SECOND
  each = costs.count(whole, K).macs * second

  def own(members):
    part, inside = hull(SPACE, [c.genotype for c in members])
    top = costs.count(part.architecture(inside.max(0)), K).macs
    group = grouping.alone(8, members, size)
    trained = len(list(group.parts())) * group.size
    return grouping.PROGRAM + trained * top * second

  def cheapest(members, price):
    prices = np.full((len(members), len(members) + 1), np.inf)
    for i, j in itertools.combinations(range(len(members) + 1), 2):
      prices[i, j] = price(members[i:j])
    cuts = _cheapest(prices)
    return [members[i:j] for i, j in cuts], sum(prices[c] for c in cuts)

  parts, _ = cheapest(ordered, lambda some: min(own(some), len(some) * each))
  left, groups = [], []
  for part in parts:
    if len(part) * each <= own(part):
      left += part
    else:
      groups.append(part)
  if left:
    apart, price = cheapest(left, own)
    (masked,) = grouping.by_masks(size)(SPACE, left, 1)
    if price < len(list(masked.parts())) * size * each:
      left, groups = [], groups + apart
  wanted = [sorted(c.id for c in part) for part in groups]
  found = grouping.by_size(size, K, images)(SPACE, candidates, 1)
  assert _ids(found) == [sorted(c.id for c in left)] * bool(left) + wanted
  masks = [g.holds is None for g in found]
  assert masks == [True] * bool(left) + [False] * len(wanted)


def test_nobody_is_trained_under_masks_to_fill_a_large_population():
  """One of sixteen under masks costs what sixteen do."""
  (candidate,) = _candidates(1)
  for size, alone in ((1, False), (16, True)):
    plan = grouping.by_size(size, K, images=30_000)
    (group,) = plan(SPACE, [candidate], 1)
    assert (group.holds is not None) == alone


def test_a_plan_does_not_depend_on_the_order():
  candidates = _candidates(10)
  plan = grouping.by_size(4, K, images=500_000)
  wanted = plan(SPACE, candidates, 1)
  assert plan(SPACE, candidates[::-1], 1) == wanted
  assert sorted(itertools.chain(*_ids(wanted))) == sorted(
    c.id for c in candidates
  )


def test_no_candidates_no_groups():
  assert grouping.by_size(4, K, images=10)(SPACE, [], 1) == []


def test_types_that_are_searched_are_trained_under_masks():
  space = spaces.get("small_dnas")
  genotypes = np.asarray(space.sample(jax.random.key(0), 5))
  candidates = [
    Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(genotypes)
  ]
  groups = grouping.by_size(2, K, images=10**9)(space, candidates, 1)
  assert groups == grouping.by_masks(2)(space, candidates, 1)
  assert all(g.holds is None and g.size == 2 for g in groups)
