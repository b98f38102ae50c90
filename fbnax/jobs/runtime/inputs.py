"""What jobs read from a config: data, space, budgets, settings.

Everything here is checked before anything is trained.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fbnax import costs, data, spaces
from fbnax.base import files
from fbnax.base.cost_kinds import ALWAYS, COST_KINDS
from fbnax.base.names import escaped
from fbnax.costs import LatencyTable
from fbnax.costs.table import Context, cost
from fbnax.data import Dataset
from fbnax.jobs.runtime import configs, devices, networks, parts
from fbnax.jobs.runtime.config_values import all_numbers
from fbnax.jobs.runtime.sections import BudgetKeys, SourceKeys, TrainingKeys
from fbnax.report import schema
from fbnax.search import budgets as budgets_lib
from fbnax.search import prices
from fbnax.search.budgets import Budget
from fbnax.spaces import Architecture, SearchSpace
from fbnax.training import precision
from fbnax.training.recipes import Settings

_SETTINGS = {field.name for field in dataclasses.fields(Settings)}
_SHOWN_NAMES = 10
# What a run that starts from weights leaves about its space, and the member
# whose weights all networks of the space share.
SUPERNET = "supernet"
SURROUNDINGS = "surroundings.json"
SHARED_RECIPE = "recipe.json"
_FOLD_SEED = 0  # The folds of a set are the same for all runs.


class DataConfig(Protocol):
  """A config that names a data set."""

  @property
  def seed(self) -> int:
    """Of every choice of images."""

  @property
  def data(self) -> SourceKeys:
    """Where they come from."""


class SpaceConfig(Protocol):
  """A config that names a space."""

  @property
  def space(self) -> str:
    """Its name, or a part of the user's own."""

  @property
  def fix(self) -> str:
    """Decisions that are cut."""

  @property
  def architecture(self) -> str:
    """The one architecture; empty for all of the space."""

  @property
  def resolution(self) -> int:
    """Of that architecture; 0 for its own."""

  @property
  def recipe_file(self) -> str:
    """A file with the one recipe; empty for all of the space."""


class TrainingConfig(Protocol):
  """A config that says how networks are trained."""

  @property
  def training(self) -> TrainingKeys:
    """All but what a recipe says."""


class BudgetConfig(Protocol):
  """A config that limits what networks may cost."""

  @property
  def budgets(self) -> BudgetKeys:
    """The limits."""


@dataclasses.dataclass(frozen=True)
class NamedSpace:
  """A `SpaceConfig` by itself."""

  space: str
  fix: str = ""
  architecture: str = ""
  resolution: int = 0
  recipe_file: str = ""

  @classmethod
  def of_run(cls, config: Mapping[str, Any], run: str | Path) -> NamedSpace:
    """That of the config of a finished run, which may lack some keys.

    Of a run that started from weights it is a space of the run's own, whose
    files are in its directory.
    """
    if config.get("weights"):
      space, recipe = (
        str(files.inside(run, f"{run}/{SUPERNET}/{name}"))
        for name in (SURROUNDINGS, SHARED_RECIPE)
      )
      return cls(space, recipe_file=recipe)
    names = [field.name for field in dataclasses.fields(cls)]
    return cls(**{name: config[name] for name in names if name in config})


def dataset(config: DataConfig, bits: int | None = None) -> Dataset:
  """The data set that `config.data` names, checked; prints its notes.

  With `folds` all of its images are dealt anew; `max_images` then cuts down
  what `fold` made of them. A set that is held in memory only because
  `max_images` cuts it down is thus streamed, and refused.

  Args:
    config: of the job.
    bits: significant ones of 16-bit images, as the model wants them that is
      shown the images; None to find them.
  """
  given = config.data
  folds, index = given.folds, given.fold
  if index and not folds:
    raise ValueError(f"data.fold={index!r} without data.folds; legal: 0")
  most = given.max_images or None
  if parts.is_part(given.name):
    loaded = parts.dataset(given.name, configs.config(given), config.seed)
  else:
    loaded = data.load(
      given.name,
      path=given.path or None,
      tfds_name=given.tfds_name or None,
      test_fraction=given.test_fraction,
      seed=config.seed,
      max_images=None if folds else most,
      decode_resolution=given.decode_resolution or None,
      bits=bits,
      groups=given.groups or None,
    )
  if loaded.notes:
    print(f"data: {loaded.source}")
  if not given.pictures:
    loaded = dataclasses.replace(loaded, pictures=False)
  if not folds:
    return loaded
  found = data.fold(loaded, folds, index, _FOLD_SEED)
  if most is None:
    return found
  return dataclasses.replace(
    found,
    train=data.subset(found.train, most, seed=config.seed),
    test=data.subset(found.test, most, seed=config.seed),
  )


def hold_out(
  config: DataConfig, dataset: Dataset
) -> tuple[data.AnySplit, data.AnySplit]:
  """The training images without those held out of them, and these."""
  key = "validation_fraction"
  if getattr(config.data, "validation_images", 0):
    key = "validation_images"
  return data.hold_out(
    dataset.train,
    getattr(config.data, key),
    seed=config.seed,
    key=f"{dataset.source}: data.{key}",
  )


def space(config: SpaceConfig, channels: int) -> SearchSpace:
  """The space that `config.space` names, cut down by `config.fix`.

  The name is one of the table, of a file of `spaces.Surroundings`, or of a part
  of the user's own (`fbnax.jobs.runtime.parts`). With `config.architecture`
  only recipes are left to search, with `config.recipe_file` only architectures.

  `fix` is `decision=value,value;decision=value`, values as they are printed.

  Raises:
    ValueError: unknown space, decision or value; the legal ones are named.
  """
  named = config.space
  if parts.is_part(named):
    found = parts.space(named)
  elif named.endswith(".json"):
    found = networks.read_surroundings(named).space()
  else:
    found = spaces.get(named)
  if config.architecture and config.recipe_file:
    raise ValueError(
      f"config.architecture is {config.architecture!r} and config.recipe_file "
      f"{config.recipe_file!r}, which leaves nothing to search; legal: one"
    )
  if config.architecture:
    given = networks.read_architecture(config.architecture)
    found = found.with_architecture(
      networks.at_resolution(given, config.resolution)
    )
  if config.recipe_file:
    found = found.with_recipe(networks.read_recipe_file(config.recipe_file))
  found = dataclasses.replace(
    found, table=dataclasses.replace(found.table, input_channels=channels)
  )
  by_name = {d.name: d for d in found.decisions}
  fixed: dict[str, Any] = {}
  for part in filter(None, (p.strip() for p in config.fix.split(";"))):
    name, equals, values = (s.strip() for s in part.partition("="))
    if not equals:
      raise ValueError(
        f"config.fix has {part!r}; legal: decision=value,value;decision=value"
      )
    legal = by_name[name].values if name in by_name else ()
    printed = {str(v): v for v in legal}
    wanted = [v.strip() for v in values.split(",")]
    fixed[name] = [printed.get(v, v) for v in wanted]
  return found.fix(**fixed)


def space_of_networks(config: SpaceConfig, channels: int) -> SearchSpace:
  """The space of a config without its recipes.

  Raises:
    ValueError: as `space`.
  """
  found = space(config, channels)
  if any(found.is_recipe(d) for d in found.decisions):
    found = found.with_recipe(found.recipe(np.zeros(len(found.decisions), int)))
  return found


def space_of_file(name: str, fix: str) -> SearchSpace | None:
  """The space of a file of networks; None where the file tells it itself.

  Args:
    name: `config.space`.
    fix: `config.fix`.

  Raises:
    ValueError: as `space`, or a space that is not named is to be cut.
  """
  if name:
    return space(NamedSpace(name, fix), 3)
  if fix:
    raise ValueError(
      f"config.fix is {fix!r} and config.space is empty; legal: both"
    )
  return None


def budgets(
  config: BudgetConfig, space: SearchSpace, classes: int
) -> list[Budget]:
  """One budget per member of the family, the smallest first.

  Raises:
    ValueError: no budget, lists of two lengths, or a budget that no network of
      the space meets; the feasible range is given.
  """
  if not space.num_architecture_features:
    # One network, whose recipe is searched: it costs what it costs.
    network = space.architecture(np.zeros(len(space.decisions), int))
    macs = float(costs.count(network, classes).macs)
    return [Budget(macs=(macs, macs))]
  keys = config.budgets
  listed = {
    name: all_numbers(f"config.budgets.{name}", getattr(keys, name))
    for name in COST_KINDS
  }
  listed = {name: values for name, values in listed.items() if values}
  shares = all_numbers("config.budgets.share", getattr(keys, "share", ()))
  if shares:
    if "macs" in listed:
      raise ValueError(
        f"config.budgets.share is {shares} and config.budgets.macs"
        f" {listed['macs']}; legal: one of them, the other ()"
      )
    most = budgets_lib.of_shares(shares, keys.floor, space, classes)
    listed = {"macs": most, **listed}
  if not listed:
    raise ValueError(
      f"config.budgets has none of {', '.join(COST_KINDS)}; give one"
    )
  if len({len(values) for values in listed.values()}) > 1:
    raise ValueError(
      "config.budgets has "
      + " and ".join(f"{len(v)} {name}" for name, v in listed.items())
      + "; legal: as many of each, or none"
    )
  # The floor belongs to the first limit; the others are ceilings alone.
  floors = dict.fromkeys(listed, 0.0) | {next(iter(listed)): keys.floor}
  found = [
    Budget(
      **{
        name: (floors[name] * values[i], float(values[i]))
        for name, values in listed.items()
      }
    )
    for i in range(len(next(iter(listed.values()))))
  ]
  found.sort(key=lambda b: tuple(high for _, high in b.values()))
  if "macs" in listed:
    # Said now where a floor tells the least, and not by `scaled` alone.
    low, high = found[0].macs[0] or found[0].macs[1], found[-1].macs[1]
    scaled = all_numbers("config.budgets.scaled", getattr(keys, "scaled", ()))
    inside = [v for v in scaled if low <= v <= high]
    if inside:
      raise ValueError(
        f"config.budgets.scaled has {inside[0]:g} MACs; legal: below {low:g} "
        f"or above {high:g}, beyond config.budgets.macs"
      )
    if len(set(scaled)) < len(scaled):
      raise ValueError(f"config.budgets.scaled is {scaled}; legal: each once")
  for budget in found:
    prices.check_budgets(
      budgets_lib.batched(budget), space, classes, latency_table(config)
    )
  # Members are known by their budgets.
  if any(one == other for one, other in itertools.pairwise(found)):
    raise ValueError(f"config.budgets has {listed}; legal: each budget once")
  return found


def latency_table(config: BudgetConfig) -> LatencyTable | None:
  """The table that `config.budgets.table` names, None where there is none.

  Raises:
    ValueError: it is no table, or one is given and no latency is limited, or
      the other way round.
  """
  path = config.budgets.table
  tabled = [name for name in COST_KINDS if cost(name).needs_table]
  limited = [name for name in tabled if getattr(config.budgets, name)]
  if bool(path) != bool(limited):
    name = (limited or tabled)[0]
    raise ValueError(
      f"config.budgets.{name} is {getattr(config.budgets, name)!r} and "
      f"config.budgets.table {path!r}; legal: both or none"
    )
  return _table(path) if path else None


@functools.lru_cache(maxsize=4)
def _table(path: str) -> LatencyTable:
  """One object for a file, since programs are compiled for it."""
  return LatencyTable.load(path)


def as_json(budget: Budget) -> dict[str, Any]:
  """A budget as `result.json` has it, None where there is no limit.

  Costs beside MACs and parameters are there only where they are limited.
  """
  return {
    name: list(limits) if math.isfinite(limits[1]) else None
    for name, limits in budget.items()
    if name in ALWAYS or math.isfinite(limits[1])
  }


def further_costs(
  config: BudgetConfig, budget: Budget, architecture: Architecture, classes: int
) -> dict[str, float]:
  """What a network costs beside MACs and parameters, as its budget limits."""
  context = Context(classes, latency_table(config))
  return {
    name: cost(name).exact(architecture, context) for name in budget.further()
  }


def settings(
  config: TrainingConfig,
  dataset: Dataset,
  resolution: int,
  *,
  batch_size: int | None = None,
  **changes: Any,
) -> Settings:
  """Training settings from `config.training`, with changes."""
  given = config.training
  mean, std = normalization(dataset)
  batch = batch_size or given.batch_size
  batch_name = f"config.{'search' if batch_size else 'training'}.batch_size"
  return Settings(
    **{
      **{
        name: getattr(given, name) for name in _SETTINGS if hasattr(given, name)
      },
      "batch_size": batch,
      "resolution": resolution,
      "mean": mean,
      "std": std,
      **_orientations(given, dataset),
      "class_weights": class_weights(
        getattr(given, "class_weights", ""),
        dataset.train.labels,
        dataset.class_names,
      ),
      "crop_padding": dataset.crop_padding,
      "precision": precision.chosen(getattr(given, "precision", "float32")),
      "mesh": devices.mesh(getattr(config, "mesh", None), batch_name, batch),
      **changes,
    }
  )


def class_weights(
  text: str, labels: np.ndarray, class_names: Sequence[str]
) -> tuple[float, ...]:
  """What `training.class_weights` says, with a mean of 1 over the images.

  Args:
    text: the key's value.
    labels: of the training images, `i32[N]`.
    class_names: of all classes.

  Returns:
    A weight for each class; () where there are none.

  Raises:
    ValueError: it is neither "balanced" nor a number for each class.
  """
  if not text.strip():
    return ()
  counts = np.bincount(labels, minlength=len(class_names))
  if text.strip() == "balanced":
    weights = 1.0 / np.maximum(counts, 1)
  else:
    try:
      weights = np.asarray([float(part) for part in text.split(",")])
    except ValueError:
      weights = np.zeros(0)
    legal = len(weights) == len(counts) and np.isfinite(weights).all()
    if not legal or weights.min() < 0 or not (weights * counts).any():
      shown = ", ".join(map(escaped, class_names[:_SHOWN_NAMES]))
      shown += ", …" if len(class_names) > _SHOWN_NAMES else ""
      raise ValueError(
        f"config.training.class_weights is {text!r}; legal: balanced, or"
        f" {len(counts)} numbers from 0, not all of them 0, for {shown}"
      )
  scaled = weights * (counts.sum() / (weights * counts).sum())
  return tuple(scaled.tolist())


def weights_of_some(
  text: str, labels: np.ndarray, classes: int
) -> tuple[float, ...]:
  """`class_weights` where a search takes some of the classes at random.

  Args:
    text: as there.
    labels: of the training images of these classes, numbered anew.
    classes: how many.

  Raises:
    ValueError: the weights are numbers, which are for all classes.
  """
  if text.strip() not in ("", "balanced"):
    raise ValueError(
      f"config.training.class_weights is {text!r} with config.search.classes ="
      f" {classes}; legal: balanced, or all classes"
    )
  return class_weights(text, labels, [str(k) for k in range(classes)])


def _orientations(given: TrainingKeys, dataset: Dataset) -> dict[str, bool]:
  """What `training.flips` and `quarter_turns` say of the images at hand."""
  flips = getattr(given, "flips", "auto")
  turns = getattr(given, "quarter_turns", False)
  split = dataset.train
  if turns and isinstance(split, data.Split) and len(set(split.size)) > 1:
    height, width = split.size
    raise ValueError(
      f"config.training.quarter_turns is True with images of {height} x {width}"
      " pixels; legal: square ones (config.data.decode_resolution makes them"
      " so), or False"
    )
  horizontal = flips in ("horizontal", "both")
  return {
    "flip": dataset.flip if flips == "auto" else horizontal,
    "vertical_flip": flips in ("vertical", "both"),
    "quarter_turns": turns,
  }


def normalization_of_weights(
  dataset: Dataset, **channels: tuple[float, ...]
) -> dict[str, tuple[float, ...]]:
  """`mean` and `std` that a config gives, for weights trained with them.

  Images of one channel take the mean over the channels.

  Args:
    dataset: for its channels.
    **channels: `mean` and `std` of the config, each of which may be empty.

  Raises:
    ValueError: they are not of as many channels.
  """
  changes = {}
  for name, values in channels.items():
    if values and dataset.channels == 1:
      values = (sum(values) / len(values),)
    if values and len(values) != dataset.channels:
      raise ValueError(
        f"config.{name} has {len(values)} values; legal: none, or one for each"
        f" of {dataset.channels} channels"
      )
    if values:
      changes[name] = tuple(map(float, values))
  return changes


@functools.lru_cache(maxsize=4)
def normalization(
  dataset: Dataset,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and deviation of the channels; reads images where they stream.

  They are compiled into the training's program. Rounded to sixteenths they are
  mostly the same for all parts of a data set, so that folds, and searches with
  other seeds, find each other's programs in the cache.
  """
  mean, std = (
    np.round(np.asarray(v, float) * 16) / 16
    for v in data.normalization(dataset.train)
  )
  return tuple(mean.tolist()), tuple(np.maximum(std, 1 / 16).tolist())


def facts(
  dataset: Dataset, train: data.AnySplit, validation: data.AnySplit
) -> schema.DatasetFacts:
  """What the result says of the data; prints what a reader should know first.

  Args:
    dataset: the data set.
    train: what is left of its training split.
    validation: what was held out of it.
  """
  in_memory = dataset.train.size is not None
  shared = data.shared_images(train, validation, dataset.test)
  if shared > 0:
    print(f"{dataset.source}: {shared} images appear in two splits")
  for line in absences(dataset, validation):
    print(line)
  return schema.DatasetFacts(
    name=dataset.name,
    source=dataset.source,
    num_classes=dataset.num_classes,
    class_names=tuple(dataset.class_names),
    image_shape=tuple(dataset.image_shape) if in_memory else None,
    channels=dataset.channels,
    train=len(train),
    validation=len(validation),
    test=len(dataset.test),
    shared_images=shared,
    untested=tuple(absent(dataset, dataset.test)),
    unvalidated=tuple(absent(dataset, validation)),
  )


def absences(
  dataset: Dataset, validation: data.AnySplit | None = None
) -> list[str]:
  """A line for each split that lacks classes, of which nothing is measured."""
  lines = []
  for split, images in (("test", dataset.test), ("validation", validation)):
    if images is not None and (names := absent(dataset, images)):
      shown = ", ".join(map(escaped, names[:_SHOWN_NAMES]))
      more = len(names) - _SHOWN_NAMES
      shown += f" and {more} more" if more > 0 else ""
      lines.append(
        f"{dataset.source}: no {split} image of {len(names)} of"
        f" {dataset.num_classes} classes: {shown}"
      )
  return lines


def absent(dataset: Dataset, split: data.AnySplit) -> list[str]:
  """The classes without an image in a split; none where the split is empty."""
  counts = np.bincount(split.labels, minlength=dataset.num_classes)
  missing = np.flatnonzero(counts == 0) if len(split) else ()
  return [dataset.class_names[i] for i in missing]
