"""What turns candidates into accuracies: `config.evaluator`.

`train` is this machine, `ray` a cluster whose workers do the same
(`fbnax.jobs.nars.ray_worker`), `shared` measures the weights that candidates
inherit (`fbnax.jobs.nars.supernet`); a part of the user's own does what it
will.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from fbnax import __version__, data
from fbnax.base.json_values import to_json
from fbnax.data import Dataset
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.supernet import Inheritance
from fbnax.jobs.runtime import configs, devices, inputs, parts
from fbnax.jobs.runtime.config_values import all_numbers
from fbnax.search.evaluators import Evaluator, local
from fbnax.search.evaluators.grouping import Grouping, by_masks, by_size
from fbnax.search.evaluators.local import Trainer, planned
from fbnax.search.evaluators.ray_cluster import WorkerKind, connected
from fbnax.search.evaluators.shared import by_shared_weights
from fbnax.search.evaluators.tasks import by_tasks
from fbnax.spaces import SearchSpace
from fbnax.training import loop
from fbnax.training.recipes import Settings


class RayOptions(NamedTuple):
  """`config.ray`.

  Attributes:
    address: of the cluster, "" for one of our own.
    workers: tasks at a time on our own.
    kinds: of workers.
    attempts: until a candidate has failed.
  """

  address: str
  workers: int
  kinds: tuple[WorkerKind, ...]
  attempts: int


def prepare(config: NarsConfig) -> None:
  """To be called before JAX has a backend: workers may be on this GPU too."""
  if config.evaluator == "ray":
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


@contextmanager
def opened(
  config: NarsConfig,
  space: SearchSpace,
  dataset: Dataset,
  train: data.AnySplit,
  validation: data.AnySplit,
  inheritance: Inheritance | None = None,
) -> Iterator[Evaluator]:
  """The evaluator that the config names, while the context lasts.

  Raises:
    ValueError: there is none of that name, Ray is not installed, or a key of
      `config.ray` is not legal.
  """
  named = config.evaluator
  if named == "train":
    yield training(config, space, dataset, train, validation)
  elif named == "shared" and inheritance is not None:
    yield by_shared_weights(
      space,
      dataset.num_classes,
      inheritance.largest.variables,
      inheritance.pretrained.settings_at(config, dataset),
      loop.place(train),
      loop.place(validation),
      images=config.shared.images,
      seed=config.seed,
    )
  elif named == "ray":
    options = ray_options(config)
    if jax.process_count() > 1:
      raise ValueError(
        f"config.evaluator is 'ray' in {jax.process_count()} processes; legal: "
        "one without --distributed, since Ray has the others"
      )
    with by_tasks(
      space,
      config.search.population,
      lambda: connected(
        _task(),
        options.kinds,
        address=options.address,
        workers=options.workers,
      ),
      plan=plan(config, dataset, _images(config, dataset, train)),
      attempts=options.attempts,
      more={
        "config": to_json(configs.as_dict(config)),
        "directory": os.getcwd(),
        "version": __version__,
      },
    ) as evaluate:
      yield evaluate
  elif parts.is_part(named):
    yield parts.evaluator(config, space, dataset.num_classes)
  else:
    raise ValueError(
      f"config.evaluator is {named!r}; legal: train, ray, shared, or a part of"
      " your own, file.py:name"
    )


def training(
  config: NarsConfig,
  space: SearchSpace,
  dataset: Dataset,
  train: data.AnySplit,
  validation: data.AnySplit,
) -> Evaluator:
  """The evaluator that trains in this process."""
  return planned(
    space,
    trainer(config, space, dataset, train, validation),
    plan(config, dataset, _images(config, dataset, train)),
  )


def trainer(
  config: NarsConfig,
  space: SearchSpace,
  dataset: Dataset,
  train: data.AnySplit,
  validation: data.AnySplit,
) -> Trainer:
  """What trains candidates in this process."""
  classes = dataset.num_classes
  changes: dict[str, Any] = {}
  if config.search.classes:
    both = (train, validation)
    train, validation = (
      data.some_classes(s, config.search.classes, classes, seed=config.seed)
      for s in both
    )
    classes = config.search.classes
    changes["class_weights"] = inputs.weights_of_some(
      config.training.class_weights, train.labels, classes
    )
  _settings(config, dataset, 1, **changes)  # What is not legal is said now.
  return local.trainer(
    space,
    classes,
    dataset.channels,
    lambda side: _settings(config, dataset, side, **changes),
    loop.place(train),
    loop.place(validation),
  )


def plan(config: NarsConfig, dataset: Dataset, images: int) -> Grouping:
  """Which candidates of a round share a program (`grouping`).

  Args:
    config: of the run.
    dataset: for its classes.
    images: of an epoch.
  """
  size = config.search.population
  # Where members run one after the other, and not on a device each.
  if _trains_on_cpu(config) and config.mesh.population == 1:
    return by_size(size, config.search.classes or dataset.num_classes, images)
  return by_masks(size)


def _images(config: NarsConfig, dataset: Dataset, train: data.AnySplit) -> int:
  """Of an epoch, about: classes have about as many images each."""
  share = (config.search.classes or dataset.num_classes) / dataset.num_classes
  return round(len(train) * share)


def _trains_on_cpu(config: NarsConfig) -> bool:
  """Whether candidates are trained on a CPU, here or by Ray's workers."""
  if config.evaluator == "ray":
    return not any(all_numbers("config.ray.gpus", config.ray.gpus))
  return jax.default_backend() == "cpu"


def ray_options(config: NarsConfig) -> RayOptions:
  """What `config.ray` says, checked.

  Raises:
    ValueError: Ray is not installed, or a value is not legal; the key is named.
  """
  if importlib.util.find_spec("ray") is None:
    raise ValueError(
      "config.evaluator is 'ray', and Ray is not installed: pip install "
      "'fbnax[ray]'"
    )
  ray = config.ray
  if ray.workers and ray.address:
    raise ValueError(
      f"config.ray.workers is {ray.workers} and config.ray.address "
      f"{ray.address!r}; legal: 0 where the cluster is there already"
    )
  cpus = _amounts(ray.cpus, "config.ray.cpus")
  gpus = _amounts(ray.gpus, "config.ray.gpus")
  if not cpus or len(cpus) != len(gpus) or min(cpus) == 0:
    raise ValueError(
      f"config.ray.cpus is {cpus} and config.ray.gpus {gpus}; legal: one of "
      "each for each kind of worker, cpus above 0"
    )
  kinds = tuple(WorkerKind(*pair) for pair in zip(cpus, gpus, strict=True))
  return RayOptions(ray.address, ray.workers, kinds, ray.attempts)


def _amounts(values: tuple[float, ...], name: str) -> tuple[float, ...]:
  amounts = all_numbers(name, values)
  for amount in amounts:
    if amount < 0 or (amount > 1 and amount != int(amount)):
      raise ValueError(
        f"{name} has {amount}; legal: whole numbers, or parts of 1"
      )
  return tuple(amounts)


def _task() -> Callable[[str], str]:
  """What tasks run.

  A function in a function, which Ray sends as it is: where fbnax is not
  installed it can say so.
  """

  def task(text: str) -> str:
    try:
      from fbnax.jobs.nars import ray_worker
    except ImportError as error:
      import json
      import socket

      where = socket.gethostname()
      return json.dumps({"refused": f"on {where}: {error}"})
    return ray_worker.evaluate(text)

  return task


def _settings(
  config: NarsConfig, dataset: Dataset, side: int, **changes: Any
) -> Settings:
  return inputs.settings(
    config,
    dataset,
    side,
    epochs=config.search.epochs,
    schedule="exponential",
    decay=config.training.search_decay,
    warmup_epochs=0.0,
    mesh=devices.mesh(
      config.mesh,
      "config.training.batch_size",
      config.training.batch_size,
      population=config.search.population,
    ),
    **changes,
  )
