"""Training recipes: how a network is trained, as data.

The fields are the searched ones of Table 4.2 (Wan 2022); the default values
are the published result of that search, Table 4.9.
"""

from __future__ import annotations

import dataclasses
import json

from fbnax.base.json_values import shown
from fbnax.spaces.exchange import json_object

OPTIMIZERS = ("rmsprop", "sgd", "adamw")
_LARGEST = 1e38  # What float32 holds.


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A training recipe. Hashable; `to_json` and `from_json` exchange it.

  Attributes:
    optimizer: "rmsprop", "sgd" (both with momentum) or "adamw".
    learning_rate: initial learning rate for a batch of 256 images; training
      scales it in proportion to its batch.
    weight_decay: L2 coefficient of all weights but biases and BN.
    ema: the exponential moving average of the weights is the result.
    dropout: probability in front of the classifier.
    stochastic_depth: probability that the last residual block is dropped; it
      grows linearly from the first.
    mixup: alpha of the Beta distribution of mixing ratios, 0 for none.
  """

  optimizer: str = "rmsprop"
  learning_rate: float = 0.026
  weight_decay: float = 7e-6
  ema: bool = True
  dropout: float = 0.17
  stochastic_depth: float = 0.09
  mixup: float = 0.19

  def slowed(self, factor: float) -> Recipe:
    """The recipe with a learning rate of `factor` times as much."""
    return dataclasses.replace(self, learning_rate=factor * self.learning_rate)

  def to_json(self) -> str:
    """The recipe as a JSON object in one line."""
    return json.dumps(dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> Recipe:
    """Reads what `to_json` wrote; missing keys take their defaults.

    Raises:
      ValueError: no JSON object, an unknown key, or a value that is not legal.
    """
    data = json_object(text, "recipe")
    legal = [f.name for f in dataclasses.fields(cls)]
    unknown = sorted(set(data) - set(legal))
    if unknown:
      raise ValueError(
        f"recipe has unknown keys {shown(unknown)}; legal: {legal}"
      )
    recipe = cls(**data)
    recipe.validate()
    return recipe

  def validate(self) -> None:
    """Raises a ValueError that names the first field with an illegal value."""
    if self.optimizer not in OPTIMIZERS:
      raise ValueError(
        f"recipe.optimizer is {shown(self.optimizer)}; legal: {OPTIMIZERS}"
      )
    if not isinstance(self.ema, bool):
      raise ValueError(f"recipe.ema is {shown(self.ema)}; legal: true or false")
    limits = {
      "learning_rate": _LARGEST,
      "weight_decay": _LARGEST,
      "dropout": 1.0,
      "stochastic_depth": 1.0,
      "mixup": _LARGEST,
    }
    for name, limit in limits.items():
      value = getattr(self, name)
      is_number = isinstance(value, (int, float)) and not isinstance(
        value, bool
      )
      if not is_number or not 0.0 <= value < limit:
        raise ValueError(
          f"recipe.{name} is {shown(value)}; legal: at least 0, below {limit}"
        )
