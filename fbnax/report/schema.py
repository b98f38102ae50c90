"""The schema of `result.json` (version 1): what a run leaves, typed.

A field's name is the JSON key, its annotation what may stand there, its default
what a report makes do with where the key is missing. Keys that are not listed
are ignored, so that a producer may add some.

Accuracies are fractions of 1, log-losses in nats, times in seconds, `macs` and
`params` counts of one network. A number that is not finite, or above 1e100,
reads as None.

The job nars writes `schema_version`, `fbnax_version`, `job` and `config`;
`dataset` (name, source, classes, image shape, images in each split, images in
two splits); `space` (name, size, decisions, range of MACs); `predictor`
(`pretraining`: error and rank correlation on held-out architectures, of costs
and, as normal scores, of proxies; `rounds`: cross-validated predictions against
labels); `early_stop` (threshold, epoch, correlation of each epoch); `trials`
(id, round, status, error, genotype, macs, params, accuracy, log_loss, epochs,
curve, label, predicted, recipe, seconds); `members` (name, budget, macs,
params, predicted, genotype, architecture, recipe, teacher, epochs, history,
test_accuracy, test_log_loss, scores, checkpoint, seconds, mistakes); `front`
(the best networks for many budgets of each cost, see
`fbnax.report.front_schema`); `times`
(`phases`, their `total`, and `compiling`, what of each phase went into tracing
and compiling).
Two runs of one config on one machine differ in `seconds` and `times` only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from fbnax.base import cost_kinds
from fbnax.report import markup
from fbnax.spaces import Architecture

SCHEMA_VERSION = 1
Numbers = tuple[float | None, ...]


_LEFT_OUT = "left_out"


def left_out(section: type | None = None) -> Any:
  """A field that is not written where there is no value.

  Args:
    section: the field is as this has it by default, where there is no value;
      None for a field that is None then.
  """
  metadata = {_LEFT_OUT: True}
  if section is None:
    return dataclasses.field(default=None, metadata=metadata)
  return dataclasses.field(default_factory=section, metadata=metadata)


def as_json(value: Any) -> Any:
  """A result as JSON has it: dataclasses as dicts, in the order of fields.

  Architectures and recipes are as their own `to_json` writes them.
  """
  if hasattr(value, "to_json"):
    return json.loads(value.to_json())
  if dataclasses.is_dataclass(value):
    return {
      field.name: as_json(item)
      for field in dataclasses.fields(value)
      if not _is_left_out(field, item := getattr(value, field.name))
    }
  if isinstance(value, Mapping):
    return {name: as_json(item) for name, item in value.items()}
  if isinstance(value, tuple | list):
    return [as_json(item) for item in value]
  return value


def _is_left_out(field: dataclasses.Field[Any], item: Any) -> bool:
  if _LEFT_OUT not in field.metadata:
    return False
  if field.default_factory is dataclasses.MISSING:
    return item is None
  return bool(item == field.default_factory())


@dataclasses.dataclass(frozen=True)
class DatasetFacts:
  """The data: its splits in images; `shared_images` are in two of them.

  `untested` and `unvalidated` are classes without images in these splits.
  """

  name: str | None = None
  source: str | None = None
  num_classes: int | None = None
  class_names: tuple[Any, ...] = ()
  image_shape: tuple[int, ...] | None = None
  channels: int | None = None
  train: int | None = None
  validation: int | None = None
  test: int | None = None
  shared_images: int | None = None
  untested: tuple[Any, ...] = ()
  unvalidated: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class Choice:
  """One decision of the space and its values."""

  name: str = ""
  values: tuple[Any, ...] = ()
  categorical: bool = False
  recipe: bool | None = left_out()


@dataclasses.dataclass(frozen=True)
class Space:
  """The searched space."""

  name: str | None = None
  size: float | None = None
  decisions: tuple[Choice, ...] = ()
  macs_range: Numbers | None = left_out()
  sgd_factor: float | None = left_out()


@dataclasses.dataclass(frozen=True)
class Rows:
  """A space, and of a table how many of its genotypes have a row."""

  name: str | None = None
  size: float | None = None
  rows: int | None = left_out()


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """One free label that the predictor was pretrained on, held-out genotypes.

  A cost, with the error of its natural logarithm, or a score of an untrained
  network, learned and given as the normal score of its rank.
  """

  normal_scores: bool = False
  rmse: float | None = left_out()
  rmse_log: float | None = left_out()
  spearman: float | None = None
  kendall: float | None = None
  predicted: Numbers = ()
  true: Numbers = ()


@dataclasses.dataclass(frozen=True)
class PredictorRound:
  """Held-out predictions of measured accuracies after one round."""

  round: int | None = None
  labels: int | None = None
  spearman: float | None = None
  kendall: float | None = None
  predicted: Numbers = ()
  measured: Numbers = ()


@dataclasses.dataclass(frozen=True)
class PredictorChecks:
  """How well the accuracy predictor did."""

  pretraining: dict[str, Pretrained] = dataclasses.field(default_factory=dict)
  rounds: tuple[PredictorRound, ...] = ()


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
  """Rank correlation of each epoch's accuracies with the last epoch's."""

  threshold: float | None = None
  epoch: int | None = None
  max_epochs: int | None = None
  correlations: Numbers = ()


@dataclasses.dataclass(frozen=True)
class TrialRow:
  """One candidate that was trained; `accuracy` is on the validation split.

  `curve` and `losses` are of each epoch; the predictor learned `label` of it,
  which is None where the trial failed.
  """

  id: int | None = None
  round: int | None = None
  genotype: tuple[int, ...] = ()
  macs: float | None = None
  params: float | None = None
  predicted: float | None = None
  curve: Numbers = ()
  accuracy: float | None = None
  log_loss: float | None = None
  epochs: int | None = None
  seconds: float | None = None
  status: str = "done"
  error: str | None = None
  recipe: dict[str, Any] | None = None
  losses: Numbers = ()
  label: float | None = None


@dataclasses.dataclass(frozen=True)
class Epoch:
  """One epoch of a member's training."""

  epoch: float | None = None
  train_loss: float | None = None
  validation_accuracy: float | None = None
  test_accuracy: float | None = left_out()


@dataclasses.dataclass(frozen=True)
class MemberTree:
  """A member's decision tree; `plain_accuracy` is of the plain training."""

  kind: str = ""
  plain_accuracy: float | None = None
  network_accuracy: float | None = None
  soft_accuracy: float | None = None
  hard_accuracy: float | None = None
  depth: int | None = None
  nodes: tuple[Any, ...] = ()
  pictures: dict[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scores:
  """What a network can on the test images, beyond accuracy.

  `positive` is the class that a binary F1 is of, the rarer one; of more than
  two classes F1 is the mean over them. `threshold` (of the positive class's
  calibrated probability, by which F1 is then measured) and `temperature` (that
  logits are divided by, and `calibrated_log_loss` with it) were chosen on
  `calibration_images`, which were not trained on; None where there were none.
  `confusion` has a row for each true class; it is empty where there are many.
  """

  balanced_accuracy: float | None = None
  area_under_curve: float | None = None
  f1: float | None = None
  positive: str | None = None
  threshold: float | None = None
  temperature: float | None = None
  calibrated_log_loss: float | None = None
  calibration_images: int | None = None
  confusion: tuple[tuple[int, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class Mistake:
  """A test image that a network takes for another class.

  `picture` is an address that holds it, `index` its place in the test split,
  `name` its file in the data folder, where it has one; `probability` is that of
  the predicted class.
  """

  picture: str = ""
  index: int | None = None
  name: str | None = left_out()
  label: str = ""
  predicted: str = ""
  probability: float | None = None


@dataclasses.dataclass(frozen=True)
@cost_kinds.fields(cost_kinds.FURTHER, "float | None", lambda _: left_out())
class MemberRow:
  """One trained network; what is of a search is there where one designed it.

  Every other cost is a field too. `budget` has the lower and the upper limit
  of costs, None for no limit.
  """

  name: str = "unnamed"
  budget: dict[str, Numbers | None] = left_out(dict)
  macs: float | None = None
  params: float | None = None
  predicted: float | None = left_out()
  architecture: Architecture | None = None
  recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
  teacher: str | None = None
  epochs: int | None = None
  history: tuple[Epoch, ...] = ()
  test_accuracy: float | None = None
  test_log_loss: float | None = None
  scores: Scores | None = left_out()
  checkpoint: str | None = None
  seconds: float | None = None
  tree: MemberTree | None = left_out()
  mistakes: tuple[Mistake, ...] = left_out(tuple)


@dataclasses.dataclass(frozen=True)
class Times:
  """Seconds of each phase in order, of the run, and of compiling in a phase."""

  phases: dict[str, float | None] = dataclasses.field(default_factory=dict)
  total: float | None = None
  compiling: dict[str, float | None] = dataclasses.field(default_factory=dict)

  @property
  def compiled(self) -> float | None:
    """Seconds of compiling in all; None where they are not known."""
    known = [s for s in self.compiling.values() if s is not None and s >= 0]
    return sum(known) if known else None


@dataclasses.dataclass(frozen=True)
class JobResult:
  """What the results of all jobs have; the shell of the jobs fills it in."""

  schema_version: int = SCHEMA_VERSION
  fbnax_version: str | None = None
  job: str | None = None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  times: Times = dataclasses.field(default_factory=Times)

  def check(self) -> None:
    """Raises a ValueError where parts do not fit each other."""


@dataclasses.dataclass(frozen=True)
class Result(JobResult):
  """Everything a report is made of.

  `signal` is what the predictor learned: accuracies, or likelihoods.
  """

  dataset: DatasetFacts = dataclasses.field(default_factory=DatasetFacts)
  space: Space = left_out(Space)
  predictor: PredictorChecks = left_out(PredictorChecks)
  early_stop: EarlyStopping = left_out(EarlyStopping)
  signal: str | None = left_out()
  trials: tuple[TrialRow, ...] = left_out(tuple)
  members: tuple[MemberRow, ...] = ()

  def check(self) -> None:
    """Raises a ValueError where parts do not fit each other."""
    _check_pairs(self)
    _check_accuracies(self)
    for i, member in enumerate(self.members):
      check_scores(f"members[{i}].", member.scores, member.mistakes)


def _check_pairs(result: Result) -> None:
  """Raises a ValueError where lists that belong together differ in length."""
  pairs: list[tuple[str, str, Numbers, str, Numbers]] = [
    (f"predictor.rounds[{i}]", "predicted", r.predicted, "measured", r.measured)
    for i, r in enumerate(result.predictor.rounds)
  ]
  pairs += [
    (f"predictor.pretraining.{k}", "predicted", p.predicted, "true", p.true)
    for k, p in result.predictor.pretraining.items()
  ]
  for where, left, a, right, b in pairs:
    if len(a) != len(b):
      raise ValueError(
        f"{where}.{left} has {len(a)} values, {where}.{right} has {len(b)}"
      )
  limits: list[tuple[str, Numbers | None]] = [
    ("space.macs_range", result.space.macs_range)
  ]
  for i, member in enumerate(result.members):
    for name, limit in member.budget.items():
      limits.append((f"members[{i}].budget.{name}", limit))
  for where, limit in limits:
    if limit is not None and len(limit) != 2:
      raise ValueError(f"{where} must be [low, high], found {list(limit)}")


def _check_accuracies(result: Result) -> None:
  """Raises a ValueError where an accuracy is no fraction of 1."""
  measured: list[tuple[str, float | None]] = []
  for i, trial in enumerate(result.trials):
    measured.append((f"trials[{i}].accuracy", trial.accuracy))
  for i, member in enumerate(result.members):
    measured.append((f"members[{i}].test_accuracy", member.test_accuracy))
    for j, epoch in enumerate(member.history):
      where = f"members[{i}].history[{j}]"
      measured.append(
        (f"{where}.validation_accuracy", epoch.validation_accuracy)
      )
      measured.append((f"{where}.test_accuracy", epoch.test_accuracy))
  for where, value in measured:
    check_share(where, value)


def check_scores(
  where: str, scores: Scores | None, mistakes: tuple[Mistake, ...]
) -> None:
  """Raises a ValueError for scores or pictures that nobody can have measured.

  A picture stands in the reader's browser, so it is looked at here.
  """
  scores = scores or Scores()
  for name in ("balanced_accuracy", "area_under_curve", "f1", "threshold"):
    check_share(f"{where}scores.{name}", getattr(scores, name))
  temperature = scores.temperature
  if temperature is not None and temperature <= 0:
    raise ValueError(
      f"{where}scores.temperature must be above 0, found {temperature:g}"
    )
  for i, row in enumerate(scores.confusion):
    if len(row) != len(scores.confusion) or min(row) < 0:
      raise ValueError(
        f"{where}scores.confusion[{i}] must be {len(scores.confusion)} counts,"
        f" found {list(row)}"
      )
  for i, mistake in enumerate(mistakes):
    check_share(f"{where}mistakes[{i}].probability", mistake.probability)
    if not re.fullmatch(markup.PICTURE, mistake.picture):
      raise ValueError(
        f"{where}mistakes[{i}].picture must be a PNG or JPEG in the address,"
        " data:image/png;base64,…"
      )


def check_share(where: str, value: float | None) -> None:
  """Raises a ValueError where a value is no fraction of 1; None is none."""
  if value is not None and not 0 <= value <= 1:
    raise ValueError(f"{where} must be a fraction of 1, found {value:g}")
