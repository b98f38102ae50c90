"""The boxes of a space, and which networks a step trains."""

import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.models import Network
from fbnax.spaces import Recipe
from fbnax.training import corners
from tests.training.tiny_shared import SPACE, K

SMALL = spaces.get("small").with_recipe(Recipe())


@pytest.mark.parametrize(
  ("space", "count"),
  [(SPACE, 5), (SMALL, 5)],
  ids=lambda s: getattr(s, "name", s),
)
def test_the_ends_are_the_largest_and_the_smallest_network(space, count):
  boxes = corners.corners(space, K)
  assert len(boxes) == count
  for box, genotype in (
    (boxes[0], np.asarray(space.choices) - 1),
    (boxes[-1], np.zeros(len(space.choices), int)),
  ):
    assert box.low == box.top == tuple(genotype)
    assert all(count == 1 for count in box.part.choices)
    architecture = space.architecture(genotype)
    assert box.part.architecture(box.inside(genotype)) == architecture
    assert box.macs == costs.count(architecture, K).macs
    assert box.resolution == architecture.resolution


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_boxes_between_are_within_the_share_and_at_several_resolutions(share):
  largest, *between, _ = corners.corners(SMALL, K, share=share)
  assert [box.resolution for box in between] != []
  assert {box.resolution for box in between} == {8, 16, 32}
  for box in between:
    assert box.macs <= share * largest.macs
    architecture = SMALL.architecture(box.top)
    assert box.macs == costs.count(architecture, K).macs
    # All decisions but the resolution's are open from their first choice.
    assert box.low[1:] == (0,) * (len(box.low) - 1)
    assert box.low[0] == box.top[0]
  assert [b.macs for b in between] == sorted(
    (b.macs for b in between), reverse=True
  )


def test_boxes_of_one_resolution_halve_the_share():
  largest, *between, _ = corners.corners(SMALL.fix(resolution=16), K)
  assert len(between) == 3
  for i, box in enumerate(between):
    assert box.macs <= 0.5 ** (i + 1) * largest.macs
    assert box.low == (0,) * len(box.low)


def test_nothing_more_fits_into_a_box():
  largest, *between, _ = corners.corners(SMALL, K)
  assert 0.4 * largest.macs < between[0].macs
  for box in between[:1]:
    for i, (choice, count) in enumerate(
      zip(box.top, SMALL.choices, strict=True)
    ):
      if i and choice + 1 < count:
        more = np.asarray(box.top) + np.eye(len(box.top), dtype=int)[i]
        macs = costs.count(SMALL.architecture(more), K).macs
        assert macs > 0.5 * largest.macs


def test_the_part_of_a_box_has_its_networks():
  for box in (*corners.corners(SMALL, K), *corners.whole(SMALL, K)):
    genotypes = [box.low, box.top]
    genotypes += [
      tuple(np.random.default_rng(i).integers(box.low, np.array(box.top) + 1))
      for i in range(3)
    ]
    for genotype in genotypes:
      inside = box.inside(genotype)
      assert box.holds(genotype)
      assert box.part.architecture(inside) == SMALL.architecture(genotype)


def test_a_network_alone_has_a_single_corner():
  space = SMALL.fix(
    **{d.name: d.values[0] for d in SMALL.decisions if d.name != "resolution"}
  )
  assert len(corners.corners(space.fix(resolution=8), K)) == 1
  # Boxes that hold the smallest network alone are of no use.
  assert len(corners.corners(space, K)) == 2


def test_the_smallest_box_that_holds_a_network():
  boxes = corners.corners(SMALL.fix(resolution=16), K)
  for box in boxes[1:]:
    assert corners.smallest_holding(boxes, box.top) is box
  assert corners.smallest_holding(boxes, boxes[-1].top) is boxes[-1]
  between = np.asarray(boxes[0].top)
  between[1] = 0
  with pytest.raises(ValueError, match="lies in no corner"):
    corners.smallest_holding(boxes, between)


def test_whole_boxes_hold_everything_of_a_resolution():
  boxes = corners.whole(SMALL, K)
  assert [box.resolution for box in boxes] == [8, 12, 16, 24, 32]
  genotypes = np.asarray(SMALL.sobol(8))
  for genotype in genotypes:
    assert [box.holds(genotype) for box in boxes] == [
      box.resolution == SMALL.architecture(genotype).resolution for box in boxes
    ]
  assert len(corners.whole(SMALL.fix(resolution=16), K)) == 1


def _drawn(name, seed, step, boxes, progress=0.5):
  random = np.random.default_rng((seed, step))
  return corners.strategy(name)(boxes, 2, progress, random)


@pytest.mark.parametrize("name", corners.STRATEGIES)
def test_what_is_drawn_follows_from_the_seed_and_the_step(name):
  boxes = corners.corners(SMALL, K)
  drawn = [_drawn(name, 1, 7, boxes, 0.9) for _ in range(2)]
  assert drawn[0] == drawn[1]
  others = [_drawn(name, *at, boxes, 0.9) for at in ((1, 8), (2, 7))]
  assert drawn[0] not in others and others[0] != others[1]
  for subnet in drawn[0]:
    assert subnet.corner.holds(subnet.genotype)
    assert subnet.corner is corners.smallest_holding(boxes, subnet.genotype)


def test_the_sandwich():
  boxes = corners.corners(SMALL, K)
  seen = set()
  for step in range(40):
    largest, smallest, *others = _drawn("sandwich", 0, step, boxes)
    assert largest == (boxes[0], boxes[0].top, False)
    assert smallest == (boxes[-1], boxes[-1].top, True)
    assert len(others) == 2 and all(subnet.taught for subnet in others)
    seen |= {subnet.corner for subnet in others}
  assert seen == set(boxes[1:-1])


def test_progressive_shrinking_opens_smaller_boxes_one_after_the_other():
  boxes = corners.corners(SMALL, K)
  for opened, progress in enumerate((0.0, 0.2, 0.4, 0.6, 0.8)):
    seen = set()
    for step in range(60):
      largest, *others = _drawn("progressive", 0, step, boxes, progress + 0.1)
      assert largest == (boxes[0], boxes[0].top, False)
      assert len(others) == (2 if opened else 0)
      seen |= {subnet.corner for subnet in others}
    assert seen == set(boxes[1 : 1 + opened])


def test_random_sampling_draws_from_all_and_teaches_none():
  boxes = corners.corners(SMALL, K)
  seen = set()
  for step in range(60):
    subnets = _drawn("random", 0, step, boxes)
    assert len(subnets) == 4
    assert not any(subnet.taught for subnet in subnets)
    seen |= {subnet.corner for subnet in subnets}
  assert seen == set(boxes)


@pytest.mark.parametrize(
  ("space", "words"),
  [
    (spaces.get("small"), "decisions about the recipe, .*learning_rate"),
    (spaces.get("fbnetv2_f"), "or searches their types"),
    (spaces.get("nasbench201"), "or searches their types"),
  ],
  ids=lambda value: getattr(value, "name", ""),
)
def test_spaces_that_cannot_be_shared_are_refused(space, words):
  with pytest.raises(ValueError, match=words):
    corners.corners(space, K)


@pytest.mark.parametrize(
  ("options", "words"),
  [({"middle": -1}, "middle is -1; legal: 0"), ({"share": 0}, "share is 0")],
)
def test_options_out_of_range_are_refused(options, words):
  with pytest.raises(ValueError, match=words):
    corners.corners(SMALL, K, **options)


def test_a_strategy_that_is_none_is_refused():
  with pytest.raises(ValueError, match=r"'sandwhich'.*nearest: .*sandwich"):
    corners.strategy("sandwhich")


def test_the_largest_network_is_the_space_s_own():
  (box, *_) = corners.corners(SPACE, K)
  assert Network(SPACE.architecture(box.top), K) == Network(
    box.part.architecture(box.inside(box.top)), K
  )
