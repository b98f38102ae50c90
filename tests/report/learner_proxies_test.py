"""What proxies add to costs, draw by draw, from errors that are made up."""

import re

import numpy as np
import pytest
from scipy import stats

from fbnax.jobs.predictors import learner_proxies
from fbnax.jobs.predictors.page import draw
from fbnax.jobs.predictors.result import (
  LearnedProxies,
  LearnerCurve,
  LearnerScore,
  PredictorsResult,
)

SHIFTS = {25: -0.2, 50: 0.0, 100: 0.3}
SEEDS = 8


def make_result(shifts=None, seeds=SEEDS, **changes):
  """Errors of both predictors: the draw decides most of them."""
  random = np.random.default_rng(0)
  scores = []
  for count, shift in (shifts or SHIFTS).items():
    for seed in range(seeds):
      error = 2.0 + random.normal(0, 0.5)
      more = error + shift + random.normal(0, 0.05)
      for learner, value in (
        ("pretrained", error),
        ("pretrained on proxies", more),
      ):
        # The order of the accuracies gets worse whatever the error does.
        worse = 0.1 if learner == "pretrained on proxies" else 0.0
        rank = 0.5 - worse + random.normal(0, 0.02)
        scores.append(LearnerScore(learner, count, seed, value, rank))
  return PredictorsResult(scores=tuple(scores), **changes)


def words(text):
  return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text))


def test_differences_are_those_of_pairs():
  """Against a paired t-test's mean and standard error."""
  result = make_result()
  found = learner_proxies.differences(result)
  assert [d.labels for d in found] == list(SHIFTS)
  assert [d.verdict for d in found] == ["lower", "open", "higher"]
  for row in found:
    ours, theirs = (
      np.asarray(
        [
          s.rmse
          for s in result.scores
          if (s.learner, s.labels) == (name, row.labels)
        ]
      )
      for name in ("pretrained on proxies", "pretrained")
    )
    wanted = stats.ttest_rel(ours, theirs)
    assert row.mean / row.error == pytest.approx(wanted.statistic)
    assert row.mean == pytest.approx((ours - theirs).mean())
    assert row.costs == pytest.approx(theirs.mean())
    assert (row.lower, row.draws) == ((ours < theirs).sum(), SEEDS)


def test_the_page_says_so_either_way(tmp_path):
  page = draw(
    make_result(
      proxies=LearnedProxies(400, {"macs": 0.99, "synflow": 0.8, "a<b": None}),
      curves=(LearnerCurve("pretrained", (25,), (2.0,)),),
      config={"proxies": "runs/<b>", "proxy_names": ["synflow"]},
    ),
    tmp_path,
  )
  text = words(page)
  assert (
    "Judged by two standard errors it is lower with 25 labels; higher with 100 "
    "labels; not told apart with 50 labels."
  ) in text
  assert (
    "Kendall’s rank correlation is lower with 25, 50 and 100 labels." in text
  )
  assert "MACs 0.990, synflow 0.800" in text
  assert "of 400 scored networks" in text
  assert 'id="proxies"' in page
  assert "runs/&lt;b&gt;" in page
  assert "runs/<b>" not in page
  none = words(learner_proxies.finding(make_result({25: 0.0, 50: 0.0})))
  assert "save no labels that these draws could show" in none
  both = words(learner_proxies.finding(make_result({25: -1.0, 50: -1.0})))
  assert "error is lower in 16 of 16 draws of labels" in both
  assert "it is lower with 25 and 50 labels." in both


def test_one_draw_says_nothing_of_chance():
  result = make_result(seeds=1)
  assert "says nothing of chance" in learner_proxies.finding(result)
  assert "±" not in words(learner_proxies.section(result)).split("Errors in")[0]


def test_without_proxies_nothing_is_said():
  result = PredictorsResult(
    scores=(LearnerScore("pretrained", 25, 0, 1.0, 0.5),)
  )
  assert learner_proxies.finding(result) == ""
  assert learner_proxies.section(result) == ""
