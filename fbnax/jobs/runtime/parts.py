"""A user's own parts: a space, a data set, an evaluator, a teacher.

A config names one as `path/to/file.py:name` or `package.module:name`; a file
outside any package is imported from its path. What it gives is checked here,
and what it raises is told with the line of the user's file.

Naming a part runs its file, so only the command line and the config file name
parts: those are what the user started. What a run has left (`config.json` and
`result.json` of a work directory, perhaps somebody else's) holds such names
too: a job that reads one takes its config through `of_run`, which asks that the
job's own config names the same part again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import numpy as np
from ml_collections.config_dict import ConfigDict

from fbnax import data
from fbnax.data import Dataset
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.user_code import call, is_part, load, told, wrong
from fbnax.search.evaluators import Candidate, Evaluator, Outcome
from fbnax.spaces import SearchSpace

# Where a config names parts.
KEYS = ("space", "data.name", "evaluator", "training.teacher")

__all__ = [
  "KEYS",
  "TeacherPart",
  "dataset",
  "evaluator",
  "is_part",
  "load",
  "of_run",
  "space",
  "teacher",
]


class EvaluatorConfig(Protocol):
  """A config that names an evaluator."""

  @property
  def evaluator(self) -> str:
    """The function."""


class TeacherPart(NamedTuple):
  """A network whose logits are taught.

  Attributes:
    module: called as `module.apply(variables, images, train=False)`.
    variables: of the module.
    resolution: pixels of its images.
    mean: of each channel of its images, in units where white is 1.
    std: of each channel, likewise.
  """

  module: nn.Module
  variables: Any
  resolution: int
  mean: tuple[float, ...]
  std: tuple[float, ...]


def space(text: str, key: str = "config.space") -> SearchSpace:
  """A `SearchSpace`, or what a function without arguments returns as one.

  Raises:
    ValueError: it is none, or as `load`.
  """
  found = load(text, key)
  if not isinstance(found, SearchSpace):
    found = call(found, f"{key}={text!r}")
  if not isinstance(found, SearchSpace):
    raise wrong(f"{key}={text!r}", found, "a fbnax.spaces.SearchSpace")
  if not re.fullmatch(r"\w[\w.-]*", found.name):
    raise ValueError(
      f"{key}={text!r}: the space's name is {found.name!r}; legal: letters,"
      " digits, '_', '-' and '.', since files are named after it"
    )
  return found


def dataset(
  text: str, config_data: Any, seed: int, key: str = "config.data.name"
) -> Dataset:
  """The data set of a function `load(config_data, seed)`, checked.

  Args:
    text: names the function.
    config_data: the config's section `data`; what of it counts is the
      function's affair.
    seed: of every choice of images.
    key: for messages.

  Raises:
    ValueError: it gives no `Dataset`, or as `fbnax.data.check` or `load`.
  """
  named = f"{key}={text!r}"
  found = call(load(text, key), named, config_data=config_data, seed=seed)
  if not isinstance(found, Dataset):
    raise wrong(named, found, "a fbnax.data.Dataset")
  try:
    data.check(found)
  except ValueError as error:
    raise ValueError(f"{named}: {error}") from error
  return found


def evaluator(
  config: EvaluatorConfig,
  space: SearchSpace,
  num_classes: int,
  key: str = "config.evaluator",
) -> Evaluator:
  """The evaluator of a function `make(config, space, num_classes)`.

  What it yields is checked as it ends, and numbers of any library (NumPy, JAX)
  become plain ones.

  Args:
    config: of the run, which the function gets as a ConfigDict; its
      `evaluator` names the function.
    space: the space.
    num_classes: outputs.
    key: for messages.

  Raises:
    ValueError: it gives nothing that can be called, or as `load`. The evaluator
      raises it for an outcome that is none, and for what fails in it.
  """
  named = f"{key}={config.evaluator!r}"
  made = call(
    load(config.evaluator, key),
    named,
    config=configs.config(config),
    space=space,
    num_classes=num_classes,
  )
  if not callable(made):
    raise wrong(named, made, "a fbnax.search.evaluators.Evaluator")

  def evaluate(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    left = {c.id for c in candidates}
    arguments = {
      "candidates": candidates,
      "epochs": epochs,
      "progress": progress,
      "ended": ended,
    }
    yielded = iter(call(made, named, **arguments))
    while True:
      with told(named):
        outcomes = next(yielded, None)
      if outcomes is None:
        break
      checked = [_outcome(o, left, epochs, named) for o in outcomes]
      left -= {o.id for o in checked}
      yield checked
    if left := left - set(ended):
      raise ValueError(f"{named}: no outcome of trials {sorted(left)[:8]}")

  return evaluate


def teacher(
  text: str, num_classes: int, key: str = "config.training.teacher"
) -> TeacherPart:
  """The teacher of a function `make(num_classes)`.

  The function returns `(module, variables, resolution, mean, std)`, see
  `TeacherPart`. A batch of two images is sent through its shapes.

  Raises:
    ValueError: it gives something else, or other logits than one for each of
      `num_classes`, or as `load`.
  """
  named = f"{key}={text!r}"
  found = call(load(text, key), named, num_classes=num_classes)
  wanted = "(module, variables, resolution, mean, std)"
  if not isinstance(found, tuple) or len(found) != len(TeacherPart._fields):
    raise wrong(named, found, wanted)
  module, variables, resolution, mean, std = found
  if not isinstance(module, nn.Module):
    raise wrong(f"{named}: module", module, "a flax.linen.Module")
  if not isinstance(variables, Mapping) or "params" not in variables:
    raise wrong(f"{named}: variables", variables, "a dict with 'params'")
  if not isinstance(resolution, int) or resolution < 1:
    raise ValueError(
      f"{named}: resolution is {resolution!r}; legal: 1 or more pixels"
    )
  with told(named):
    mean, std = (tuple(map(float, np.ravel(v))) for v in (mean, std))
  if not mean or len(mean) != len(std) or not min(std) > 0:
    raise ValueError(
      f"{named}: mean is {mean}, std is {std}; legal: one number for each"
      " channel, std above 0"
    )
  images = jax.ShapeDtypeStruct(
    (2, resolution, resolution, len(mean)), np.float32
  )
  with told(named):
    logits = jax.eval_shape(
      lambda v, x: module.apply(v, x, train=False), variables, images
    )
  if getattr(logits, "shape", None) != (2, num_classes):
    raise ValueError(
      f"{named}: two images give {logits}; legal: logits of shape "
      f"(2, {num_classes}), one for each class"
    )
  return TeacherPart(module, variables, resolution, mean, std)


def of_run(config: object, found: Mapping[str, Any], run: str) -> ConfigDict:
  """The config of a finished run, for a job that goes on from it.

  Args:
    config: the job's own; it names the parts that may be used.
    found: `config` of the run's `result.json`.
    run: the run's directory, for messages.

  Raises:
    ValueError: the run names a part that the job's own config does not; what to
      add is given.
  """
  run_config = ConfigDict(found)
  for key in KEYS:
    named = _value(run_config, key)
    if is_part(named) and _value(config, key) != named:
      raise ValueError(
        f"{run} has config.{key}={named!r}: code of its user's, which is not"
        " run because a directory says so; if you trust it, say"
        f" --config.{key}={named}"
      )
  return run_config


def _value(config: object, key: str) -> str:
  for name in key.split("."):
    config = getattr(config, name, None)
  return config if isinstance(config, str) else ""


def _outcome(
  found: Any, left: Collection[int], epochs: int, named: str
) -> Outcome:
  """An outcome in plain numbers, checked."""
  if not isinstance(found, Outcome):
    raise wrong(f"{named}: yielded", found, "a list of Outcome")
  if found.id not in left:
    raise ValueError(
      f"{named}: an outcome of trial {found.id!r}; legal: one of each of "
      f"{sorted(left)[:8]}"
    )
  with told(named):
    curve = tuple(float(v) for v in found.curve)
    plain = found._replace(
      id=int(found.id),
      curve=curve,
      log_loss=float(found.log_loss),
      seconds=float(found.seconds),
      losses=tuple(float(v) for v in found.losses),
    )
  if found.error is None:
    legal = all(math.isfinite(v) and 0 <= v <= 1 for v in curve)
    if len(curve) != epochs or not legal:
      raise ValueError(
        f"{named}: the curve of trial {found.id} is {curve}; legal: an"
        f" accuracy from 0 to 1 after each of {epochs} epochs"
      )
  return plain
