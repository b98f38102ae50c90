"""How a round is cut into groups that share a program."""

import itertools

import jax
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.search import grouping
from fbnax.search.candidates import Candidate
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
def test_groups_are_the_cheapest_by_the_largest_network_of_each(images):
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
  prices = np.full((len(ordered), len(ordered) + 1), np.inf)
  masked = set()
  for i, j in itertools.combinations(range(len(ordered) + 1), 2):
    part, inside = hull(SPACE, [c.genotype for c in ordered[i:j]])
    top = costs.count(part.architecture(inside.max(0)), K).macs
    own = grouping.PROGRAM + (j - i) * top * second
    prices[i, j] = min(own, (j - i) * each)
    if prices[i, j] < own:
      masked.add((i, j))
  cuts = _cheapest(prices)
  left = sorted(c.id for i, j in cuts if (i, j) in masked for c in ordered[i:j])
  wanted = [
    sorted(c.id for c in ordered[i:j]) for i, j in cuts if (i, j) not in masked
  ]
  groups = grouping.by_size(2, K, images)(SPACE, candidates, 1)
  assert _ids(groups) == [left] * bool(left) + wanted
  masks = [g.holds is None for g in groups]
  assert masks == [True] * bool(left) + [False] * len(wanted)


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
