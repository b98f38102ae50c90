"""The network of `config.weights`, trained with all its smaller ones inside.

Its channels are sorted, so that the leading ones matter most
(`fbnax.models.sorting`); the space is what is smaller inside it
(`fbnax.spaces.around`); then one training serves every network of that space
(`fbnax.training.shared`). It is left as the member `supernet`, from which any
of them can be cut.

Symbols: `D` decisions.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fbnax import data
from fbnax.base import files
from fbnax.base.names import escaped
from fbnax.data import Dataset
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.runtime import inputs, networks, pretrained
from fbnax.jobs.runtime.training import Teacher, taught, train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import Network, sorting
from fbnax.report.schema import MemberRow
from fbnax.spaces import Architecture, SearchSpace
from fbnax.spaces.around import Surroundings
from fbnax.training import loop, recalibration, shared
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings

NAME = inputs.SUPERNET
_STEP, _LEAST_SIDE, _MOST_SIDE = 32, 64, 128  # Pixels.


class PretrainedNetwork(NamedTuple):
  """A network to start from.

  Attributes:
    surroundings: what the space is made from.
    space: what is smaller inside it; its last choices are the network.
    architecture: the network, at its largest resolution.
    normalization: `mean` and `std` of the images that its weights have seen.
  """

  surroundings: Surroundings
  space: SearchSpace
  architecture: Architecture
  normalization: dict[str, Any]

  def settings_at(
    self, config: NarsConfig, dataset: Dataset
  ) -> Callable[[int], Settings]:
    """What gives the settings of measurements at a resolution."""
    return lambda side: inputs.settings(
      config, dataset, side, epochs=1, **self.normalization
    )


class Inheritance(NamedTuple):
  """The trained supernet.

  Attributes:
    pretrained: what it was made from.
    member: what `result.json` says of the largest network.
    largest: the largest network, as a teacher.
  """

  pretrained: PretrainedNetwork
  member: MemberRow
  largest: Teacher


def read(config: NarsConfig, dataset: Dataset) -> PretrainedNetwork | None:
  """The network of `config.weights` and its space; None without weights.

  Raises:
    ValueError: a key is not legal, with or without weights.
  """
  if not config.weights:
    for name, value, other in (
      ("evaluator", config.evaluator == "shared", "an evaluator that trains"),
      ("baselines", config.baselines, "False"),
      ("minutes", config.minutes > 0, "0"),
    ):
      if value:
        raise ValueError(
          f"config.{name} is {getattr(config, name)!r} and config.weights is"
          f" empty; legal: both, or {other}"
        )
    return None
  for name in ("fix", "architecture", "recipe_file"):
    if getattr(config, name):
      raise ValueError(
        f"config.{name} is {getattr(config, name)!r} and config.weights"
        f" {config.weights!r}; legal: '' with weights, inside which"
        " config.around says what is searched"
      )
  if config.budgets.scaled:
    raise ValueError(
      f"config.budgets.scaled is {config.budgets.scaled!r} and config.weights"
      f" {config.weights!r}; legal: () with weights, which scaled members would"
      " not inherit"
    )
  _check_sharing(config)
  architecture = _architecture(config, dataset)
  around, sides = config.around, _sides(config, dataset)
  try:
    options = Surroundings(
      architecture,
      sides,
      tuple(map(float, around.widths)),
      tuple(map(float, around.expansions)),
      around.kernels,
      around.depths,
    )
  except ValueError as error:
    raise ValueError(f"config.around.{error}") from error
  space = options.space()
  if not space.decisions:
    raise ValueError(
      f"config.around leaves one network alone of config.weights="
      f"{escaped(config.weights)}; legal: more resolutions, widths, expansions,"
      " kernels or depths, or configs/finetune.py"
    )
  space = space.with_recipe(networks.read_recipe(config))
  return PretrainedNetwork(
    options,
    space,
    space.architecture(shared.largest(space)),
    _normalization(config, dataset),
  )


def _check_sharing(config: NarsConfig) -> None:
  """Refuses what the training and the search by shared weights cannot do."""
  try:
    sharing_of(config)
  except ValueError as error:
    raise ValueError(f"config.shared: {error}") from error
  if config.evaluator == "shared" and config.search.classes:
    raise ValueError(
      f"config.search.classes is {config.search.classes} and config.evaluator"
      " 'shared', which measures weights of all classes; legal: 0"
    )
  head, epochs = config.shared.head_epochs, config.shared.epochs
  if not config.minutes and head >= epochs:
    raise ValueError(
      f"config.shared.head_epochs is {head:g}, in which the classifier alone"
      f" moves, and config.shared.epochs {epochs}; legal: fewer"
    )


def space_of(
  config: NarsConfig, dataset: Dataset, network: PretrainedNetwork | None
) -> SearchSpace:
  """What is searched, inside a pretrained network where there is one."""
  if network is not None:
    return network.space
  return inputs.space(config, dataset.channels)


def train(
  config: NarsConfig,
  work: WorkDir,
  dataset: Dataset,
  pretrained_network: PretrainedNetwork,
  images: data.AnySplit,
  validation: data.AnySplit,
  teacher: Teacher | None,
  progress: Progress,
) -> Inheritance:
  """Trains the network with its smaller ones, or what is left of it.

  Args:
    config: of the run.
    work: where it is left, and what other jobs build the space from again.
    dataset: for its classes and test images.
    pretrained_network: from `read`.
    images: to train on.
    validation: to measure the largest network on after each epoch.
    teacher: of the largest network, if any.
    progress: where to show it.
  """
  _, space, architecture, normalization = pretrained_network
  settings = training_settings(config, dataset, pretrained_network)
  model = taught(Network(architecture, dataset.num_classes), teacher)
  member, largest = train_network(
    work.path,
    NAME,
    architecture,
    space.recipe_table,
    settings,
    dataset,
    loop.place(images),
    loop.place(validation),
    teacher=teacher,
    seed=config.seed,
    checkpoint_every=1,
    progress=progress,
    start_from=lambda: sorted_variables(config, architecture, dataset),
    take=shared.step_of(
      model, space, sharing_of(config), settings, config.seed
    ),
  )
  shared.forget()
  # Not before, since a run that fails at its weights must bind no later one.
  folder = work.path / NAME
  folder.mkdir(exist_ok=True)
  for name, text in (
    (inputs.SURROUNDINGS, pretrained_network.surroundings.to_json()),
    (inputs.SHARED_RECIPE, space.recipe_table.to_json()),
  ):
    files.write_atomically(folder / name, text + "\n")
  return Inheritance(
    pretrained_network,
    member,
    largest._replace(
      mean=normalization.get("mean"), std=normalization.get("std")
    ),
  )


def training_settings(
  config: NarsConfig, dataset: Dataset, pretrained_network: PretrainedNetwork
) -> Settings:
  """How the supernet is trained."""
  return inputs.settings(
    config,
    dataset,
    pretrained_network.architecture.resolution,
    epochs=config.shared.epochs,
    head_epochs=config.shared.head_epochs,
    trunk_rate=config.shared.trunk_rate,
    **pretrained_network.normalization,
  )


def sharing_of(config: NarsConfig) -> shared.Sharing:
  """Which networks a step trains."""
  keys = config.shared
  return shared.Sharing(
    strategy=keys.strategy,
    subnets=keys.subnets,
    distillation=keys.distillation,
  )


def start_of(
  config: NarsConfig,
  dataset: Dataset,
  inheritance: Inheritance,
  images: loop.Feed,
) -> Callable[[Any], Any]:
  """What gives networks of the space the weights that they inherit.

  Args:
    config: of the run.
    dataset: its images.
    inheritance: the supernet.
    images: of which BN's statistics are computed.

  Returns:
    A function from a genotype `i32[D]` to the variables of its network.
  """
  return functools.partial(
    recalibration.of_images,
    inheritance.pretrained.space,
    inheritance.largest.variables,
    inheritance.pretrained.settings_at(config, dataset),
    images,
    config.shared.images,
    config.seed,
  )


def _architecture(config: NarsConfig, dataset: Dataset) -> Architecture:
  """The network of the weights, at the largest resolution of the run."""
  known = pretrained.facts(config.weights)
  name = config.weights_architecture or (known.architecture if known else "")
  if not name:
    raise ValueError(
      "config.weights_architecture is empty, and of config.weights="
      f"{escaped(config.weights)} it is not known; legal: a name of the zoo or"
      " a JSON file"
    )
  network = networks.at_resolution(
    networks.read_architecture(name), max(_sides(config, dataset))
  )
  return dataclasses.replace(network, input_channels=dataset.channels)


def _sides(config: NarsConfig, dataset: Dataset) -> tuple[int, ...]:
  """The resolutions, ascending.

  Raises:
    ValueError: the images are smaller than all of them, or are read at a
      smaller size than one.
  """
  if config.around.resolutions:
    sides = tuple(sorted(set(config.around.resolutions)))
    read_at = config.data.decode_resolution
    if read_at and sides[-1] > read_at:
      raise ValueError(
        f"config.around.resolutions has {sides[-1]} pixels, and images are read"
        f" at config.data.decode_resolution, {read_at}; legal: at most that, or"
        " a larger decode_resolution"
      )
    return sides
  size = dataset.train.size
  most = _MOST_SIDE if size is None else min(*size, _MOST_SIDE)
  sides = tuple(range(_LEAST_SIDE, most + 1, _STEP))
  if not sides:
    raise ValueError(
      f"{dataset.source} has images of {most} pixels, and"
      " config.around.resolutions is empty; legal: images of at least"
      f" {_LEAST_SIDE} pixels, or resolutions of your own"
    )
  return sides


def _normalization(config: NarsConfig, dataset: Dataset) -> dict[str, Any]:
  """`mean` and `std` of the config, or else of the weights."""
  known = pretrained.facts(config.weights)
  values = {
    name: getattr(config, name) or (getattr(known, name) if known else ())
    for name in ("mean", "std")
  }
  return inputs.normalization_of_weights(dataset, **values)


def sorted_variables(
  config: NarsConfig, architecture: Architecture, dataset: Dataset
) -> Any:
  """The variables of the weights, the most important channels in front."""
  variables = jax.device_get(
    networks.read_weights(config.weights, architecture, dataset, config.seed)
  )
  criterion = config.around.importance
  if criterion == "none":
    return variables
  return sorting.sort_channels(
    architecture,
    variables,
    sorting.channel_importance(criterion, architecture, variables),
  )
