"""What a step of a shared supernet costs, in steps of its largest network.

  python -m tests.benchmarks.shared [case ...] [--json=FILE] [--quick]

`digits` is the space `small` at 8 to 16 pixels, batch 64; `lite0_64` and
`lite0_128` open widths, expansions, kernels, depths and resolutions of
EfficientNet-Lite0, at 64 and 128 pixels at most, batch 32. A step of the
sandwich (the largest network, the smallest, two random ones) is taken as
`fbnax.training.shared` takes it on this device, and compared with a training
step of the largest network alone, by `fbnax.training.step`. Beside it stand
each corner's gradient by itself, and both forms of the smallest network. Fails
where the sandwich's loss of the largest network is not that of the usual step.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import models, spaces
from fbnax.spaces import Decision, Recipe, SearchSpace
from fbnax.spaces.follow import Follow
from fbnax.training import corners, loop, programs, recipes, shared, step
from fbnax.training.model import Member, Model
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

CLASSES, STEPS, RUNS, SEED = 10, 100, 12, 0


class SharedCase(NamedTuple):
  """A space and a batch.

  Attributes:
    space: makes it.
    batch: images.
    channels: of the images.
  """

  space: Callable[[], SearchSpace]
  batch: int
  channels: int


def digits() -> SearchSpace:
  """The space `small` for grey images."""
  space = spaces.get("small").with_recipe(Recipe())
  table = dataclasses.replace(space.table, input_channels=1)
  space = dataclasses.replace(space, table=table)
  return space.fix(resolution=[8, 12, 16])


def lite0(side: int) -> SearchSpace:
  """EfficientNet-Lite0 with everything open that a smaller one may have."""
  network = spaces.zoo.get("timm_tf_efficientnet_lite0")
  resolution = Decision("resolution", (side // 2, 3 * side // 4, side))
  width = Decision("width", (0.5, 0.75, 1.0))
  expansion = Decision("expansion", (0.5, 0.75, 1.0))
  decisions = [resolution, width, expansion]

  def shares(decision: Decision, full: float, multiple: int) -> Any:
    values = [
      max(multiple, multiple * round(share * full / multiple))
      for share in decision.values
    ]
    return Follow(decision.name, tuple(values))

  depths: dict[int, Decision] = {}
  blocks, places = [], dict.fromkeys((b.stage for b in network.blocks), 0)
  for block in network.blocks:
    place = places[block.stage] = places[block.stage] + 1
    changes: dict[str, Any] = {"channels": shares(width, block.channels, 8)}
    if block.expansion > 1:
      changes["expansion"] = shares(expansion, block.expansion, 1)
    if place > 1:
      full = sum(b.stage == block.stage for b in network.blocks)
      depth = depths.setdefault(
        block.stage,
        Decision(f"stage{block.stage}.depth", tuple(range(1, full + 1))),
      )
      present = tuple(count >= place for count in depth.values)
      changes["present"] = Follow(depth.name, present)
    blocks.append(dataclasses.replace(block, **changes))
  table = dataclasses.replace(
    network,
    resolution=Follow(resolution.name, resolution.values),
    blocks=tuple(blocks),
  )
  return SearchSpace("lite0", (*decisions, *depths.values()), table)


CASES = {
  "digits": SharedCase(digits, 64, 1),
  "lite0_64": SharedCase(functools.partial(lite0, 64), 32, 3),
  "lite0_128": SharedCase(functools.partial(lite0, 128), 32, 3),
}


class Prepared(NamedTuple):
  """What is timed."""

  space: SearchSpace
  model: Model
  settings: Settings
  member: Member
  batch: loop.Examples
  variables: Any


def prepare(case: SharedCase, quick: bool) -> Prepared:
  """Random weights and a random batch."""
  space = case.space()
  if quick:  # The smallest networks of it.
    space = space.fix(**{d.name: d.values[:2] for d in space.decisions})
  network = models.Network(space.architecture(shared.largest(space)), CLASSES)
  side, count = network.architecture.resolution, 4 if quick else case.batch
  settings = Settings(
    epochs=10,
    batch_size=count,
    resolution=side,
    mean=(0.5,) * case.channels,
    std=(0.25,) * case.channels,
    flip=True,
  )
  random = np.random.default_rng(SEED)
  shape = (count, side, side, case.channels)
  images = random.integers(0, 256, shape).astype(np.uint8)
  labels = random.integers(0, CLASSES, count).astype(np.int32)
  variables = shared.initial(space, CLASSES, jax.random.key(SEED))
  recipe = Recipe("sgd", 0.1, 1e-5, True, 0.1, 0.0, 0.1)
  member = Member(recipes.as_numbers(recipe), None, jax.random.key(SEED))
  batch = loop.Examples(jnp.asarray(images), jnp.asarray(labels))
  return Prepared(
    space, Model(network), settings, member, batch, jax.device_get(variables)
  )


def largest_alone(given: Prepared) -> Callable[[int], Any]:
  """The usual step."""
  state = [step.start(jax.tree.map(jnp.asarray, given.variables))]

  def run(_: int) -> Any:
    state[0], metrics = programs.one_step(
      given.model,
      given.settings,
      False,
      STEPS,
      state[0],
      given.member,
      given.batch,
      None,
    )
    return metrics

  return run


def sandwich(given: Prepared, sharing: shared.Sharing) -> Callable[[int], Any]:
  """A step of all."""
  take = shared.step_of(given.model, given.space, sharing, given.settings, SEED)
  state = [step.start(jax.tree.map(jnp.asarray, given.variables))]

  def run(at: int) -> Any:
    state[0], metrics = take(
      given.settings, STEPS, at, state[0], given.member, given.batch, None
    )
    return metrics

  return run


def lesson(
  given: Prepared, box: corners.Corner, *, is_largest: bool = False
) -> Callable[[int], Any]:
  """The gradient of a box's largest network."""
  at = dataclasses.replace(given.settings, resolution=box.resolution)
  state = step.start(jax.tree.map(jnp.asarray, given.variables))
  batch, taught = shared.prepared(
    given.model, given.settings, state.step, given.member, *given.batch, None
  )

  def run(_: int) -> Any:
    return shared.gradient(
      CLASSES,
      box,
      at,
      is_largest,
      state.variables,
      given.member,
      np.asarray(box.inside(box.top), np.int32),
      batch,
      taught,
      np.float32(1),
    )

  return run


def measure(name: str, quick: bool) -> Iterator[measuring.Row]:
  """The usual step, what the shared one is made of, and that itself."""
  given, runs = prepare(CASES[name], quick), 2 if quick else RUNS
  side = given.settings.resolution
  what = f"`{name}`, {side} px, batch {given.settings.batch_size}"
  alone = largest_alone(given)
  usual, _ = measuring.timed(alone, runs)
  peer = {"peer": "the largest network's step", "peer_value": usual.median}
  boxes = corners.corners(given.space, CLASSES)
  compiled = 0.0
  for box in boxes:
    part, _ = measuring.timed(
      lesson(given, box, is_largest=box is boxes[0]), runs
    )
    compiled += part.first - part.median
    yield measuring.seconds(
      f"a corner's gradient, {box.resolution} px,"
      f" {100 * box.macs / boxes[0].macs:.0f}% of the MACs, {what}",
      part,
      notes=f"compiled in {part.first - part.median:.0f} s",
      **peer,
    )
  if not quick:
    whole = corners.whole(given.space, CLASSES)
    masks = corners.smallest_holding(whole, boxes[-1].top)
    part, _ = measuring.timed(lesson(given, masks), runs)
    yield measuring.seconds(
      f"the smallest network's gradient by masks, {what}", part, **peer
    )
  first = largest_alone(given)(0)
  take = sandwich(given, shared.Sharing())
  timing, (metrics, *_) = measuring.timed(lambda at: (take(at), at), runs)
  compiled += timing.first - timing.median
  np.testing.assert_allclose(
    sandwich(given, shared.Sharing())(0).loss, first.loss, rtol=1e-4
  )
  assert np.isfinite(metrics.loss)
  yield measuring.seconds(
    f"step of a shared supernet, {what}",
    timing,
    notes=f"compiled in {compiled:.0f} s, the peer in {usual.first:.0f} s",
    main=True,
    **peer,
  )


def run(given: Any) -> Iterator[measuring.Row]:
  """All cases, or those that are asked for."""
  measuring.no_cache()
  for name in given.parts[:1] if given.quick else given.parts:
    yield from measure(name, given.quick)


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(CASES))
