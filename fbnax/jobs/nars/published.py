"""What the paper says of a search, statement by statement, as keys.

Chapter 4 of Wan 2022. The presets `paper` and `paper_recipe` of
`configs/nars.py` are made of it, and the report tells where a run departs from
its method.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from fbnax.base.flat import flat
from fbnax.report.markup import escape


@dataclasses.dataclass(frozen=True)
class Statement:
  """One statement of the paper.

  Attributes:
    section: of the paper, where it stands.
    words: what it says.
    key: of `NarsConfig`, that follows it.
    value: of that key.
    is_method: it says how a search works, not how large it is or on what data.
  """

  section: str
  words: str
  key: str
  value: Any
  is_method: bool


_METHOD = {
  "4.3": (
    ("accuracy is predicted", "search.signal", "accuracy"),
    ("itself, not its rank", "search.ranks", False),
    ("by one predictor", "search.predictors", 1),
    ("and by nothing else", "search.learner", "predictor"),
    ("Huber's loss with corner 1", "search.huber", "label"),
    ("which alone chooses", "search.exploration", 0.0),
    ("the first round is no larger", "search.first", 0),
    ("correlation to stop early", "search.correlation", 0.92),
    ("the best children survive", "evolution.generations_apart", 0),
    ("until the best gains no more", "evolution.patience", 1),
    ("by the prediction alone", "search.caution", 0.0),
    ("a budget has no lower limit", "budgets.floor", 0.0),
  ),
  "4.4": (
    ("schedule of a member", "training.schedule", "exponential"),
    ("its learning-rate decay", "training.decay", 0.9875),
    ("the teacher learned of labels", "training.teach_largest", True),
    ("its share in the loss", "training.distillation", 0.8),
  ),
  "4.6": (
    ("AutoAugment", "training.augment", "autoaugment_imagenet"),
    ("EMA as in equation 4.2", "training.ema_growing", False),
  ),
}
_SIZES = {
  "4.4": (
    ("the space of Table 4.2", "space", "fbnetv3"),
    ("weights always averaged", "fix", "recipe.ema=True"),
    ("classes of the search", "search.classes", 200),
    ("images held out", "data.validation_images", 10_000),
    ("sample pool", "search.pool", 20_000),
    ("between these MACs", "search.macs", (400e6, 800e6)),
    ("rounds", "search.rounds", 5),
    ("candidates of each", "search.candidates", 48),
    ("epochs of a candidate", "search.epochs", 150),
    ("its learning-rate decay", "training.search_decay", 0.963),
    ("budgets of B to E", "budgets.macs", (450e6, 550e6, 650e6, 750e6)),
    ("A, F and G are scaled", "budgets.scaled", (357e6, 1180e6, 2100e6)),
    ("depth dropped in F, G", "budgets.scaled_stochastic_depth", 0.2),
    ("epochs of a member", "training.epochs", 400),
    ("after a warmup", "training.warmup_epochs", 5.0),
  ),
  "4.6": (
    ("batch of each node", "training.batch_size", 256),
    ("label smoothing", "training.label_smoothing", 0.1),
    ("EMA's decay on ImageNet", "training.ema_decay", 0.99985),
  ),
}
STATEMENTS = tuple(
  Statement(section, words, key, value, part is _METHOD)
  for section in ("4.3", "4.4", "4.6")
  for part in (_METHOD, _SIZES)
  for words, key, value in part.get(section, ())
)


def changes() -> dict[str, Any]:
  """The keys that the paper tells, with its values."""
  return {s.key: s.value for s in STATEMENTS}


def table() -> Iterator[str]:
  """A line for each statement: section, words, key and value."""
  for s in STATEMENTS:
    value = s.value
    if isinstance(value, tuple):
      value = ",".join(f"{v / 1e6:g}e6" for v in value)
    yield f"{s.section}  {s.words:<29} {s.key}={value}"


def departures(config: Mapping[str, Any]) -> list[tuple[Statement, Any]]:
  """Where a run departs from the paper's method, with the run's value.

  Args:
    config: of a result; of keys that it lacks nothing is said.
  """
  values = flat(config)
  return [
    (s, values[s.key])
    for s in STATEMENTS
    if s.is_method and values.get(s.key, s.value) != s.value
  ]


def line(config: Mapping[str, Any]) -> str:
  """The departures of a run in a line of its report; "" for none."""
  departed = departures(config)
  if not departed:
    return ""
  words = "; ".join(
    f"<code>{escape(s.key)}</code> {escape(value)} ({escape(s.value)})"
    for s, value in departed
  )
  return (
    "<p>Where the search departs from the method of the paper (Wan 2022,"
    f" chapter 4), whose value is in parentheses: {words}.</p>"
  )
