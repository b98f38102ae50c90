import dataclasses
import json
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from fbnax.spaces.recipe import Recipe

recipes = st.builds(
  Recipe,
  optimizer=st.sampled_from(["rmsprop", "sgd", "adamw"]),
  learning_rate=st.floats(0, 1e3),
  weight_decay=st.floats(0, 1),
  ema=st.booleans(),
  dropout=st.floats(0, 1, exclude_max=True),
  stochastic_depth=st.floats(0, 1, exclude_max=True),
  mixup=st.floats(0, 10),
)

json_values = (
  st.none()
  | st.booleans()
  | st.integers()
  | st.just(10**400)
  | st.floats()
  | st.text(max_size=4)
  | st.lists(st.integers(), max_size=2)
  | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


def test_defaults_are_the_published_recipe():
  """Table 4.9 of Wan 2022."""
  assert dataclasses.asdict(Recipe()) == {
    "optimizer": "rmsprop",
    "learning_rate": 0.026,
    "weight_decay": 7e-6,
    "ema": True,
    "dropout": 0.17,
    "stochastic_depth": 0.09,
    "mixup": 0.19,
  }
  Recipe().validate()


@hypothesis.given(recipes)
def test_json_round_trip(recipe):
  recipe.validate()
  text = recipe.to_json()
  assert Recipe.from_json(text) == recipe
  assert hash(Recipe.from_json(text)) == hash(recipe)
  assert "\n" not in text


def test_missing_keys_take_their_defaults():
  assert Recipe.from_json("{}") == Recipe()
  assert Recipe.from_json('{"ema": false}') == Recipe(ema=False)


@pytest.mark.parametrize(
  ("name", "value"),
  (
    ("optimizer", "adam"),
    ("optimizer", ["sgd"]),
    ("learning_rate", -0.1),
    ("learning_rate", math.inf),
    ("learning_rate", math.nan),
    ("learning_rate", "0.1"),
    ("weight_decay", None),
    ("ema", 1),
    ("dropout", 1.0),
    ("dropout", True),
    ("stochastic_depth", 1.5),
    ("mixup", -1),
    ("mixup", 10**400),
    ("weight_decay", 1e308),
  ),
)
def test_illegal_value_is_named(name, value):
  with pytest.raises(ValueError, match=rf"recipe\.{name} is .*; legal: "):
    Recipe.from_json(json.dumps({name: value}))


def test_unknown_key_is_named():
  with pytest.raises(ValueError, match=r"unknown keys \['lr'\]; legal: .*rate"):
    Recipe.from_json('{"lr": 0.1}')


@pytest.mark.parametrize("text", ("", "[]", "3", "null", "{"))
def test_no_json_object(text):
  with pytest.raises(ValueError, match="recipe"):
    Recipe.from_json(text)


@hypothesis.given(
  st.dictionaries(
    st.sampled_from([f.name for f in dataclasses.fields(Recipe)])
    | st.text(max_size=3),
    json_values,
    max_size=3,
  )
)
def test_nothing_but_value_errors(data):
  try:
    recipe = Recipe.from_json(json.dumps(data))
  except ValueError:
    return
  recipe.validate()
  assert Recipe.from_json(recipe.to_json()) == recipe
