"""A trained network as a directory: its card, and its weights.

`model.json` is the card: architecture, recipe, classes, preprocessing, costs
and measured accuracy. `weights/` is a checkpoint of the module's variables.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import spaces
from fbnax.base import files, json_values
from fbnax.models.building import build
from fbnax.spaces import Architecture, ResNet
from fbnax.training.checkpoint_files import DamagedError
from fbnax.training.recipes import Settings

CARD = "model.json"
WEIGHTS = "weights"
SCHEMA_VERSION = 1


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
  def bits(self) -> int | None:
    """Significant bits of 16-bit images for it; None if it never saw any.

    Raises:
      ValueError: the card states an illegal number.
    """
    bits = self.card["preprocessing"].get("bits")
    if bits is not None and (type(bits) is not int or not 8 <= bits <= 16):
      raise ValueError(
        f"{CARD}: preprocessing.bits is {json_values.shown(bits)}; legal: 8 to"
        " 16"
      )
    return bits

  def settings(self, batch_size: int = 256) -> Settings:
    """How images are prepared for it."""
    found = self.card["preprocessing"]
    return Settings(
      epochs=1,
      batch_size=batch_size,
      resolution=found["resolution"],
      mean=tuple(found["mean"]),
      std=tuple(found["std"]),
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
  from fbnax.training import checkpoints  # Orbax is slow to import.

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
    ValueError: there is no model, or its card or weights are damaged or of
      another version; the file is named. `DamagedError` where it is the
      weights.
  """
  from fbnax.training import checkpoints  # Orbax is slow to import.

  directory = Path(directory)
  path = directory / CARD
  try:
    card = json.loads(path.read_text("utf-8"))
  except (FileNotFoundError, NotADirectoryError):
    raise ValueError(f"{directory} holds no model: {path} is missing") from None
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is damaged: {error}") from error
  if not isinstance(card, dict) or card.get("schema_version") != SCHEMA_VERSION:
    found = card.get("schema_version") if isinstance(card, dict) else card
    raise ValueError(
      f"{path}: schema_version is {found!r}; legal: {SCHEMA_VERSION}"
    )
  missing = {"architecture", "class_names", "preprocessing"} - set(card)
  if missing:
    raise ValueError(f"{path} lacks the keys {sorted(missing)}")
  for key, kind, legal in (
    ("preprocessing", dict, "an object"),
    ("class_names", list, "a list"),
  ):
    if not isinstance(card[key], kind):
      raise ValueError(f"{path}: {key} is {card[key]!r:.60}; legal: {legal}")
  missing = {"resolution", "mean", "std"} - set(card["preprocessing"])
  if missing:
    raise ValueError(f"{path}: preprocessing lacks the keys {sorted(missing)}")
  try:
    architecture: Any = spaces.from_json(json.dumps(card["architecture"]))
    module = build(architecture, len(card["class_names"]))
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error
  like = variable_shapes(module)
  found = checkpoints.restore_latest(directory / WEIGHTS, like)
  if found is None:
    raise DamagedError(f"{directory / WEIGHTS}: no weights that load")
  return SavedModel(module, found.tree, card)


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
