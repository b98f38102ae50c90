"""The boxes of a space in which its networks are trained together.

A program with masks costs the largest network of its part of the space. So a
supernet is trained in a few fixed parts, the *corners*: its largest network,
its smallest, and some boxes between them, each at one resolution. A program is
compiled for each of them once, and one network of a box is as good as another
to it. The boxes between are as large as a share of the largest network's cost
allows, at resolutions from the smallest to the largest: wide and deep ones on
small images, narrow and shallow ones on large images.

A *strategy* says which networks a step trains. What is random in it follows
from the seed and the step alone.

Symbols: `D` decisions.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fbnax import costs
from fbnax.base.names import nearest
from fbnax.spaces.follow import decisions_of
from fbnax.spaces.hull import has_hulls, hull
from fbnax.spaces.space import SearchSpace
from fbnax.spaces.tables import open_fields

Genotype = tuple[int, ...]

_SIZES = 64  # Boxes that are tried between the smallest and the largest.


@dataclasses.dataclass(frozen=True)
class Corner:
  """A box of genotypes at one resolution.

  Attributes:
    low: its smallest genotype, `int[D]`.
    top: its largest.
    resolution: pixels.
    macs: of its largest network.
    part: of the space, with a choice for each in the box.
  """

  low: Genotype
  top: Genotype
  resolution: int
  macs: int
  part: SearchSpace

  def __hash__(self) -> int:
    """Of its numbers: a program's call must not walk through the part."""
    return hash((self.low, self.top, self.resolution, self.macs))

  def holds(self, genotype: Sequence[int]) -> bool:
    """Whether a genotype of the whole space, `int[D]`, lies in the box."""
    bounds = zip(self.low, genotype, self.top, strict=True)
    return all(low <= choice <= top for low, choice, top in bounds)

  def inside(self, genotype: Sequence[int]) -> Genotype:
    """The same network as a genotype of `part`."""
    pairs = zip(genotype, self.low, strict=True)
    return tuple(int(choice) - low for choice, low in pairs)


class Subnet(NamedTuple):
  """A network that a step trains.

  Attributes:
    corner: whose program trains it, the smallest that holds it.
    genotype: of the whole space, `int[D]`.
    taught: whether the largest network of the same step teaches it.
  """

  corner: Corner
  genotype: Genotype
  taught: bool


@functools.lru_cache(maxsize=64)
def corners(
  space: SearchSpace, num_classes: int, *, middle: int = 3, share: float = 0.5
) -> tuple[Corner, ...]:
  """The largest network, boxes between, the smallest network.

  Args:
    space: of blocks whose types are not searched, without decisions about the
      recipe, and whose later choices are the larger ones.
    num_classes: `K`, for the cost.
    middle: boxes between, at most; several of one resolution halve the share
      from one to the next.
    share: of the largest network's MACs that a box may have.

  Returns:
    By descending MACs; one for a space of a single network. Boxes that would
    hold the smallest network alone are left out.

  Raises:
    ValueError: the space is none of these, or an argument is out of range.
  """
  check_space(space)
  for name, value, legal in (
    ("middle", middle, middle >= 0),
    ("share", share, 0 < share <= 1),
  ):
    if not legal:
      least = "0 or more" if name == "middle" else "above 0, at most 1"
      raise ValueError(f"corners: {name} is {value!r}; legal: {least}")
  column = _resolution(space)
  choices = np.asarray(space.choices)
  largest = corner(space, num_classes, choices - 1, choices - 1)
  smallest = corner(space, num_classes, 0 * choices, 0 * choices)
  boxes: dict[tuple[Genotype, Genotype], Corner] = {}
  count = 1 if column is None else int(choices[column])
  taken = [0] * count
  for i in range(middle):
    place = math.ceil(i * (count - 1) / max(middle - 1, 1))
    limit = share * 0.5 ** taken[place] * largest.macs
    taken[place] += 1
    box = _largest_box(space, num_classes, place, limit)
    if box is not None and any(box.inside(box.top)):
      boxes.setdefault((box.low, box.top), box)
  between = sorted(boxes.values(), key=lambda c: (-c.macs, c.top))
  ends = (largest,) if largest.top == smallest.top else (largest, smallest)
  return (*ends[:1], *between, *ends[1:])


@functools.lru_cache(maxsize=64)
def whole(space: SearchSpace, num_classes: int) -> tuple[Corner, ...]:
  """All networks of each resolution, by ascending resolution.

  Args:
    space: as in `corners`.
    num_classes: `K`, for the cost.
  """
  check_space(space)
  column = _resolution(space)
  low, top = np.zeros(len(space.choices), int), np.asarray(space.choices) - 1
  if column is None:
    return (corner(space, num_classes, low, top),)
  boxes = []
  for place in range(space.choices[column]):
    low[column] = top[column] = place
    boxes.append(corner(space, num_classes, low, top))
  return tuple(boxes)


def corner(
  space: SearchSpace,
  num_classes: int,
  low: Sequence[int] | np.ndarray,
  top: Sequence[int] | np.ndarray,
) -> Corner:
  """The box between two genotypes `int[D]` of one resolution."""
  first, last = np.asarray(low, np.int32), np.asarray(top, np.int32)
  # Rows in which each choice of the box occurs.
  steps = np.arange(int((last - first).max(initial=0)) + 1)[:, None]
  rows = np.minimum(first + steps, last)
  architecture = space.architecture(last)
  return Corner(
    tuple(first.tolist()),
    tuple(last.tolist()),
    architecture.resolution,
    costs.count(architecture, num_classes).macs,
    hull(space, rows).space,
  )


def smallest_holding(
  boxes: Sequence[Corner], genotype: Sequence[int]
) -> Corner:
  """The box of the fewest MACs that holds a genotype.

  Raises:
    ValueError: none does.
  """
  holding = [box for box in boxes if box.holds(genotype)]
  if not holding:
    raise ValueError(
      f"genotype {tuple(genotype)} lies in no corner; legal: one within "
      f"{[(box.low, box.top) for box in boxes]}"
    )
  return min(holding, key=lambda box: box.macs)


def check_space(space: SearchSpace) -> None:
  """Refuses a space whose networks cannot be trained as one.

  Raises:
    ValueError: it searches types of blocks or recipes, or a later choice makes
      something smaller.
  """
  if not has_hulls(space):
    raise ValueError(
      f"space {space.name!r} is not made of blocks, or searches their types,"
      " which share no weights; legal: a space of blocks of fixed types"
    )
  recipe = [d.name for d in space.decisions if space.is_recipe(d)]
  if recipe:
    raise ValueError(
      f"space {space.name!r} has decisions about the recipe, {recipe}; legal:"
      " none (space.with_recipe)"
    )
  for field in open_fields(space.table):
    numbers = all(isinstance(v, (bool, int, float)) for v in field.values)
    if not numbers or list(field.values) != sorted(field.values):
      raise ValueError(
        f"space {space.name!r}: decision {field.decision!r} makes a field"
        f" {field.values}; legal: numbers that ascend"
      )


def _resolution(space: SearchSpace) -> int | None:
  """The column of the decision about the resolution, None if it is fixed."""
  names = decisions_of(space.table.resolution)
  if not names:
    return None
  return [d.name for d in space.decisions].index(names[0])


def _largest_box(
  space: SearchSpace, num_classes: int, place: int, limit: float
) -> Corner | None:
  """A large box at a resolution within a number of MACs, None if there is none.

  All decisions grow alike as far as they can; then one after the other, each
  time that which costs the least, so that as many as possible are open.
  """
  column = _resolution(space)
  high = np.asarray(space.choices) - 1

  def macs(top: np.ndarray) -> int:
    return costs.count(space.architecture(top), num_classes).macs

  for size in range(_SIZES, -1, -1):
    top = (2 * size * high + _SIZES) // (2 * _SIZES)  # Halves are rounded up.
    if column is not None:
      top[column] = place
    if macs(top) <= limit:
      break
  else:
    return None
  steps = np.eye(len(high), dtype=top.dtype)
  while True:
    larger = [
      top + step
      for i, step in enumerate(steps)
      if i != column and top[i] < high[i]
    ]
    prices = [macs(candidate) for candidate in larger]
    if not prices or min(prices) > limit:
      break
    top = larger[int(np.argmin(prices))]
  low = np.zeros_like(high)
  if column is not None:
    low[column] = place
  return corner(space, num_classes, low, top)


Strategy = Callable[
  [Sequence[Corner], int, float, np.random.Generator], list[Subnet]
]


def sandwich(
  boxes: Sequence[Corner],
  count: int,
  progress: float,
  random: np.random.Generator,
) -> list[Subnet]:
  """The largest, the smallest and `count` random ones, which it teaches.

  Yu et al. 2020, BigNAS, section 3.

  Args:
    boxes: see `corners`.
    count: random networks.
    progress: of the training, from 0 to 1.
    random: what is random.
  """
  subnets = [_only(boxes[0], taught=False)]
  if len(boxes) > 1:
    subnets.append(_only(boxes[-1], taught=True))
  places = boxes[1:-1] or boxes[1:]
  return subnets + _drawn(boxes, places, count, random, taught=True)


def progressive(
  boxes: Sequence[Corner],
  count: int,
  progress: float,
  random: np.random.Generator,
) -> list[Subnet]:
  """The largest, and `count` random ones of more and more boxes.

  The boxes open by descending size, in equal parts of the training, after a
  part for the largest alone (Cai et al. 2020, Once-for-All, section 3.3, where
  one dimension opens after the other). Arguments as of `sandwich`.
  """
  opened = 1 + int(progress * len(boxes))
  largest = _only(boxes[0], taught=False)
  places = boxes[1:opened]
  return [largest, *_drawn(boxes, places, count, random, taught=True)]


def uniform(
  boxes: Sequence[Corner],
  count: int,
  progress: float,
  random: np.random.Generator,
) -> list[Subnet]:
  """`count` and two random ones of all boxes, by their labels alone.

  As many as of `sandwich`, whose arguments it has.
  """
  return _drawn(boxes, boxes, count + 2, random, taught=False)


STRATEGIES: dict[str, Strategy] = {
  "sandwich": sandwich,
  "progressive": progressive,
  "random": uniform,
}


def strategy(name: str) -> Strategy:
  """The strategy of that name.

  Raises:
    ValueError: there is none.
  """
  if name not in STRATEGIES:
    near = nearest(name, STRATEGIES)
    raise ValueError(
      f"strategy is {name!r}; legal: {', '.join(STRATEGIES)}"
      + (f"; nearest: {near}" if near else "")
    )
  return STRATEGIES[name]


def _only(box: Corner, *, taught: bool) -> Subnet:
  return Subnet(box, box.top, taught)


def _drawn(
  boxes: Sequence[Corner],
  places: Sequence[Corner],
  count: int,
  random: np.random.Generator,
  *,
  taught: bool,
) -> list[Subnet]:
  """Uniform over the places and then over the choices in each."""
  subnets = []
  for _ in range(count if places else 0):
    box = places[int(random.integers(len(places)))]
    choices = random.integers(box.low, np.asarray(box.top) + 1)
    genotype = tuple(choices.tolist())
    subnets.append(Subnet(smallest_holding(boxes, genotype), genotype, taught))
  return subnets
