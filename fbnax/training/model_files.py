"""A trained network as a directory: its card, and its weights.

`model.json` is the card: architecture, recipe, classes, preprocessing, costs,
measured accuracy, and how probabilities are made of logits (`Calibration`).
`weights/` is a checkpoint of the module's variables.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import spaces
from fbnax.base import arrays, files, json_values
from fbnax.base.names import is_encodable
from fbnax.models.building import build
from fbnax.spaces import Architecture, ResNet
from fbnax.training import checkpoints
from fbnax.training.checkpoint_files import DamagedError
from fbnax.training.recipes import Settings

CARD = "model.json"
WEIGHTS = "weights"
SCHEMA_VERSION = 1
_FAR = 1e6  # Of a normalisation; white is 1.


class Calibration(NamedTuple):
  """How a model's logits become probabilities, and these a decision.

  Attributes:
    positive: of two classes the one that the threshold is of; None for more.
    temperature: that logits are divided by; None where no images that were not
      trained on told it.
    threshold: from which calibrated probability on an image is taken for the
      positive class; None likewise.
    images: on which both were chosen.
  """

  positive: str | None = None
  temperature: float | None = None
  threshold: float | None = None
  images: int | None = None

  @property
  def by(self) -> float:
    """The temperature, 1 where it is not known."""
    return 1.0 if self.temperature is None else self.temperature


class SavedModel(NamedTuple):
  """A network read from its directory.

  Attributes:
    module: the network.
    variables: of the module.
    card: what `model.json` says.
  """

  module: Any
  variables: Any
  card: dict[str, Any]

  @property
  def class_names(self) -> tuple[str, ...]:
    """Of the classes, in the order of the outputs."""
    return tuple(map(str, self.card["class_names"]))

  @property
  def numbered(self) -> bool:
    """Whether these are numbers of classes whose names nobody knows."""
    return self.card.get("numbered_classes") is True

  @property
  def bits(self) -> int | None:
    """Significant bits of 16-bit images for it; None if it never saw any."""
    return self.card["preprocessing"].get("bits")

  @property
  def calibration(self) -> Calibration:
    """How probabilities are made of its logits."""
    return Calibration(**self.card.get("calibration", {}))

  def settings(self, batch_size: int = 256) -> Settings:
    """How images are prepared for it."""
    preprocessing = self.card["preprocessing"]
    return Settings(
      epochs=1,
      batch_size=batch_size,
      resolution=preprocessing["resolution"],
      mean=tuple(preprocessing["mean"]),
      std=tuple(preprocessing["std"]),
    )


def save(
  directory: str | Path,
  architecture: Architecture | ResNet,
  variables: Any,
  settings: Settings,
  class_names: tuple[str, ...],
  *,
  crop_ratio: float = 1.0,
  bits: int | None = None,
  **facts: Any,
) -> None:
  """Writes a trained network; the card last, so that it is whole or not there.

  Args:
    directory: made if it is not there.
    architecture: of the network.
    variables: of `models.building.build(architecture, len(class_names))`.
    settings: what its images were prepared with.
    class_names: in the order of the outputs.
    crop_ratio: share of the image's shorter side that is measured on, centred.
    bits: significant ones of the images it was trained on, where these had more
      than 8; None where they had not.
    **facts: more of the card: recipe, costs, accuracy, … (JSON).
  """
  directory = Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  checkpoints.save(directory / WEIGHTS, 0, variables, keep=1)
  card = {
    "schema_version": SCHEMA_VERSION,
    "architecture": json.loads(architecture.to_json()),
    "class_names": list(class_names),
    "preprocessing": {
      "resolution": settings.resolution,
      "mean": list(settings.mean),
      "std": list(settings.std),
      "channels": architecture.input_channels,
      "crop_ratio": crop_ratio,
      **({} if bits is None else {"bits": bits}),
    },
    **facts,
  }
  text = json_values.to_json(json_values.plain(card, "card"), indent=2)
  files.write_atomically(directory / CARD, text + "\n")


def load(directory: str | Path) -> SavedModel:
  """Reads what `save` wrote.

  Raises:
    ValueError: there is no model, its card is damaged or of another version,
      its weights are damaged (`DamagedError`) or none that a network can have,
      or a link leads out of the directory; the file and the key or array are
      named.
  """
  directory = Path(directory)
  files.check_links(directory)
  path = directory / CARD
  try:
    card = json_values.read_object(path)
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError(f"{directory} holds no model: {path} is missing") from None
  version = card.get("schema_version")
  if type(version) is not int or version != SCHEMA_VERSION:
    raise ValueError(
      f"{path}: schema_version is {json_values.shown(version)}; legal:"
      f" {SCHEMA_VERSION}"
    )
  names = json_values.field(card, "class_names", list, str(path), of=str)
  if len(set(names)) < len(names):
    name = next(n for i, n in enumerate(names) if n in names[:i])
    raise ValueError(
      f"{path}: class_names has {json_values.shown(name)} twice; legal:"
      " distinct names"
    )
  for i, name in enumerate(names):
    if not is_encodable(name):  # JSON can spell what UTF-8 cannot.
      raise ValueError(
        f"{path}: class_names[{i}] is {json_values.shown(name)}; legal: a name"
        " in UTF-8"
      )
  architecture_json = json_values.field(card, "architecture", dict, str(path))
  try:
    architecture: Any = spaces.from_json(json.dumps(architecture_json))
    module = build(architecture, len(names))
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error
  _check_card(path, card, architecture)
  like = variable_shapes(module)
  restored = checkpoints.restore_latest(directory / WEIGHTS, like)
  if restored is None:
    raise DamagedError(f"{directory / WEIGHTS}: no weights that load")
  _check_arrays(directory / WEIGHTS, restored.tree)
  return SavedModel(module, restored.tree, card)


def _check_card(path: Path, card: dict[str, Any], architecture: Any) -> None:
  """Raises a ValueError that names the first value that no model can have."""
  where = str(path)
  preprocessing = json_values.field(card, "preprocessing", dict, where)
  pairs = [("resolution", architecture.resolution)]
  if "channels" in preprocessing:
    pairs.append(("channels", architecture.input_channels))
  for name, expected in pairs:
    key = f"preprocessing.{name}"
    value = json_values.field(card, key, int, where)
    if value != expected:
      raise ValueError(
        f"{path}: {key} is {value}; legal: {expected}, as of the architecture"
      )
  for name in ("mean", "std"):
    key = f"preprocessing.{name}"
    values = json_values.field(
      card, key, list, where, of=float, low=-_FAR, high=_FAR
    )
    if len(values) != architecture.input_channels:
      raise ValueError(
        f"{path}: {key} has {len(values)} values; legal:"
        f" {architecture.input_channels}, one for each channel"
      )
    if name == "std" and min(values) < 1 / _FAR:
      raise ValueError(
        f"{path}: {key} is {json_values.shown(values)}; legal: numbers from"
        f" {1 / _FAR:g}"
      )
  if "crop_ratio" in preprocessing:
    json_values.field(
      card, "preprocessing.crop_ratio", float, where, low=0.01, high=1.0
    )
  if preprocessing.get("bits") is not None:
    json_values.field(card, "preprocessing.bits", int, where, low=8, high=16)
  if card.get("calibration") is not None:
    _check_calibration(where, card)
  for name, kind in (("entry", dict), ("recipe", dict), ("licence", str)):
    if card.get(name) is not None:
      json_values.field(card, name, kind, where)


def _check_calibration(where: str, card: dict[str, Any]) -> None:
  """Raises a ValueError that names the first value that is not legal."""
  calibration = json_values.field(card, "calibration", dict, where)
  unknown = sorted(set(calibration) - set(Calibration._fields))
  if unknown:
    raise ValueError(
      f"{where}: calibration has {json_values.shown(unknown[0])}; legal:"
      f" {', '.join(Calibration._fields)}"
    )
  names = card["class_names"]
  positive = calibration.get("positive")
  if positive is not None and (positive not in names or len(names) != 2):
    raise ValueError(
      f"{where}: calibration.positive is {json_values.shown(positive)}; legal:"
      " one of class_names, where these are two"
    )
  for name, low, high in (
    ("temperature", 1 / _FAR, _FAR),
    ("threshold", 0.0, 1.0),
    ("images", 0, _FAR**2),
  ):
    if calibration.get(name) is not None:
      kind = int if name == "images" else float
      json_values.field(
        card, f"calibration.{name}", kind, where, low=low, high=high
      )


def _check_arrays(path: Path, variables: Any) -> None:
  """Raises a ValueError that names the first array that no network can have.

  That is one with a NaN or infinity, or variances of which one is negative:
  the network's outputs would be NaN.
  """
  for at, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]:
    name = jax.tree_util.keystr(at, simple=True, separator="/")
    try:
      arrays.check_finite(np.asarray(leaf), f"{path}: {name}")
    except ValueError as error:
      raise ValueError(f"{error}; a training that diverged left it") from None
    lowest = np.min(leaf, initial=0.0)
    if name.startswith("batch_stats/") and name.endswith("/var") and lowest < 0:
      raise ValueError(f"{path}: {name} has {lowest}; legal: variances from 0")


def variable_shapes(module: Any) -> Any:
  """Shapes of a network's variables, without computing any."""
  side = module.architecture.resolution
  channels = module.architecture.input_channels
  shape = (1, side, side, channels)
  return jax.eval_shape(
    lambda key: module.init(key, jnp.zeros(shape), train=False),
    jax.random.key(0),
  )


def number_of_parameters(variables: Any) -> int:
  """Trainable numbers, counted."""
  return sum(int(np.size(p)) for p in jax.tree.leaves(variables["params"]))
