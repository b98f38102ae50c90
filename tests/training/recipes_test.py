import dataclasses

import numpy as np
import pytest

from fbnax.spaces.recipe import Recipe
from fbnax.training.recipes import RecipeNumbers, Settings, as_numbers, stack

LEGAL = {
  "epochs": 3,
  "batch_size": 8,
  "resolution": 8,
  "mean": (0.5,),
  "std": (0.25,),
}


def test_a_recipe_as_numbers():
  numbers = as_numbers(Recipe("sgd", 0.1, 2e-5, False, 0.2, 0.15, 0.4))
  assert {k: float(v) for k, v in numbers._asdict().items()} == pytest.approx(
    {
      "rmsprop": 0.0,
      "sgd": 1.0,
      "adamw": 0.0,
      "learning_rate": 0.1,
      "weight_decay": 2e-5,
      "ema": 0.0,
      "dropout": 0.2,
      "stochastic_depth": 0.15,
      "mixup": 0.4,
    }
  )
  for leaf in numbers:
    assert leaf.shape == () and leaf.dtype == np.float32


def test_the_default_recipe_is_the_published_one():
  """Table 4.9 of Wan 2022, with EMA."""
  numbers = as_numbers(Recipe())
  assert (numbers.rmsprop, numbers.ema) == (1, 1)
  assert float(numbers.learning_rate) == pytest.approx(0.026)
  assert float(numbers.mixup) == pytest.approx(0.19)


def test_a_population_is_stacked_in_order():
  recipes = [
    Recipe("adamw", learning_rate=0.001),
    Recipe("rmsprop", learning_rate=0.02, ema=False),
    Recipe("sgd", learning_rate=0.3),
  ]
  stacked = stack(recipes)
  assert isinstance(stacked, RecipeNumbers)
  kinds = np.stack([stacked.rmsprop, stacked.sgd, stacked.adamw])
  np.testing.assert_array_equal(kinds, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
  np.testing.assert_allclose(stacked.learning_rate, [0.001, 0.02, 0.3])
  np.testing.assert_array_equal(stacked.ema, [1, 0, 1])
  assert all(leaf.shape == (3,) for leaf in stacked)


@pytest.mark.parametrize(
  ("key", "value"),
  [("optimizer", "adam"), ("learning_rate", -0.1), ("dropout", 1.0)],
)
def test_an_illegal_recipe_is_refused(key, value):
  with pytest.raises(ValueError, match=f"recipe.{key} is {value!r}; legal"):
    as_numbers(dataclasses.replace(Recipe(), **{key: value}))


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("epochs", 0),
    ("batch_size", 0),
    ("resolution", 0),
    ("schedule", "linear"),
    ("decay", 0.0),
    ("decay", 1.01),
    ("warmup_epochs", -1.0),
    ("warmup_epochs", 1e30),
    ("milestones", (0.5, 0.5)),
    ("milestones", (0.0, 0.5)),
    ("milestones", (0.5, 1.0)),
    ("momentum", 1.0),
    ("rms_decay", -0.1),
    ("rms_epsilon", 0.0),
    ("ema_decay", 1.0),
    ("label_smoothing", 1.0),
    ("distillation", 1.5),
    ("crop_padding", -1),
    ("augment", "autoaugment"),
    ("augment", ""),
    ("randaugment_operations", 0),
    ("randaugment_magnitude", 10.5),
    ("randaugment_magnitude", -1.0),
    ("erasing", 1.5),
    ("erasing", -0.1),
    ("clip_norm", -1.0),
    ("head_epochs", -1.0),
    ("trunk_rate", -0.1),
    ("accumulate", 0),
    ("accumulate", 3),
    ("std", (0.25, 0.0)),
    ("std", (0.25, 0.2, 0.2)),
  ],
)
def test_illegal_settings_name_the_key_and_the_value(key, value):
  with pytest.raises(ValueError) as error:
    Settings(**(LEGAL | {key: value}))
  assert f"training.{key} is {value!r}; legal: " in str(error.value)


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("decay", 1.0),
    ("momentum", 0.0),
    ("label_smoothing", 0.0),
    ("distillation", 0.0),
    ("distillation", 1.0),
    ("schedule", "cosine"),
    ("schedule", "step"),
    ("augment", "autoaugment_imagenet"),
    ("augment", "autoaugment_cifar10"),
    ("augment", "randaugment"),
    ("randaugment_magnitude", 0.0),
    ("randaugment_magnitude", 10.0),
    ("erasing", 1.0),
    ("accumulate", 8),
  ],
)
def test_settings_at_the_edge_are_legal(key, value):
  assert getattr(Settings(**(LEGAL | {key: value})), key) == value


def test_settings_are_part_of_a_program():
  """Equal ones are one key of the compilation cache."""
  assert hash(Settings(**LEGAL)) == hash(Settings(**LEGAL))
  assert Settings(**LEGAL) != Settings(**(LEGAL | {"momentum": 0.5}))


def test_what_is_new_is_off_unless_asked_for():
  settings = Settings(**LEGAL)
  assert (settings.augment, settings.erasing) == ("none", 0.0)
  assert (settings.clip_norm, settings.accumulate) == (0.0, 1)


def test_the_message_names_what_is_legal():
  with pytest.raises(ValueError, match="legal: none, autoaugment_imagenet, "):
    Settings(**(LEGAL | {"augment": "auto"}))
  with pytest.raises(ValueError, match="legal: a divisor of batch_size, 8"):
    Settings(**(LEGAL | {"accumulate": 5}))
