"""Networks, recipes and teachers that a config names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import jax

from fbnax import spaces
from fbnax.base.text import read as read_text
from fbnax.data import Dataset
from fbnax.jobs.runtime import classes, configs, parts, pretrained
from fbnax.jobs.runtime.sections import RecipeKeys
from fbnax.jobs.runtime.training import Teacher
from fbnax.models import load_weights
from fbnax.spaces import Architecture, Recipe, ResNet, resnet, zoo
from fbnax.spaces.architecture import validate
from fbnax.spaces.around import Surroundings
from fbnax.spaces.exchange import parsed
from fbnax.training import model_files

# What a job can train for itself; no point of a space.
AnyNetwork = Architecture | ResNet
Network = TypeVar("Network", bound=AnyNetwork)
Read = TypeVar("Read")


class RecipeConfig(Protocol):
  """A config that says how one network is trained."""

  @property
  def recipe_file(self) -> str:
    """A JSON file with the recipe; empty for the one below."""

  @property
  def recipe(self) -> RecipeKeys:
    """The recipe."""


def at_resolution(network: Network, resolution: int) -> Network:
  """The network at `config.resolution`; 0 keeps its own.

  Raises:
    ValueError: no pixel of the image would be left somewhere.
  """
  if not resolution:
    return network
  network = dataclasses.replace(network, resolution=resolution)
  try:
    if isinstance(network, Architecture):
      validate(network)
    else:
      resnet.validate(network)
  except ValueError as error:
    raise ValueError(f"config.resolution is {resolution}: {error}") from error
  return network


def read_network(name: str) -> AnyNetwork:
  """As `read_architecture`, and residual networks by their names or JSON.

  Raises:
    ValueError: there is none of that name, or it is of another kind.
  """
  if name in resnet.NAMED:
    return resnet.NAMED[name]
  path = Path(name)
  if path.is_dir():
    found = model_files.load(path).module.architecture
  elif path.suffix == ".json" or path.exists():
    found = _of_file(path, spaces.from_json)
  else:
    try:
      return zoo.get(name)
    except ValueError as error:
      raise ValueError(f"{error}; or {', '.join(resnet.NAMED)}") from None
  if not isinstance(found, AnyNetwork):
    raise ValueError(
      f"{name} is a {type(found).__name__}; legal: an Architecture or a ResNet"
    )
  return found


def read_architecture(name: str) -> Architecture:
  """An architecture of the zoo, a JSON file, or a model's directory.

  Raises:
    ValueError: there is none of that name; the file or the nearest names.
  """
  path = Path(name)
  if path.is_dir():
    return model_files.load(path).module.architecture
  if path.suffix == ".json" or path.exists():
    return _of_file(path, Architecture.from_json)
  return zoo.get(name)


def read_surroundings(path: str) -> Surroundings:
  """What a space around a network is made from, of a JSON file."""
  return _of_file(Path(path), Surroundings.from_json)


def read_recipe(config: RecipeConfig) -> Recipe:
  """The recipe of `config.recipe_file`, or else of `config.recipe`."""
  if config.recipe_file:
    return read_recipe_file(config.recipe_file)
  recipe = Recipe(**configs.config(config.recipe).to_dict())
  recipe.validate()
  return recipe


def read_recipe_file(path: str) -> Recipe:
  """The recipe in a JSON file."""
  return _of_file(Path(path), Recipe.from_json)


def read_teacher(text: str, key: str, dataset: Dataset) -> Teacher | None:
  """A teacher: a model's directory, or a part of the user's own.

  Args:
    text: names it; none where it is empty.
    key: of the config, for messages.
    dataset: whose classes it must have.

  Raises:
    ValueError: there is no model, or it has other classes or image channels.
  """
  if not text:
    return None
  if parts.is_part(text):
    part = parts.teacher(text, dataset.num_classes, key)
    found = Teacher(text, *part)
  else:
    saved = model_files.load(text)
    classes.check(f"{key}={text!r}", saved, dataset)
    at = saved.settings()
    found = Teacher(
      text, saved.module, saved.variables, at.resolution, at.mean, at.std
    )
  if found.mean is not None and len(found.mean) != dataset.channels:
    raise ValueError(
      f"{key}={text!r} takes images of {len(found.mean)} channels; legal: "
      f"{dataset.channels}, as the data set"
    )
  return found


def read_weights(
  text: str, architecture: Architecture, dataset: Dataset, seed: int
) -> Any:
  """Variables of `config.weights`.

  Args:
    text: a file, or as `pretrained.weights_file` has it.
    architecture: of the network.
    dataset: the head is new where its number of classes is not the file's.
    seed: of a new head.

  Raises:
    ValueError: as `pretrained.weights_file` and `fbnax.models.load_weights`, or
      the text is empty.
  """
  if not text:
    raise ValueError(
      "config.weights is empty; give a file of timm's networks, of the official"
      " models or of EfficientNets, 'lite0', or hf:OWNER/NAME@REVISION"
    )
  return load_weights(
    pretrained.weights_file(text),
    architecture,
    dataset.num_classes,
    key=jax.random.key(seed),
  )


def _of_file(path: Path, from_json: Callable[[str], Read]) -> Read:
  document = _read(path)
  try:
    return from_json(document)
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error


def _read(path: Path) -> str:
  try:
    document = read_text(path)
  except FileNotFoundError:
    raise ValueError(f"{path}: no such file") from None
  content = parsed(document, str(path))
  # An architecture or recipe may stand alone, or in a list of candidates.
  if isinstance(content, dict) and path.name == model_files.CARD:
    if "architecture" not in content:
      raise ValueError(f"{path} has no key 'architecture'; is it a model's?")
    return json.dumps(content["architecture"])
  return document
