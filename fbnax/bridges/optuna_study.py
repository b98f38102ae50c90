"""The trials of a finished search as a study of Optuna, in a file of its own.

    fbnax to-optuna runs/nars
    optuna-dashboard sqlite:///runs/nars/optuna.sqlite

The study has two objectives, accuracy (the higher the better) and MACs (the
lower the better). A trial's parameters are the decisions of the space with
their values, its intermediate values the accuracies after each evaluation, its
constraints what it costs above the largest budget of the run: up to 0 for a
network that some budget allows. What Optuna has no word for is among its user
attributes. A trial without an accuracy has failed.

Optuna is the extra `optuna`; its file is SQLite's.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fbnax.base import extras, files
from fbnax.base.json_values import field, shown
from fbnax.jobs.runtime import run_results, workdir
from fbnax.search import trials as trial_store
from fbnax.search.trials import Trial

FILE = "optuna.sqlite"
OBJECTIVES = (("accuracy", "maximize"), ("macs", "minimize"))
_COSTS = ("macs", "params")  # Those that a trial's row has.
_ATTRIBUTES = (
  *("round", "params", "predicted", "log_loss", "epochs", "seconds", "seed"),
  *("error", "recipe", "architecture"),
)


def write_study(run: str | Path, out: str | Path | None = None) -> Path:
  """Writes the study; a file that is there is replaced.

  Args:
    run: the directory of a finished run of the job `nars`.
    out: the file; None for `optuna.sqlite` in that directory.

  Returns:
    The file. The study in it is called as the run's directory.

  Raises:
    ValueError: Optuna is not installed, there is no finished run, or it is
      damaged.
    OSError: the file cannot be written.
  """
  optuna = extras.load("optuna", "optuna", "fbnax to-optuna")
  folder = Path(run)
  result = run_results.read(folder, "nars")
  where = str(folder / workdir.RESULT)
  decisions = _decisions(result, where)
  budgets = _largest_budgets(result, where)
  rows = _rows(folder)
  for row in rows:
    _check_genotype(row, decisions, folder)
  level = optuna.logging.get_verbosity()
  # It says that it began a study, which is no news of this one.
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  try:
    with tempfile.TemporaryDirectory() as temporary:
      path = Path(temporary) / FILE
      storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
      study = optuna.create_study(
        storage=storage,
        study_name=folder.absolute().name,
        directions=[direction for _, direction in OBJECTIVES],
      )
      with warnings.catch_warnings():
        # Of names: Optuna calls them experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([name for name, _ in OBJECTIVES])
      study.set_user_attr("space", result["config"]["space"])
      study.set_user_attr("budgets", budgets)
      study.add_trials(
        [_frozen(optuna, row, decisions, budgets) for row in rows]
      )
      storage.remove_session()
      content = path.read_bytes()
  finally:
    optuna.logging.set_verbosity(level)
  target = folder / FILE if out is None else Path(out)
  files.write_atomically(target, content)
  return target


def _rows(folder: Path) -> list[Trial]:
  """The trials of a run, of which SQLite must not begin a new file."""
  path = files.inside(folder, folder / workdir.TRIALS)
  if not path.is_file():
    there = ", ".join(sorted(p.name for p in folder.iterdir()))
    raise ValueError(f"{folder} has no {workdir.TRIALS}; there is: {there}")
  with trial_store.open_store(path) as store:
    return store.all()


def _decisions(
  result: Mapping[str, Any], where: str
) -> dict[str, tuple[Any, ...]]:
  """The values of each decision, as Optuna can hold them."""
  decisions = {}
  for i, entry in enumerate(
    field(result, "space.decisions", list, where, of=dict)
  ):
    place = f"{where}: space.decisions[{i}]"
    values = field(entry, "values", list, place)
    decisions[field(entry, "name", str, place)] = tuple(map(_value, values))
  return decisions


def _value(value: Any) -> Any:
  """A value that a categorical distribution of Optuna takes."""
  simple = value is None or isinstance(value, bool | int | float | str)
  return value if simple else str(value)


def _largest_budgets(result: Mapping[str, Any], where: str) -> dict[str, float]:
  """The largest limit on each cost that all members are limited in."""
  budgets = {}
  members = field(result, "members", list, where, of=dict)
  for cost in _COSTS:
    limits = [(m.get("budget") or {}).get(cost) for m in members]
    highest = [pair[1] for pair in limits if pair is not None]
    if highest and len(highest) == len(members) and None not in highest:
      budgets[cost] = float(max(highest))
  return budgets


def _check_genotype(
  row: Trial, decisions: Mapping[str, Sequence[Any]], folder: Path
) -> None:
  choices = [len(values) for values in decisions.values()]
  if len(row.genotype) != len(choices) or not all(
    0 <= g < count for g, count in zip(row.genotype, choices, strict=True)
  ):
    raise ValueError(
      f"{folder / workdir.TRIALS}: trial {row.id}: genotype is"
      f" {shown(list(row.genotype))}; legal: {len(choices)} indices below"
      f" {shown(choices)}"
    )


def _frozen(
  optuna: Any,
  row: Trial,
  decisions: Mapping[str, Sequence[Any]],
  budgets: Mapping[str, float],
) -> Any:
  """A trial of Optuna."""
  categorical = optuna.distributions.CategoricalDistribution
  states = optuna.trial.TrialState
  values = [getattr(row, name) for name, _ in OBJECTIVES]
  is_done = row.status == "done" and None not in values
  return optuna.trial.create_trial(
    state=states.COMPLETE if is_done else states.FAIL,
    values=values if is_done else None,
    params={
      name: choices[g]
      for (name, choices), g in zip(
        decisions.items(), row.genotype, strict=True
      )
    },
    distributions={n: categorical(c) for n, c in decisions.items()},
    intermediate_values={
      step: math.nan if accuracy is None else accuracy
      for step, accuracy in enumerate(row.curve, 1)
    },
    user_attrs={"id": row.id, **dict(_attributes(row))},
    constraints={
      name: cost - limit
      for name, limit in budgets.items()
      if (cost := getattr(row, name)) is not None
    }
    if is_done
    else None,
  )


def _attributes(row: Trial) -> Iterator[tuple[str, Any]]:
  for name in _ATTRIBUTES:
    value = getattr(row, name)
    if value is not None:
      yield name, value
