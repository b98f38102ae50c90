"""The page of learners against labels, from results that are made up."""

import html
import json
import re

import numpy as np
import pytest

import fbnax.report
from fbnax.base.json_values import plain
from fbnax.jobs.predictors import job as predictors
from fbnax.jobs.predictors import learner_charts
from fbnax.jobs.predictors import page as predictors_page
from fbnax.jobs.predictors.result import (
  LearnerCurve,
  LearnerScore,
  PredictorsResult,
  SavedLabels,
)
from fbnax.report.schema import as_json

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"
COUNTS = (25, 50, 100, 200)
# Error with the fewest labels, and the power of labels with which it falls.
LAWS = {
  "pretrained": (1.4, 0.25),
  "from scratch": (2.8, 0.35),
  "ridge": (2.4, 0.1),
  "gaussian process": (1.9, 0.5),
}


def make_result(laws=None, seeds=5, seed=0):
  """A whole result of schema version 1."""
  random = np.random.default_rng(seed)
  scores = [
    {
      "learner": learner,
      "labels": count,
      "seed": i,
      "rmse": start * (COUNTS[0] / count) ** power * random.uniform(0.98, 1.02),
      "kendall": 1 - 0.2 * start * (COUNTS[0] / count) ** power,
    }
    for i in range(seeds)
    for count in COUNTS
    for learner, (start, power) in (laws or LAWS).items()
  ]
  curves = predictors.learner_curves(
    [LearnerScore(**score) for score in scores], COUNTS
  )
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "predictors",
    "config": {
      "job": "predictors",
      "seed": 0,
      "table": "tables/mine.npz",
      "run": "",
      "labels": list(COUNTS),
      "held_out": 4000,
      "seeds": seeds,
      "pool": 20000,
      "predictors": 8,
    },
    "space": {"name": "mnasnet", "size": 104485552128, "rows": 5125},
    "label_deviation": 3.3,
    "scores": scores,
    "curves": as_json(curves),
    "saved": as_json(predictors.saved(curves)),
    "times": {"phases": {"scores": 300.0}, "total": 300.0},
  }


def write(folder, result):
  """Writes the report of a result; returns its text."""
  (folder / "result.json").write_text(json.dumps(plain(result)))
  return fbnax.report.write(folder).read_text(encoding="utf-8")


def words(text):
  """What a reader sees of a page, on one line."""
  return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
  return write(tmp_path_factory.mktemp("predictors"), make_result())


def test_the_finding_comes_first_and_then_its_picture(page):
  assert "<h1>What pretraining on costs saves in labels</h1>" in page
  places = [
    page.index(part)
    for part in ("With 25", 'id="chart-rmse"', "The predictor from scratch")
  ]
  assert places == sorted(places)
  for part in ("saved", "errors", "ranks", "chart-kendall", "made"):
    assert f'id="{part}"' in page
  ids = re.findall(r'\bid="([^"]+)"', page)
  assert len(set(ids)) == len(ids)


def test_nothing_is_fetched_and_no_image_is_in_it(page):
  assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
  for part in ("<image", "<script", "data:"):
    assert part not in page


def test_who_has_the_lowest_error_is_said_for_every_count(page):
  # 1.4 * 4^-0.25 = 0.99 and 1.9 * 4^-0.5 = 0.95: they cross.
  text = words(page)
  assert (
    "With 25 and 50 labels the predictor pretrained on costs has the lowest "
    "mean error (and the lowest in 10 of 10 draws of labels)."
  ) in text
  assert (
    "With 100 and 200 labels the Gaussian process has the lowest mean error "
    "(and the lowest in 10 of 10 draws of labels)."
  ) in text


def test_labels_that_others_need_are_said(page):
  text = words(page)
  # 2.8 * (25 / n)^0.35 = 1.4 at n = 181, 7.2 times as many.
  factors = make_result()["saved"][0]["factors"]
  assert factors[0] == pytest.approx(2 ** (1 / 0.35), rel=0.05)
  assert factors[1:] == [None] * 3
  assert (
    f"The predictor from scratch needs {factors[0]:.2g} times the labels for "
    "the same error as the pretrained predictor with 25 labels. For it no "
    "count up to 200 is enough for the error of the pretrained predictor with "
    "50 to 200 labels: it needs more than 4 times as many as 50."
  ) in text
  assert (
    "For ridge regression no count up to 200 is enough for the error of the "
    "pretrained predictor with 25 to 200 labels: it needs more than 8 times as "
    "many as 25."
  ) in text


@pytest.mark.parametrize(
  ("factors", "said"),
  [
    ((2.0, 3.0), "Ridge regression needs 2 to 3 times the labels for the same"),
    ((2.0, 2.04), "Ridge regression needs 2 times the labels for the same"),
    (
      (2.0, 0.8),
      "It needs no more labels (0.8 times as many) where the pretrained "
      "predictor has 50 labels.",
    ),
    (
      (1.0, 0.5),
      "Ridge regression needs no more labels (at most 0.5 to 1 times as many) "
      "where the pretrained predictor has 25 and 50 labels.",
    ),
    (
      (2.0, None),
      "For it no count up to 50 is enough for the error of the pretrained "
      "predictor with 50 labels.",
    ),
  ],
)
def test_a_learner_that_is_better_or_never_enough(factors, said):
  found = predictors_page.needs(SavedLabels("ridge", (25, 50), factors))
  assert said in words(found)


def test_counts_in_words():
  every = (25, 50, 100, 200)
  assert predictors_page._counts([25], every) == "25"
  assert predictors_page._counts([25, 50], every) == "25 and 50"
  assert predictors_page._counts([50, 100, 200], every) == "50 to 200"
  assert predictors_page._counts([25, 50, 200], every) == "25, 50 and 200"


def test_tables_hold_means_deviations_and_factors(page):
  result = make_result()
  for curve in result["curves"]:
    for key in ("rmse", "kendall"):
      for mean, deviation in zip(
        curve[key], curve[f"{key}_deviation"], strict=True
      ):
        assert f"{mean:.3f}" in page
        assert f"± {deviation:.3f}" in page
  cells = [words(c) for c in re.findall(r"<td>(.*?)</td>", page)]
  first, *rest = cells[: 2 * len(COUNTS)]
  assert float(first) == pytest.approx(2 ** (1 / 0.35), rel=0.05)
  assert rest == [
    f"> {n}" for n in ("4.0", "2.0", "1.0", "8.0", "4.0", "2.0", "1.0")
  ]
  assert "Always saying the mean of all accuracies has the error 3.30" in (
    words(page)
  )


def test_the_best_of_a_count_is_bold(page):
  table = page[page.index('id="errors"') : page.index('id="ranks"')]
  assert len(re.findall("<strong>", table)) == len(COUNTS)


def test_factors_at_the_ends_are_bounds(tmp_path):
  result = make_result()
  result["saved"] = [
    {"learner": "ridge", "labels": [25, 50], "factors": [1.0, 0.5]},
  ]
  page = write(tmp_path, result)
  assert "<td>≤ 1.0</td><td>≤ 0.50</td>" in page


def test_charts_say_what_they_show(page):
  labels = dict(re.findall(r'<svg id="([^"]+)"[^>]*aria-label="([^"]+)"', page))
  for identity in ("chart-rmse", "chart-kendall"):
    for learner in LAWS:
      assert learner_charts.NAMES[learner] in labels[identity]
    svg = page[page.index(f'id="{identity}"') :].split("</svg>")[0]
    for count in COUNTS:
      assert f">{count}</text>" in svg
  assert "always saying the mean" in page


def test_points_leave_out_what_is_not_known():
  curve = LearnerCurve(
    "ridge", (1, 2, 4), rmse=(0.5, None, 0.0), kendall=(0.1, 0, -1)
  )
  assert learner_charts.points(curve, "rmse") == [(1, 0.5, 0.0)]
  assert [p.mean for p in learner_charts.points(curve, "kendall")] == [
    0.1,
    0,
    -1,
  ]
  assert learner_charts.points(LearnerCurve("ridge", (1,)), "rmse") == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_errors_of_any_size_have_ticks(scale):
  laws = {name: (a * scale, b) for name, (a, b) in LAWS.items()}
  curves = tuple(
    LearnerCurve(**{k: tuple(v) if k != "learner" else v for k, v in c.items()})
    for c in make_result(laws)["curves"]
  )
  svg = learner_charts.errors(PredictorsResult(curves=curves))
  assert 3 <= svg.count("chart-rmse-ytick_") <= 12


def test_one_seed_has_no_deviation(tmp_path):
  text = words(write(tmp_path, make_result(seeds=1)))
  assert "±" not in text
  assert "Root mean square error in percentage points of accuracy. Bold" in text


def test_how_it_was_made_can_be_repeated(page):
  text = words(page)
  assert "tables/mine.npz, 5,125 networks with an accuracy" in text
  assert "4,000 networks, which judge all learners of a seed" in text
  assert "5 seeds: 0, 1, 2, 3, 4" in text
  assert "--config=configs/predictors.py --config.seed=0" in text
  assert "--config.labels='(25,50,100,200,)'" in text
  assert "--config.run" not in text


def test_what_users_supply_is_escaped(tmp_path):
  text = json.dumps(plain(make_result(seeds=2))).replace('"ridge"', '"HOSTILE"')
  result = json.loads(text)
  result["fbnax_version"] = result["space"]["name"] = HOSTILE
  result["config"] |= {"table": HOSTILE, "run": HOSTILE}
  for name in ("scores", "curves", "saved"):
    for row in result[name]:
      if row["learner"] == "HOSTILE":
        row["learner"] = HOSTILE
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page


def test_missing_parts_are_left_out(tmp_path):
  text = write(tmp_path, {"schema_version": 1, "job": "predictors"})
  assert "The result holds no errors" in text
  assert "<svg" not in text
  assert "<section" not in text
  result = make_result()
  del result["saved"], result["scores"], result["config"]
  for curve in result["curves"]:
    del curve["kendall"], curve["kendall_deviation"], curve["rmse_deviation"]
  text = write(tmp_path, result)
  assert "chart-rmse" in text
  for part in ("chart-kendall", 'id="saved"', "draws of labels", "Command"):
    assert part not in text


def test_a_list_of_another_length_is_named(tmp_path):
  result = make_result()
  result["curves"][1]["kendall"].pop()
  with pytest.raises(
    ValueError, match=r"curves\[1\]\.kendall has 3 values, cu"
  ):
    write(tmp_path, result)


def test_same_result_same_bytes(tmp_path, page):
  assert write(tmp_path, make_result()) == page
