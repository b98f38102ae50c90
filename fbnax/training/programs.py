"""The compiled programs of the training loop: epochs, steps, measurements.

Each is for one member, or for a population: members side by side on an
accelerator, one after the other on a CPU, on the devices of a mesh where there
is one.

Symbols: `P` members where `stacked`, `N` images.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.training import mesh, step
from fbnax.training.model import Member, Model
from fbnax.training.recipes import Settings
from fbnax.training.step import Metrics, TrainState


class Examples(NamedTuple):
  """Images on the device: `u8[N, H, W, C]` and labels `i32[N]`."""

  images: jax.Array
  labels: jax.Array


@jax.jit
def start(variables: Any) -> TrainState:
  """First states from variables, stacked over `P`."""
  return jax.vmap(step.start)(variables)


def result(state: TrainState, member: Member, stacked: bool = False) -> Any:
  """The variables that training yields; see `fbnax.training.step.result`."""
  arrays = jax.tree.leaves((state, member.recipe))
  if jax.default_backend() == "cpu" and all(map(_is_here, arrays)):
    return _result_on_host(state, member)
  return _result(state, member, stacked)


def _is_here(leaf: Any) -> bool:
  """Whether an array lies on a single device, of this process."""
  return not isinstance(leaf, jax.Array) or (
    leaf.is_fully_addressable and len(leaf.devices()) == 1
  )


def _result_on_host(state: TrainState, member: Member) -> Any:
  """Likewise, where the host has all of it: nothing is compiled.

  To take a vector apart is a kernel for each weight, 3.5 s to compile for the
  hundred of a small network.
  """
  averaged = np.asarray(member.recipe.ema) > 0
  average = np.asarray(state.ema)
  start, parts = 0, []
  for leaf in jax.tree.leaves(state.variables):
    shape = leaf.shape[averaged.ndim :]
    stop = start + math.prod(shape)
    part = average[..., start:stop].reshape(leaf.shape).astype(leaf.dtype)
    chosen = averaged.reshape(averaged.shape + (1,) * len(shape))
    # A copy, since the next epoch uses the state up; `jnp.asarray` compiles a
    # program for each shape.
    parts.append(jax.device_put(np.where(chosen, part, np.asarray(leaf))))
    start = stop
  return jax.tree.unflatten(jax.tree.structure(state.variables), parts)


@functools.partial(jax.jit, static_argnums=2)
def _result(state: TrainState, member: Member, stacked: bool) -> Any:
  def one(_: Any, state: TrainState, member: Member) -> Any:
    return step.result(state, member.recipe)

  return _over(stacked, None, one, None, state, member)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def epoch(
  model: Model,
  settings: Settings,
  stacked: bool,
  state: TrainState,
  member: Member,
  train: Examples,
  teacher: Any,
) -> tuple[TrainState, Metrics]:
  """An epoch; see `fbnax.training.step.train_epoch`."""

  def one(shared: Any, state: TrainState, member: Member) -> Any:
    (images, labels), teacher = shared
    return step.train_epoch(
      model, settings, state, member, images, labels, teacher
    )

  return _over(stacked, settings, one, (train, teacher), state, member)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4)
def one_step(
  model: Model,
  settings: Settings,
  stacked: bool,
  steps: int,
  state: TrainState,
  member: Member,
  batch: Examples,
  teacher: Any,
) -> tuple[TrainState, Metrics]:
  """A step of an epoch of `steps`; see `fbnax.training.step.train_step`."""

  def one(shared: Any, state: TrainState, member: Member) -> Any:
    (images, labels), teacher = shared
    return step.train_step(
      model, settings, steps, state, member, images, labels, teacher
    )

  return _over(stacked, settings, one, (batch, teacher), state, member)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def measured(
  model: Model,
  settings: Settings,
  stacked: bool,
  variables: Any,
  choice: Any,
  images: Examples,
) -> Metrics:
  """A measurement; see `fbnax.training.step.evaluate`."""

  def one(images: Examples, variables: Any, choice: Any) -> Metrics:
    return step.evaluate(model, settings, variables, choice, *images)

  return _over(stacked, settings, one, images, variables, choice)


@functools.partial(jax.jit, static_argnums=(0, 1))
def measured_logits(
  model: Model,
  settings: Settings,
  variables: Any,
  choice: Any,
  images: Examples,
) -> tuple[Metrics, jax.Array]:
  """A network's; see `fbnax.training.step.evaluate_logits`."""
  return step.evaluate_logits(model, settings, variables, choice, *images)


def finite(state: TrainState) -> jax.Array:
  """Whether weights are numbers and always were, `bool[]` or `bool[P]`.

  What is not finite in a step's variables stays so in their average.
  """
  if jax.default_backend() == "cpu" and _is_here(state.ema):
    return jax.device_put(np.isfinite(np.asarray(state.ema)).all(-1))
  return _finite(state.ema)


@jax.jit
def _finite(ema: jax.Array) -> jax.Array:
  return jnp.isfinite(ema).all(-1)


def forget() -> None:
  """Drops all of these programs that are compiled.

  On a CPU each has hundreds of memory mappings, of which Linux gives a process
  65,530.
  """
  compiled: tuple[Any, ...] = (
    start,
    _result,
    epoch,
    one_step,
    measured,
    measured_logits,
    _finite,
  )
  for program in compiled:
    program.clear_cache()


def _over(
  stacked: bool, settings: Settings | None, one: Any, shared: Any, *trees: Any
) -> Any:
  """What a function gives for one member, or for each of a population.

  Members go side by side on an accelerator; one after the other on a CPU, where
  that is as fast for each of them and takes half as long to compile.

  Args:
    stacked: there is a population.
    settings: whose mesh it is spread over.
    one: of `shared` and one member's part of `trees`.
    shared: what all members have.
    *trees: stacked over `P` if `stacked`.
  """
  if not stacked:
    return one(shared, *trees)

  def all_members(shared: Any, *trees: Any) -> Any:
    each = functools.partial(one, shared)
    if jax.default_backend() != "cpu":
      return jax.vmap(each)(*trees)
    return jax.lax.map(lambda member: each(*member), trees)

  devices = None if settings is None else settings.mesh
  return mesh.members(devices, all_members, shared, *trees)
