"""Candidates trained per hour, in a population and one by one.

  python -m tests.benchmarks.population [shapes ...] [--json=FILE] [--quick]

The space `small` with its recipes, on images of the shapes of `digits` (8
pixels, grey) and of `cifar10` (32 pixels, colours), through the evaluator that
a search has: under masks, in populations of 1, 4 and 16, on an accelerator of
64 as well; and on a CPU in groups by size (`fbnax.search.evaluators.grouping`),
where these are cheaper. One by one is each candidate as a network of its own
size, which is compiled for itself; that is the peer, with and without its
compilation. An hour's candidates are told for trainings of so many epochs of so
many images; they are scaled from fewer of both.

Masks that compile a new program for another candidate fail, and so does a
candidate whose loss is not the same everywhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from fbnax import costs
from fbnax.search.evaluators import Candidate
from fbnax.spaces import SearchSpace
from fbnax.spaces.hull import hull
from fbnax.training import loop
from tests.benchmarks import measuring
from tests.benchmarks.trainings import (
  CLASSES,
  COMPARED,
  EPOCHS,
  SHAPES,
  Shape,
  Trained,
  alone,
  feed,
  in_groups,
  plan,
  searched,
  together,
)

SIZES, ACCELERATED = (1, 4, 16), (1, 4, 16, 64)


class Case(NamedTuple):
  """Candidates on images of a shape, and each trained alone.

  Attributes:
    what: for the names of rows.
    shape: of the images.
    space: the space.
    candidates: as many as the largest population has.
    train: images.
    singles: the first candidates as networks of their own.
  """

  what: str
  shape: Shape
  space: SearchSpace
  candidates: list[Candidate]
  train: loop.Examples
  singles: list[Trained]

  def row(self, name: str, found: Trained, compilation: str) -> measuring.Row:
    """Candidates per hour."""
    compiled = statistics.mean(s.compilation for s in self.singles)
    trained = statistics.mean(s.seconds(self.shape) for s in self.singles)
    return measuring.Row(
      f"{self.what}: candidates trained, {name}",
      3600 / found.seconds(self.shape),
      "candidates/h",
      peer="one by one, each compiled",
      peer_value=3600 / (trained + compiled),
      notes=f"{self.shape.epochs} epochs of {self.shape.images:,} images; "
      f"{compilation}, {compiled:.0f} s for each alone",
      main=True,
      details=found._asdict(),
    )

  def price(self, name: str, found: Trained) -> measuring.Row:
    """Of an epoch, for each candidate."""
    low, middle, high = np.quantile(found.epochs, (0.25, 0.5, 0.75))
    return measuring.Row(
      f"{self.what}: an epoch of {self.shape.timed} images, {name}",
      float(middle),
      "s",
      float(low),
      float(high),
      peer="as a network of its own size",
      peer_value=statistics.mean(
        statistics.median(s.epochs) for s in self.singles
      ),
      notes=f"for each of {COMPARED} candidates",
      main=True,
      details={"alone": [s._asdict() for s in self.singles]},
    )


def case(name: str, shape: Shape, count: int) -> Case:
  """So many candidates on one shape of images."""
  space = searched(shape)
  genotypes = np.asarray(space.sample(jax.random.key(0), count))
  candidates = [
    Candidate(i, tuple(g.tolist()), i) for i, g in enumerate(genotypes)
  ]
  train = feed(shape, shape.timed, 0)
  singles = [alone(space, shape, c, train) for c in candidates[:COMPARED]]
  what = f"`small`, {name} shapes"
  return Case(what, shape, space, candidates, train, singles)


def measure(given: Case, sizes: Any) -> Iterator[measuring.Row]:
  """All sizes of populations under masks, and groups by size."""
  losses: dict[int, float] = {}
  rates = {}

  def check(found: Trained) -> None:
    """Everywhere the same candidate has the same answer."""
    for key, loss in found.losses.items():
      expected = losses.setdefault(key, loss)
      np.testing.assert_allclose(loss, expected, rtol=2e-3, atol=2e-3)

  space, shape = given.space, given.shape
  if jax.default_backend() == "cpu":
    yield from grouped(given, check)
  for size in sizes:
    chosen = given.candidates[: max(size, COMPARED)]
    found = together(space, shape, chosen, given.train, size)
    check(found)
    rates[size] = 3600 / found.seconds(shape)
    name = f"masks, population of {size}"
    yield given.row(name, found, f"{found.compilation:.0f} s to compile once")
    if size == COMPARED:
      yield given.price(name, found)
  best = max(rates, key=lambda size: rates[size])
  yield measuring.Row(
    f"{given.what}: population of {best}, the best, over one of {sizes[0]}",
    rates[best] / rates[sizes[0]],
    notes="candidates per hour",
  )
  own = _macs(space, given.candidates)
  # Masks compute the largest value of every decision.
  widest = space.architecture(np.asarray(space.choices) - 1)
  largest = max(costs.count(widest, CLASSES).macs, *own)
  yield useful(f"{given.what}: useful MACs, masks", own, [largest] * len(own))


def grouped(
  given: Case, check: Callable[[Trained], None]
) -> Iterator[measuring.Row]:
  """Groups by size, right after each candidate alone; none if left to masks."""
  space, shape = given.space, given.shape
  chosen = given.candidates[:COMPARED]
  groups = plan(shape)(space, chosen, EPOCHS)
  if any(group.holds is None for group in groups):
    return
  found = in_groups(space, shape, chosen, given.train)
  check(found)
  name = f"{COMPARED} candidates in {len(groups)} groups"
  waited = found.compilation / COMPARED
  yield given.row(name, found, f"{waited:.0f} s of it to compile")
  yield given.price(name, found)
  parts = [(hull(space, _genotypes(g.candidates)), g) for g in groups]
  tops = [p.architecture(inside.max(0)) for (p, inside), _ in parts]
  yield useful(
    f"{given.what}: useful MACs, {name}",
    [m for _, g in parts for m in _macs(space, g.candidates)],
    [
      costs.count(top, CLASSES).macs
      for top, (_, g) in zip(tops, parts, strict=True)
      for _ in g.candidates
    ],
  )


def useful(name: str, own: list[float], run: list[float]) -> measuring.Row:
  """What part of the MACs that are run is the candidates' own."""
  shares = np.asarray(own) / np.asarray(run)
  return measuring.Row(
    name,
    100 * sum(own) / sum(run),
    "%",
    100 * shares.min(),
    100 * shares.max(),
    notes=f"of {len(own)} random candidates together (least and most); they "
    f"have {min(own) / 1e6:.2f} to {max(own) / 1e6:.2f} M",
    main=True,
  )


def _genotypes(candidates: Iterable[Candidate]) -> list[tuple[int, ...]]:
  return [c.genotype for c in candidates]


def _macs(space: SearchSpace, candidates: Iterable[Candidate]) -> list[float]:
  return [
    costs.count(space.architecture(g), CLASSES).macs
    for g in _genotypes(candidates)
  ]


def run(given: Any) -> Iterator[measuring.Row]:
  """All shapes, or those that are asked for."""
  measuring.no_cache()
  sizes = SIZES if jax.default_backend() == "cpu" else ACCELERATED
  for name in given.parts[:1] if given.quick else given.parts:
    shape = SHAPES[name]
    if given.quick:
      shape, sizes = shape._replace(timed=128), (1, 4)
    yield from measure(case(name, shape, max(sizes)), sizes)


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(SHAPES))
