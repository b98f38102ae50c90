"""Differentiable architecture search: FBNet, DMaskingNAS, and between them.

The loop around the steps (`step`): epochs of weight steps
and theta steps by turns (Wan 2022, section 3.4), on images on the device or
streamed, with checkpoints from which it goes on bit for bit, and a row of what
it saw for each epoch. What is derived from `theta` in the end is in
`derivation`.

Symbols: `D` decisions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models import initialize
from fbnax.search.dnas import state as dnas_state
from fbnax.search.dnas import step as dnas_step
from fbnax.search.dnas.derivation import most_likely
from fbnax.search.dnas.penalties import Penalty
from fbnax.search.dnas.state import SearchPlan, SearchProblem, SearchState
from fbnax.search.prices import Price
from fbnax.training import checkpoints, mesh, stopping
from fbnax.training import step as step_lib
from fbnax.training.loop import DivergedError, Examples, Feed, batches
from fbnax.training.model import Model
from fbnax.training.recipes import Settings


class SearchEpoch(NamedTuple):
  """What an epoch was like; means over its steps, and `theta` at its end.

  Attributes:
    epoch: from 1.
    temperature: of the relaxation.
    loss: cross entropy of the weight steps, nats.
    accuracy: of the weight steps.
    theta_loss: cross entropy of the theta steps; None while theta is frozen.
    theta_accuracy: likewise.
    objective: what the theta steps made small; likewise.
    expected: cost under `softmax(theta)`.
    derived: cost of the most likely network.
    entropies: of each decision as a share of what it has where all choices are
      as likely, `[D]`; 0 for a decision with one choice.
    probabilities: `softmax(theta)`, `[D][choices]`.
  """

  epoch: int
  temperature: float
  loss: float
  accuracy: float
  theta_loss: float | None
  theta_accuracy: float | None
  objective: float | None
  expected: float
  derived: float
  entropies: list[float]
  probabilities: list[list[float]]


@dataclasses.dataclass(frozen=True)
class SearchCheckpointing:
  """Where and how often states are saved, besides at the end of each epoch.

  Attributes:
    directory: of the checkpoints.
    every: steps between them; 0 for the ends of epochs alone.
    keep: how many of the last stay.
  """

  directory: Path
  every: int = 0
  keep: int = 2


class Searched(NamedTuple):
  """The end of a search.

  Attributes:
    state: the last state.
    rows: one for each epoch.
  """

  state: SearchState
  rows: list[SearchEpoch]


def problem(
  model: Model,
  settings: Settings,
  price: Price,
  penalty: Penalty,
  plan: SearchPlan,
  weights: Feed,
  theta: Feed,
  *,
  looped: bool = True,
) -> SearchProblem:
  """Puts a search together; the lengths of its epochs are those of the data.

  Arguments as `SearchProblem`'s attributes; the images are those of `search`.
  """
  settings = dataclasses.replace(
    settings, epochs=plan.epochs, batch_size=_batch(settings, weights, theta)
  )
  return SearchProblem(
    model,
    settings,
    price,
    penalty,
    plan,
    step_lib.steps_per_epoch(_count(weights), settings),
    step_lib.steps_per_epoch(_count(theta), settings),
    looped,
  )


def start(
  problem: SearchProblem, seed: int, channels: int, side: int
) -> SearchState:
  """A supernet with random weights, and a `theta` that prefers nothing.

  Args:
    problem: the search.
    seed: of all that is random.
    channels: of the images.
    side: of the images, pixels.
  """
  init_key, search_key = jax.random.split(jax.random.key(seed))
  images = np.zeros((1, side, side, channels), np.float32)
  even = tuple(jnp.full(k, 1.0 / k) for k in problem.price.space.choices)
  variables = jax.jit(
    lambda key: initialize(problem.model.module, key, images, even, train=False)
  )(init_key)
  return dnas_state.start(problem, variables, search_key)


def search(
  problem: SearchProblem,
  state: SearchState,
  weights: Feed,
  theta: Feed,
  *,
  seed: int = 0,
  checkpointing: SearchCheckpointing | None = None,
  on_epoch: Callable[[SearchEpoch], None] | None = None,
) -> Searched:
  """Searches, or does what is left of a search.

  Args:
    problem: the search.
    state: the first state; its arrays are used up (donated).
    weights: images that the weights are trained on.
    theta: images that `theta` is trained on.
    seed: of the streams' order and crops, where images are streamed.
    checkpointing: where to save states; a search goes on from the newest.
    on_epoch: called after each epoch.

  Returns:
    The last state, and a row for each epoch.

  Raises:
    DivergedError: the loss or `theta` is no finite number any more; the step is
      named, and the last checkpoint before it.
  """
  devices = problem.settings.mesh
  mesh.check(
    devices, mesh.DATA, "search.batch_size", problem.settings.batch_size
  )
  feeds = [
    mesh.put(devices, feed) if isinstance(feed, Examples) else feed
    for feed in (weights, theta)
  ]
  settings = problem.settings
  streams = [
    None
    if isinstance(feed, Examples)
    else batches(settings, feed, settings.batch_size, train=True, seed=seed + i)
    for i, feed in enumerate(feeds)
  ]
  if any(s is not None for s in streams):
    # Crops and flips of streamed images are made where they are decoded.
    settings = dataclasses.replace(settings, flip=False, crop_padding=0)
    problem = dataclasses.replace(problem, settings=settings)
  rows: list[SearchEpoch] = []
  if checkpointing is not None:
    state, rows = resume(checkpointing, state, streams)
  state = mesh.put(devices, state)
  every = 0 if checkpointing is None else checkpointing.every
  at = int(state.step)
  with stopping.held(checkpointing is not None) as asked:
    while at < problem.plan.epochs * problem.steps:
      epoch, place = divmod(at, problem.steps)
      kind = int(place >= problem.weight_steps)
      end = epoch * problem.steps + (problem.weight_steps, problem.steps)[kind]
      if kind and epoch < problem.plan.frozen_epochs:
        passed = mesh.put(devices, jnp.asarray(end, jnp.int32))
        state = state._replace(step=passed)
      else:
        if every:
          end = min(end, (at // every + 1) * every)
        state, taken = _advance(
          problem, kind, state, feeds[kind], streams[kind], end - at, asked
        )
        end = at + taken
      _check(problem, state, checkpointing)
      at = end
      ended = at % problem.steps == 0
      if ended:
        rows.append(_row(problem, state, epoch))
        # Told before it is saved, as in `fbnax.training.loop`.
        if on_epoch is not None:
          on_epoch(rows[-1])
      stop = checkpointing is not None and asked(0)
      if checkpointing is not None and (
        stop or ended or (every and at % every == 0)
      ):
        save(checkpointing, at, state, rows, streams)
      if stop:
        stopping.stop()
  return Searched(mesh.local(devices, state), rows)


@functools.partial(jax.jit, static_argnums=0)
def look(
  price: Price, theta: tuple[jax.Array, ...]
) -> tuple[tuple[jax.Array, ...], jax.Array, jax.Array]:
  """What `theta` says: probabilities, entropies `f32[D]`, expected cost."""
  probabilities = tuple(jax.nn.softmax(t) for t in theta)
  entropies = []
  for p in probabilities:
    nats = -(p * jnp.log(jnp.maximum(p, 1e-30))).sum()
    entropies.append(nats / np.log(max(len(p), 2)))
  return probabilities, jnp.stack(entropies), price.expected(probabilities)


def save(
  checkpointing: SearchCheckpointing,
  step: int,
  state: SearchState,
  rows: Sequence[SearchEpoch],
  streams: Sequence[Any],
) -> None:
  """Saves the state after `step` steps.

  Args:
    checkpointing: where.
    step: number of steps.
    state: of the search.
    rows: of the finished epochs.
    streams: one for each kind of step, None where images are on the device.
  """
  metadata = {
    "rows": [row._asdict() for row in rows],
    "streams": [None if s is None else s.get_state() for s in streams],
  }
  checkpoints.save(
    checkpointing.directory, step, state, metadata, checkpointing.keep
  )


def resume(
  checkpointing: SearchCheckpointing, state: SearchState, streams: Sequence[Any]
) -> tuple[SearchState, list[SearchEpoch]]:
  """The newest saved state and its rows, or the given state and none.

  Args:
    checkpointing: where.
    state: what a search starts with; its shapes are those of what was saved.
    streams: as in `save`; they are set to where they were.
  """
  checkpoint = checkpoints.restore_latest(checkpointing.directory, state)
  if checkpoint is None:
    return state, []
  _, restored, metadata = checkpoint
  for stream, position in zip(streams, metadata["streams"], strict=True):
    if stream is not None:
      stream.set_state(position)
  return restored, [SearchEpoch(**row) for row in metadata["rows"]]


def _row(problem: SearchProblem, state: SearchState, epoch: int) -> SearchEpoch:
  price, sums = problem.price, state.sums
  probabilities, entropies, expected = look(price, state.theta)

  def mean(total: jax.Array, steps: int) -> float:
    return float(total) / steps

  searched = epoch >= problem.plan.frozen_epochs
  objective, theta_loss, theta_accuracy = (
    mean(s, problem.theta_steps) if searched else None
    for s in (sums.objective, sums.theta_loss, sums.theta_accuracy)
  )
  return SearchEpoch(
    epoch=epoch + 1,
    temperature=float(dnas_state.temperature(problem.plan, epoch)),
    loss=mean(sums.loss, problem.weight_steps),
    accuracy=mean(sums.accuracy, problem.weight_steps),
    theta_loss=theta_loss,
    theta_accuracy=theta_accuracy,
    objective=objective,
    expected=float(expected),
    derived=price.exact(most_likely(price.space, state.theta)),
    entropies=np.asarray(entropies, np.float64).tolist(),
    probabilities=[np.asarray(p, np.float64).tolist() for p in probabilities],
  )


def _advance(
  problem: SearchProblem,
  kind: int,
  state: SearchState,
  feed: Feed,
  stream: Any,
  count: int,
  asked: Callable[[int], bool],
) -> tuple[SearchState, int]:
  """Up to `count` more steps of a kind, within its part.

  Returns:
    The state after them, and how many there were: fewer where it is asked to
    stop.
  """
  if isinstance(feed, Examples) and problem.looped:
    stop = state.step + count
    state = dnas_step.run_steps(
      problem, kind, state, feed.images, feed.labels, stop
    )
    return state, count
  settings = problem.settings
  for taken in range(count):
    if taken and asked(taken):
      return state, taken
    if isinstance(feed, Examples):
      state = dnas_step.run_next(problem, kind, state, feed.images, feed.labels)
      continue
    images, labels = (
      mesh.put_batch(settings.mesh, part, settings.batch_size)
      for part in next(stream)
    )
    state = dnas_step.run_step(problem, kind, state, images, labels)
  return state, count


def _check(
  problem: SearchProblem,
  state: SearchState,
  checkpointing: SearchCheckpointing | None,
) -> None:
  failed = int(state.failed)
  if failed < 0:
    return
  epoch, place = divmod(failed, problem.steps)
  kind = "weights" if place < problem.weight_steps else "theta"
  last = "none was saved"
  if checkpointing is not None:
    saved = checkpoints.steps(checkpointing.directory)
    if saved:
      last = f"{checkpointing.directory / f'{saved[-1]:08d}'}"
  raise DivergedError(
    f"search: not a finite number in loss or theta at step {failed}, a step of "
    f"{kind} in epoch {epoch + 1}; last good checkpoint: {last}; a lower "
    "search.learning_rate or search.theta_learning_rate may help"
  )


def _count(feed: Feed) -> int:
  return len(feed.labels)


def _batch(settings: Settings, *feeds: Feed) -> int:
  """Both kinds of steps take batches of one size."""
  return min(settings.batch_size, *(_count(f) for f in feeds))
