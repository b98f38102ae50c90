"""The evaluator that reads a candidate's accuracy from shared weights.

Nothing is trained: a candidate's network has the weights of a shared supernet
(`fbnax.training.shared`), BN's statistics are recomputed on some training
images, and it is measured on the validation images. That depends on the
genotype alone, so a genotype is measured once.

A program is compiled for the whole space at a resolution, and for a smaller box
of it (`fbnax.training.corners`) where the candidates of a round save more than
compiling it takes. A candidate is measured, under masks, in the smallest of
these boxes that holds it, and the candidates of a box one after the other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fbnax.models.network import Supernet, narrow, one_hot
from fbnax.search.evaluators.contract import Candidate, Evaluator, Outcome
from fbnax.spaces.space import SearchSpace
from fbnax.training import corners, loop, mesh, programs, recalibration
from fbnax.training.corners import Corner
from fbnax.training.recipes import Settings
from fbnax.training.step import Model

# Boxes whose programs stay: a program has many memory mappings, of which Linux
# gives a process 65,530.
HELD = 6
# What is weighed: seconds to compile a box's programs, and MACs of the forward
# pass in a second, on two cores. What candidates yield depends on neither.
PROGRAMS = 20.0
SECOND = 1e10


def by_shared_weights(
  space: SearchSpace,
  num_classes: int,
  variables: Any,
  settings_at: Callable[[int], Settings],
  train: loop.Feed,
  validation: loop.Feed,
  *,
  boxes: Sequence[Corner] | None = None,
  images: int = recalibration.IMAGES,
  seed: int = 0,
) -> Evaluator:
  """An evaluator of candidates by the weights they share.

  Args:
    space: whose candidates they are; see `corners.check_space`.
    num_classes: `K`.
    variables: of the shared supernet.
    settings_at: settings at a resolution, for normalisation and batches.
    train: images for BN's statistics.
    validation: images to measure on.
    boxes: that may have programs, the whole space at each resolution among
      them; None for those that suit the device, `boxes_of`.
    images: for BN's statistics.
    seed: of the choice of these.

  Returns:
    The evaluator; its outcomes have curves of one entry, and it counts the
    epochs it is asked for as done with each candidate.
  """
  if boxes is None:
    boxes = boxes_of(space, num_classes)
  weights = jax.device_get(variables)
  outcomes: dict[corners.Genotype, tuple[float, float, float]] = {}
  samples: dict[int, jax.Array] = {}
  held: dict[Corner, Any] = {}  # Variables by the boxes with programs.

  def measured(
    genotype: corners.Genotype, box: Corner
  ) -> tuple[float, float, float]:
    """Accuracy, log-loss and seconds."""
    start = time.monotonic()
    settings = settings_at(box.resolution)
    if box not in held:
      if len(held) == HELD:
        forget()
        held.clear()
      cut = jax.tree.map(jnp.asarray, narrow(box.part, weights))
      held[box] = mesh.put(settings.mesh, cut)
    if box.resolution not in samples:
      taken = recalibration.sample(settings, train, images, seed)
      samples[box.resolution] = mesh.put(settings.mesh, taken)
    module = Supernet(box.part, num_classes)
    choice = one_hot(box.part, jnp.asarray(box.inside(genotype)))
    choice = mesh.put(settings.mesh, choice)
    fitted = recalibration.recalibrated(
      module, settings, held[box], choice, samples[box.resolution]
    )
    metrics = loop.measure(Model(module), settings, fitted, choice, validation)
    accuracy, log_loss = float(metrics.accuracy), float(metrics.loss)
    return accuracy, log_loss, time.monotonic() - start

  def evaluate(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    shown = images + len(validation.labels)
    for candidate, box in by_box(boxes, candidates, shown):
      if candidate.id in ended:
        continue
      genotype = tuple(int(choice) for choice in candidate.genotype)
      if genotype not in outcomes:
        outcomes[genotype] = measured(genotype, box)
      outcome = _outcome(candidate, *outcomes[genotype])
      progress(epochs)
      yield [outcome]

  return evaluate


def boxes_of(space: SearchSpace, num_classes: int) -> tuple[Corner, ...]:
  """The boxes that have programs: the whole space at each resolution.

  On a CPU, where masks cost what the largest network costs, also those between
  the largest and the smallest network that a training has.
  """
  whole = corners.whole(space, num_classes)
  if jax.default_backend() != "cpu":
    return whole
  between = corners.corners(space, num_classes)[1:-1]
  return (*whole, *between)


def forget() -> None:
  """Drops the compiled programs."""
  programs.forget()
  recalibration.forget()


def by_box(
  boxes: Sequence[Corner], candidates: Sequence[Candidate], images: int
) -> list[tuple[Candidate, Corner]]:
  """Candidates with their boxes, those of a box together.

  Args:
    boxes: as in `by_shared_weights`.
    candidates: of a round.
    images: that a candidate is shown.

  Returns:
    Boxes by ascending cost, the candidates of each in the order of their ids.
  """
  large, small = {}, {}
  for candidate in candidates:
    holding = [box for box in boxes if box.holds(candidate.genotype)]
    large[candidate] = max(holding, key=lambda box: box.macs)
    small[candidate] = corners.smallest_holding(boxes, candidate.genotype)
  for box in set(small.values()):
    members = [c for c in candidates if small[c] == box]
    saved = sum(large[c].macs - box.macs for c in members) * images
    if saved < PROGRAMS * SECOND:
      small |= {c: large[c] for c in members}
  places = list(boxes)

  def place(candidate: Candidate) -> tuple[int, int, int]:
    box = small[candidate]
    return box.macs, places.index(box), candidate.id

  return [(c, small[c]) for c in sorted(candidates, key=place)]


def _outcome(
  candidate: Candidate, accuracy: float, log_loss: float, seconds: float
) -> Outcome:
  error = None
  if not math.isfinite(log_loss):
    error = f"diverged: the log-loss by shared weights is {log_loss}"
  return Outcome(
    id=candidate.id,
    curve=(accuracy,),
    log_loss=log_loss,
    seconds=seconds,
    error=error,
    losses=(log_loss,),
  )
