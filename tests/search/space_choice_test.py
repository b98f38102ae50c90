"""TinyNAS's choice of a space, against enumerations by hand."""

import itertools
import math

import numpy as np
import pytest

from fbnax import costs
from fbnax.search import Budget, choose_space, cut_spaces, scaled_spaces
from fbnax.spaces import (
  Architecture,
  Block,
  Decision,
  Head,
  SearchSpace,
  Stem,
  follow,
)

CLASSES = 10


def tiny(resolution=None):
  """Expansion, kernel and depth: 12 genotypes, of 10 networks."""
  expansion = Decision("expansion", (1, 3))
  kernel = Decision("kernel", (3, 5), categorical=True)
  depth = Decision("depth", (1, 2, 3))
  sides = () if resolution is None else (Decision("resolution", resolution),)
  return SearchSpace(
    name="tiny",
    decisions=(*sides, expansion, kernel, depth),
    table=Architecture(
      resolution=follow(sides[0]) if sides else 16,
      stem=Stem(channels=16),
      blocks=(
        Block(channels=24, stage=0, stride=2, kernel=follow(kernel)),
        *(
          Block(
            channels=24,
            stage=0,
            expansion=follow(expansion),
            present=follow(depth, tuple(d > slot for d in depth.values)),
          )
          for slot in (1, 2)
        ),
      ),
      head=Head(channels=32, expansion=0.0),
    ),
  )


def by_hand(space):
  """MACs, parameters and peak memory of every genotype, one by one."""
  rows = []
  for genotype in itertools.product(*(range(n) for n in space.choices)):
    network = space.architecture(np.asarray(genotype))
    count = costs.count(network, CLASSES)
    rows.append((count.macs, count.params, costs.peak_memory(network)))
  return np.asarray(rows, np.float64)


def test_all_networks_of_a_tiny_space_by_hand():
  candidates = scaled_spaces(tiny(), (0.5, 1.0, 1.5), (16, 24, 32))
  assert [c.name for c in candidates] == [
    f"w{w}-r{r}" for w in ("0.5", "1", "1.5") for r in (16, 24, 32)
  ]
  wanted = {}
  for candidate in candidates:
    macs, params, memory = by_hand(candidate.space).T
    fits = (memory <= 6000) & (params <= 7000)
    wanted[candidate.name] = len(macs), np.sort(macs[fits])
  found = choose_space(
    candidates,
    Budget(memory=(0, 6000), params=(0, 7000)),
    quantiles=(0.0, 0.5, 1.0),
    num_classes=CLASSES,
  )
  assert sorted(c.name for c in found) == sorted(wanted)
  means = {n: m.mean() for n, (_, m) in wanted.items() if len(m)}
  # Some have all, some a part and some none: the test can fail.
  shares = {len(m) / count for count, m in wanted.values()}
  assert {0.0, 1.0} < shares
  by_mean = sorted(means, key=means.get, reverse=True)
  assert [c.name for c in found][: len(means)] == by_mean
  for choice in found:
    count, macs = wanted[choice.name]
    assert choice.share == len(macs) / count
    np.testing.assert_array_equal(choice.curve, macs)
    if len(macs):
      assert choice.macs == pytest.approx(means[choice.name])
      assert choice.error == 0
      low, middle, high = choice.quantiles
      assert (low, high) == (macs[0], macs[-1])
      assert middle == np.median(macs)
    else:
      assert math.isnan(choice.macs)
      assert all(map(math.isnan, choice.quantiles))


def test_widths_are_rounded_as_networks_are():
  half = scaled_spaces(tiny(), (0.5,), (16,))[0].space.table
  assert (half.stem.channels, half.head.channels) == (8, 16)
  assert {b.channels for b in half.blocks} == {16}  # 12, rounded half up.
  assert scaled_spaces(tiny((16, 24)), (1,), (16,))[0].whole == tiny((16, 24))


def test_draws_agree_with_all_networks():
  space = tiny((16, 24, 32))
  # Every draw is a genotype of the part, in the places of the whole.
  cuts = cut_spaces(
    space, {"large": {"resolution": [24, 32]}, "small": {"resolution": 16}}
  )
  budget = Budget(memory=(0, 9000))
  exact = choose_space(cuts, budget, num_classes=CLASSES)
  drawn = choose_space(cuts, budget, samples=11, num_classes=CLASSES, seed=1)
  for choice in drawn:
    (true,) = (c for c in exact if c.name == choice.name)
    assert len(choice.curve) == round(choice.share * 11)
    assert set(choice.curve) <= set(true.curve)
    assert choice.error == pytest.approx(
      choice.curve.std(ddof=1) / math.sqrt(len(choice.curve))
    )
    assert abs(choice.macs - true.macs) < 4 * choice.error
  again = choose_space(cuts, budget, samples=11, num_classes=CLASSES, seed=1)
  assert [c.macs for c in again] == [c.macs for c in drawn]


def test_what_no_network_meets_names_the_least_of_each():
  candidates = scaled_spaces(tiny(), (1.0,), (16, 32))
  least = [int(by_hand(c.space)[:, 2].min()) for c in candidates]
  with pytest.raises(ValueError, match="memory up to 100 elements") as error:
    choose_space(candidates, Budget(memory=(0, 100)), num_classes=CLASSES)
  for candidate, number in zip(candidates, least, strict=True):
    assert f"{candidate.name}: {number:,} elements" in str(error.value)


@pytest.mark.parametrize(
  "make, words",
  [
    (lambda: scaled_spaces(tiny(), (), (16,)), r"widths is \(\)"),
    (lambda: scaled_spaces(tiny(), (-1,), (16,)), "width is -1"),
    (lambda: scaled_spaces(tiny(), (1,), (0,)), "resolution is 0"),
    (lambda: scaled_spaces(tiny((16, 24)), (1,), (20,)), "w1-r20.*16, 24"),
    (lambda: cut_spaces(tiny(), {"a": {"kernel": 7}}), "'a'.*kernel.*7"),
    (lambda: choose_space((), Budget()), "candidates"),
    (
      lambda: choose_space(
        cut_spaces(tiny(), {"a": {}}), Budget(latency=(0, 1))
      ),
      "no latency table",
    ),
    (
      lambda: choose_space(
        cut_spaces(tiny(), {"a": {}}), Budget(memory=(2, 1))
      ),
      "memory from 2.0 to 1.0",
    ),
  ],
)
def test_wrong_arguments(make, words):
  with pytest.raises(ValueError, match=words):
    make()


def test_widths_that_coincide_are_named():
  stem = Decision("stem.channels", (8, 12, 16))
  space = SearchSpace(
    "wide",
    (stem,),
    Architecture(16, Stem(follow(stem)), (Block(16, 0),), Head(16, 0.0)),
  )
  with pytest.raises(ValueError, match=r"width 0.5.*\(8, 8, 8\)"):
    scaled_spaces(space, (0.5,), (16,))
