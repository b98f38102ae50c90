"""What each study trains: from finished `nars` runs to a list of cases.

Source: the ablations of Wan 2022, chapter 4 (Tables 4.1, 4.6, 4.7, 4.8 and
4.11), and members against random architecture-recipe pairs of the same cost.
Nothing is trained or measured here.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Sequence

import jax

from fbnax import spaces
from fbnax.jobs.study.config import RandomStudyConfig, StudyConfig
from fbnax.jobs.study.plan import Case, CaseKey, Plan, StudyComparison, Term
from fbnax.jobs.study.runs import FinishedMember, Run, best_trial, draw
from fbnax.spaces import Architecture


def random(config: StudyConfig, runs: Sequence[Run]) -> Plan:
  """Every member against random pairs that cost as much.

  The pairs of a budget are the same in all runs, so that folds of one data set
  compare what their searches found with the same networks.
  """
  if not isinstance(config, RandomStudyConfig):
    raise ValueError(
      "study 'random' needs config.pairs, as in "
      "--config=configs/study.py:random"
    )
  cases = []
  names = [f"pair {i + 1}" for i in range(config.pairs)]
  for run in runs:
    for member in run.members:
      # Not Python's hash, which differs from process to process.
      number = zlib.crc32(member.name.encode())
      key = jax.random.fold_in(jax.random.key(config.seed), number)
      drawn = draw(key, run.space, member.budget, config.pairs, run.classes)
      trained = _as_trained(config, run, member, member.name, "member")
      cases += [trained] + [
        dataclasses.replace(
          trained,
          name=name,
          architecture=run.space.architecture(genotype),
          recipe=run.space.recipe(genotype),
          is_member=False,
        )
        for name, genotype in zip(names, drawn, strict=True)
      ]
  groups = _groups(cases)
  comparisons = [
    StudyComparison(
      group,
      group,
      "random pairs of its cost",
      (
        Term(1.0, (CaseKey(group, "member"),)),
        Term(-1.0, tuple(CaseKey(group, name) for name in names)),
      ),
    )
    for group in groups
  ]
  if len(groups) > 1 and _all_have(groups, cases, runs):
    comparisons.append(
      StudyComparison(
        "",
        f"the family of {len(groups)}",
        "random pairs of the same costs",
        tuple(
          Term(term.weight / len(groups), term.keys)
          for comparison in comparisons
          for term in comparison.terms
        ),
      )
    )
  return Plan(tuple(cases), tuple(comparisons))


def swapped(config: StudyConfig, runs: Sequence[Run]) -> Plan:
  """Smallest and largest member, each with each one's recipe (Table 4.6).

  Of the members whose recipes differ, that is: a search may find one recipe for
  all, and then there is nothing to swap.
  """
  cases = []
  notes = []
  for run in runs:
    if len(run.members) < 2:
      raise ValueError(
        f"study 'swapped' needs two members; of those asked for {run.path} has "
        f"{', '.join(m.name for m in run.members)}"
      )
    ends = _ends(run)
    if not ends:
      notes.append(
        f"{run.path}: the search found one recipe for "
        f"{', '.join(m.name for m in run.members)}; there is nothing to swap"
      )
    for network in ends:
      trained = _as_trained(config, run, network, "recipes", "")
      for other in ends:
        cases.append(
          dataclasses.replace(
            trained,
            name=f"{network.name} with the recipe of {other.name}",
            recipe=other.recipe,
            is_member=network is other,
            row=network.name,
            column=f"recipe of {other.name}",
          )
        )

  def names(row: str, is_own: bool) -> list[str]:
    of_row = [c for c in cases if c.row == row and c.is_member == is_own]
    return list(dict.fromkeys(c.name for c in of_row))

  comparisons = [
    StudyComparison(
      "recipes",
      f"{row} with its own recipe",
      "with the other's",
      (
        _mean(1.0, "recipes", *names(row, True)),
        _mean(-1.0, "recipes", *names(row, False)),
      ),
    )
    for row in dict.fromkeys(c.row for c in cases)
  ]
  if not cases:
    raise ValueError(f"study 'swapped' has no case: {'; '.join(notes)}")
  return Plan(tuple(cases), tuple(comparisons), tuple(notes))


def _ends(run: Run) -> tuple[FinishedMember, ...]:
  """The two members furthest apart in cost whose recipes differ, or none."""
  pairs = [
    (places[1] - places[0], places)
    for places in itertools.combinations(range(len(run.members)), 2)
    if run.members[places[0]].recipe != run.members[places[1]].recipe
  ]
  if not pairs:
    return ()
  _, places = max(pairs, key=lambda pair: pair[0])
  return tuple(run.members[i] for i in places)


def stages(config: StudyConfig, runs: Sequence[Run]) -> Plan:
  """Every member against the best trial of its budget (Table 4.7)."""
  cases = []
  notes = []
  for run in runs:
    for member in run.members:
      trial = best_trial(run, member.budget)
      if trial is None:
        notes.append(
          f"{run.path}: no trial of the search lies in the budget of "
          f"{member.name}, so there is nothing to compare it with"
        )
        continue
      trained = _as_trained(config, run, member, member.name, "evolved")
      other = dataclasses.replace(
        trained,
        name="best trial",
        architecture=run.space.architecture(trial),
        recipe=run.space.recipe(trial),
        is_member=False,
      )
      alike = dataclasses.replace(other, name=trained.name, is_member=True)
      if trained == alike:
        notes.append(
          f"{run.path}: {member.name} is itself the best trial of its budget; "
          "evolution found nothing better, and the difference is 0"
        )
      cases += [trained, other]
  comparisons = [
    StudyComparison(
      group,
      f"{group} as evolved",
      "the best trial of its budget",
      (_mean(1.0, group, "evolved"), _mean(-1.0, group, "best trial")),
    )
    for group in _groups(cases)
  ]
  return Plan(tuple(cases), tuple(comparisons), tuple(notes))


def averaging(config: StudyConfig, runs: Sequence[Run]) -> Plan:
  """EMA and distillation, each with and without (Tables 4.8 and 4.11)."""
  cases = []
  for run in runs:
    taught = [m for m in run.members if m.teacher is not None]
    if not taught:
      legal = [m.name for m in run.family if m.teacher is not None]
      raise ValueError(
        f"study 'averaging' needs a member with a teacher; {run.path} has "
        f"{', '.join(legal) or 'none'}"
      )
    for member in taught if config.members else taught[-1:]:
      trained = _as_trained(config, run, member, member.name, "")
      for teacher in (None, member.teacher):
        for ema in (False, True):
          cases.append(
            dataclasses.replace(
              trained,
              name=_PARTS[teacher is not None, ema],
              recipe=dataclasses.replace(member.recipe, ema=ema),
              teacher=teacher,
              is_member=teacher is not None and ema == member.recipe.ema,
              row="labels alone" if teacher is None else "distillation",
              column="EMA" if ema else "last weights",
            )
          )
  comparisons = [
    StudyComparison(
      group,
      f"{group} with {name}",
      "with neither",
      (_mean(1.0, group, name), _mean(-1.0, group, "baseline")),
    )
    for group in _groups(cases)
    for name in ("EMA", "distillation", "EMA and distillation")
  ]
  return Plan(tuple(cases), tuple(comparisons))


_PARTS = {
  (False, False): "baseline",
  (False, True): "EMA",
  (True, False): "distillation",
  (True, True): "EMA and distillation",
}


def ranking(config: StudyConfig, runs: Sequence[Run]) -> Plan:
  """A wider and a deeper network under two recipes (Table 4.1).

  Both come of the smallest member, and learn from labels alone, as there. The
  recipes differ in their epochs, and in a second group in their weight decay.
  """
  cases = []
  for run in runs:
    member = run.members[0]
    trained = _as_trained(config, run, member, "", "")
    if trained.epochs < 2:
      raise ValueError(
        f"study 'ranking' compares {trained.epochs} epoch with a third of it; "
        "legal: config.epochs of at least 2"
      )
    third = max(1, round(trained.epochs / 3))
    for row, architecture in (
      ("1.4 × wider", wider(member.architecture)),
      ("2 × deeper", deeper(member.architecture)),
    ):
      for group, column, epochs, decay in (
        ("weight decay", "weight decay 1e-4", trained.epochs, 1e-4),
        ("weight decay", "weight decay 1e-5", trained.epochs, 1e-5),
        ("epochs", "all epochs", trained.epochs, member.recipe.weight_decay),
        ("epochs", "a third of the epochs", third, member.recipe.weight_decay),
      ):
        cases.append(
          dataclasses.replace(
            trained,
            group=group,
            name=f"{row}, {column}",
            architecture=architecture,
            recipe=dataclasses.replace(member.recipe, weight_decay=decay),
            teacher=None,
            epochs=epochs,
            is_member=False,
            row=row,
            column=column,
          )
        )
  comparisons = []
  for group, word in (("epochs", "after"), ("weight decay", "with")):
    columns = list(dict.fromkeys(c.column for c in cases if c.group == group))
    gaps = [
      (
        _mean(1.0, group, f"1.4 × wider, {column}"),
        _mean(-1.0, group, f"2 × deeper, {column}"),
      )
      for column in columns
    ]
    comparisons += [
      StudyComparison(
        group, f"the wider network {word} {column}", "the deeper one", gap
      )
      for column, gap in zip(columns, gaps, strict=True)
    ]
    (first, second), (before, after) = columns[:2], gaps[:2]
    comparisons.append(
      StudyComparison(
        group,
        f"wider minus deeper, {first} against {second}",
        "",
        (*before, *(Term(-t.weight, t.keys) for t in after)),
      )
    )
  return Plan(tuple(cases), tuple(comparisons))


def wider(architecture: Architecture) -> Architecture:
  """All widths times 1.4, rounded as the network's are."""
  return spaces.scale(architecture, depth=1.0, width=1.4, resolution=1.0)


def deeper(architecture: Architecture) -> Architecture:
  """Twice the blocks in each stage."""
  return spaces.scale(architecture, depth=2.0, width=1.0, resolution=1.0)


def _as_trained(
  config: StudyConfig, run: Run, member: FinishedMember, group: str, name: str
) -> Case:
  """The member as its run trained it, for so many epochs as asked for."""
  return Case(
    run.path,
    group,
    name,
    member.architecture,
    member.recipe,
    member.teacher,
    config.epochs or member.epochs,
    is_member=True,
  )


def _groups(cases: Sequence[Case]) -> list[str]:
  return list(dict.fromkeys(c.group for c in cases))


def _all_have(
  groups: Sequence[str], cases: Sequence[Case], runs: Sequence[Run]
) -> bool:
  """Whether each run has a case in each group."""
  return len({(c.run, c.group) for c in cases}) == len(groups) * len(runs)


def _mean(weight: float, group: str, *names: str) -> Term:
  return Term(weight, tuple(CaseKey(group, name) for name in names))
