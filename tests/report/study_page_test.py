"""The page of a study, from results that are made up and seeded."""

import html
import json
import re

import numpy as np
import pytest

import fbnax.report
from fbnax.base.json_values import plain
from fbnax.jobs.study import charts as study_charts
from fbnax.jobs.study import page as study_page
from fbnax.jobs.study import summary as study_summary
from fbnax.jobs.study import tables as study_tables
from fbnax.jobs.study.plan import CaseKey, StudyComparison, Term
from fbnax.jobs.study.result import (
  CaseTraining,
  PairedDifference,
  PairedEstimate,
  StudyResult,
  Summary,
)
from fbnax.report.schema import as_json

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"


def _term(weight, group, *names):
  return Term(weight, tuple(CaseKey(group, name) for name in names))


def _random(groups):
  pairs = [f"pair {i + 1}" for i in range(8)]
  cases = [
    {"group": g, "name": n, "is_member": n == "member", "teacher": "large"}
    for g in groups
    for n in ("member", *pairs)
  ]
  comparisons = [
    StudyComparison(
      g,
      g,
      "random pairs of its cost",
      (_term(1.0, g, "member"), _term(-1.0, g, *pairs)),
    )
    for g in groups
  ]
  comparisons.append(
    StudyComparison(
      "",
      f"the family of {len(groups)}",
      "random pairs of the same costs",
      tuple(
        Term(t.weight / len(groups), t.keys)
        for c in comparisons
        for t in c.terms
      ),
    )
  )
  return cases, comparisons


def _swapped(groups):
  ends = groups[0], groups[-1]
  cases = [
    {
      "group": "recipes",
      "name": f"{a} with the recipe of {b}",
      "row": a,
      "column": f"recipe of {b}",
      "is_member": a == b,
    }
    for a in ends
    for b in ends
  ]
  comparisons = [
    StudyComparison(
      "recipes",
      f"{a} with its own recipe",
      "with the other's",
      (
        _term(1.0, "recipes", f"{a} with the recipe of {a}"),
        _term(-1.0, "recipes", f"{a} with the recipe of {b}"),
      ),
    )
    for a, b in (ends, ends[::-1])
  ]
  return cases, comparisons


def _ranking(_):
  columns = {
    "epochs": ("all epochs", "a third of the epochs"),
    "weight decay": ("weight decay 1e-4", "weight decay 1e-5"),
  }
  cases = [
    {"group": g, "name": f"{r}, {c}", "row": r, "column": c}
    for g, found in columns.items()
    for r in ("1.4 × wider", "2 × deeper")
    for c in found
  ]
  comparisons = []
  for g, found in columns.items():
    gaps = [
      (
        _term(1.0, g, f"1.4 × wider, {c}"),
        _term(-1.0, g, f"2 × deeper, {c}"),
      )
      for c in found
    ]
    comparisons += [
      StudyComparison(g, f"the wider network after {c}", "the deeper one", gap)
      for c, gap in zip(found, gaps, strict=True)
    ]
    back = tuple(Term(-t.weight, t.keys) for t in gaps[1])
    comparisons.append(
      StudyComparison(
        g, f"wider minus deeper, {' against '.join(found)}", "", gaps[0] + back
      )
    )
  return cases, comparisons


def _stages(groups):
  cases = [
    {"group": g, "name": n, "is_member": n == "evolved"}
    for g in groups
    for n in ("evolved", "best trial")
  ]
  comparisons = [
    StudyComparison(
      g,
      f"{g} as evolved",
      "the best trial of its budget",
      (_term(1.0, g, "evolved"), _term(-1.0, g, "best trial")),
    )
    for g in groups
  ]
  return cases, comparisons


PLANS = {
  "random": _random,
  "swapped": _swapped,
  "ranking": _ranking,
  "stages": _stages,
}


def make_study(study="random", runs=5, seeds=3, gain=0.02, seed=0):
  """A whole result of schema version 1, as JSON data.

  Members are better by `gain` nats on average.
  """
  rng = np.random.default_rng(seed)
  groups = ("small-400k", "small-800k", "small-1.6m")
  cases, comparisons = PLANS[study](groups)
  names = [f"runs/f{i}" for i in range(runs)]
  trainings = []
  for case in cases:
    quality = 0 if case.get("is_member") else gain + rng.normal(0, 0.01)
    if case["name"] == "pair 3":
      quality += 1.2  # One that did not learn.
    for run in names:
      of_run = rng.normal(0, 0.004)
      for s in range(seeds):
        loss = 0.14 + quality + of_run + rng.normal(0, 0.003)
        trainings.append(
          {
            "row": "",
            "column": "",
            "is_member": False,
            "teacher": None,
            **case,
            "run": run,
            "macs": 363264,
            "params": 61058,
            "recipe": {"optimizer": "sgd", "learning_rate": 0.3},
            "epochs": 40,
            "seed": s,
            "test_accuracy": float(np.clip(1.01 - loss / 5, 0, 1)),
            "test_log_loss": loss,
            "seconds": 41.5,
          }
        )
  summary = study_summary.summarize(
    [CaseTraining(**training) for training in trainings], comparisons
  )
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "study",
    "study": study,
    "config": {
      "job": "study",
      "study": study,
      "seed": 0,
      "runs": names,
      "members": [],
      "seeds": seeds,
      "epochs": 0,
    },
    "runs": [
      {
        "name": name,
        "dataset": "digits",
        "source": f"scikit-learn's load_digits, fold {i} of 5",
        "train": 1438,
        "test": 359,
      }
      for i, name in enumerate(names)
    ],
    "cases": trainings,
    "summary": as_json(summary),
    "times": {"phases": {"planning": 4.0, "training": 5200.0}, "total": 5204.0},
  }


def write(folder, result):
  """Writes the report of a result; returns its text."""
  (folder / "result.json").write_text(json.dumps(plain(result)))
  return fbnax.report.write(folder).read_text(encoding="utf-8")


def words(text):
  """What a reader sees of a page, on one line."""
  return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
  """The page of each study."""
  folder = tmp_path_factory.mktemp("studies")
  return {study: write(folder, make_study(study)) for study in PLANS}


@pytest.mark.parametrize("study", PLANS)
def test_a_study_has_its_own_page(pages, study):
  text = pages[study]
  assert f"<h1>{study_page.TITLES[study]}</h1>" in text.replace("&#x27;", "'")
  chart = "chart-study" if study in ("random", "stages") else "chart-matrix"
  # The finding, then the picture, then the rest.
  assert text.index("<p>") < text.index(f'id="{chart}"')
  assert text.index(f'id="{chart}"') < text.index('id="differences"')
  for part in ("chart-differences", "trainings", "made"):
    assert f'id="{part}"' in text
  ids = re.findall(r'\bid="([^"]+)"', text)
  assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("study", PLANS)
def test_nothing_is_fetched_and_no_image_is_in_it(pages, study):
  text = pages[study]
  assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
  assert "<image" not in text
  assert "<script" not in text
  assert "data:" not in text


def test_the_finding_is_said_in_words(pages):
  text = words(pages["random"])
  result = make_study()
  found = result["summary"]["comparisons"]
  family = found[-1]["test_log_loss"]
  assert (
    "The family of 3 is better than random pairs of the same costs: its test "
    f"log-loss is {-family['mean']:.4f} nats lower" in text
  )
  assert f"−{-family['low']:.4f} to −{-family['high']:.4f}, over 5 runs" in text
  for comparison in found[:-1]:
    against = comparison["test_log_loss"]["against"]
    assert f"{comparison['group']} is better than" in text
    assert f"It beats {against['beats']} of {against['of']} of them" in text
  assert "405 trainings in a table" in text
  assert "45 trainings beyond the end" in text  # Those of `pair 3`.
  assert "orange those of the members" in text


def test_no_difference_is_called_none(tmp_path):
  text = words(write(tmp_path, make_study("stages", runs=1, gain=0.0, seed=3)))
  result = make_study("stages", runs=1, gain=0.0, seed=3)
  for comparison in result["summary"]["comparisons"]:
    loss = comparison["test_log_loss"]
    told = loss["high"] < 0 or loss["low"] > 0
    want = "better than" if loss["mean"] < 0 else "worse than"
    want = want if told else "not told apart from"
    assert f"{comparison['first']} is {want} {comparison['second']}" in text
  assert "over 3 seeds" in text
  assert "nothing of another search" in text


@pytest.mark.parametrize(
  ("low", "high", "word"),
  [
    (-0.2, -0.1, "better"),
    (0.1, 0.2, "worse"),
    (-0.1, 0.1, "not told apart"),
    (-0.1, 0.0, "not told apart"),
    (None, None, "not told apart"),
  ],
)
def test_the_verdict_needs_an_interval_without_zero(low, high, word):
  assert (
    study_tables.verdict(PairedEstimate(mean=0.1, low=low, high=high)) == word
  )


def _gap(group, low, high):
  loss = PairedEstimate(mean=(low + high) / 2, low=low, high=high, units=3)
  return PairedDifference(group, "", "wide", "deep", loss)


@pytest.mark.parametrize(
  ("first", "second", "said"),
  [
    ((-0.2, -0.1), (0.1, 0.2), "<strong>switches</strong>"),
    ((-0.2, -0.1), (-0.3, -0.2), "<strong>does not switch</strong>"),
    ((-0.2, -0.1), (-0.1, 0.3), "not told apart"),
  ],
)
def test_a_switch_is_told_by_both_intervals(first, second, said):
  comparisons = _gap("epochs", *first), _gap("epochs", *second)
  result = StudyResult(
    study="ranking", summary=Summary(comparisons=comparisons)
  )
  (found,) = study_page.switches(result)
  assert said in found
  assert "epochs" in found


def test_a_matrix_has_a_cell_for_each_case(pages):
  result = make_study("swapped")
  text = pages["swapped"]
  chart = text[text.index('id="chart-matrix"') : text.index("</figure>")]
  for mean in result["summary"]["means"]:
    assert f"{mean['test_log_loss']['mean']:.4f}" in chart
  assert "Outlined: as the search designed it" in text
  assert "Outlined" not in pages["ranking"]


def test_means_and_comparisons_are_in_the_tables(pages):
  text = words(pages["stages"])
  result = make_study("stages")
  for mean in result["summary"]["means"]:
    assert f"{mean['group']}: {mean['name']}" in text
    assert f"{mean['test_log_loss']['mean']:.4f}" in text
  for comparison in result["summary"]["comparisons"]:
    value = 100 * comparison["test_accuracy"]["mean"]
    assert f"{value:+.2f}".replace("-", "−") in text


def test_how_it_was_made_can_be_repeated(pages):
  text = words(pages["random"])
  assert "3 seeds: 0, 1, 2" in text
  assert "40 for each training" in text
  assert "trained on 1,438 images, measured once on 359 test images" in text
  assert "--config=configs/study.py:random" in text
  assert "--config.runs=\"('runs/f0','runs/f1'," in text
  assert "--config.seeds=3" in text
  # An empty list of members is the default.
  assert "--config.members" not in text


def test_what_users_supply_is_escaped(tmp_path):
  text = json.dumps(plain(make_study("stages", runs=2)))
  result = json.loads(text.replace("small-800k", "HOSTILE"))
  result = _replaced(result)
  result["study"] = result["fbnax_version"] = HOSTILE
  result["summary"]["notes"] = [HOSTILE]
  for run in result["runs"]:
    run["name"] = run["source"] = run["dataset"] = HOSTILE
  for case in result["cases"]:
    case["teacher"] = case["run"] = case["recipe"]["optimizer"] = HOSTILE
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page


def _replaced(value):
  if isinstance(value, dict):
    return {_replaced(k): _replaced(v) for k, v in value.items()}
  if isinstance(value, list):
    return [_replaced(v) for v in value]
  return value.replace("HOSTILE", HOSTILE) if isinstance(value, str) else value


def test_an_empty_result_is_a_page(tmp_path):
  text = write(tmp_path, {"schema_version": 1, "job": "study"})
  assert "The result holds no comparison" in text
  assert "<svg" not in text


def test_what_diverged_is_said(tmp_path):
  result = make_study(runs=1)
  for case in result["cases"][:2]:
    case["test_log_loss"] = None
  result["summary"]["failed"] = 2
  assert "2 trainings diverged and left no log-loss" in words(
    write(tmp_path, result)
  )


def test_an_accuracy_that_is_none_is_named(tmp_path):
  result = make_study("stages", runs=1)
  result["cases"][3]["test_accuracy"] = 97.0
  with pytest.raises(ValueError, match=r"cases\[3\]\.test_accuracy must be a"):
    write(tmp_path, result)


def test_the_axis_ends_where_the_bulk_does():
  values = [0.1, 0.11, 0.12, 0.13, 2.3]
  assert 0.13 < study_charts.ceiling(values) < 0.3
  assert study_charts.ceiling(values[:4]) == 0.13
  cases = tuple(CaseTraining(test_log_loss=v) for v in values)
  assert study_charts.hidden(StudyResult(cases=cases)) == 1


def test_same_result_same_bytes(tmp_path, pages):
  assert write(tmp_path, make_study("random")) == pages["random"]
