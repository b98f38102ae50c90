"""The page of zero-cost scores, from made-up results."""

import json

import numpy as np
import pytest

from fbnax import report
from fbnax.jobs.zero_cost.summary import summarize
from fbnax.report.schema import as_json


def make(count=60, **changes):
  random = np.random.default_rng(0)
  macs = random.uniform(1, 2, count)
  accuracies = np.clip(0.6 + 0.2 * macs + random.normal(0, 0.02, count), 0, 1)
  scores = {
    "good<b>": accuracies + random.normal(0, 0.01, count),
    "synflow": macs,
    "macs": macs,
  }
  summary = summarize(scores, accuracies, best=0.5, draws=20, seed=0)
  result = {
    "schema_version": 1,
    "job": "zero_cost",
    "fbnax_version": "0",
    "config": {"job": "zero_cost", "sample": count},
    "dataset": {"name": "made", "source": "made up", "images": 64},
    "space": {"name": "nasbench201", "size": 15625},
    "networks": [
      {
        "accuracy": float(accuracies[i]),
        "scores": {
          n: float(v[i]) if np.isfinite(v[i]) else None
          for n, v in scores.items()
        },
      }
      for i in range(count)
    ],
    "summary": as_json(summary),
    "times": {"total": 12.0},
  }
  return result | changes


def write(result, folder):
  (folder / "result.json").write_text(json.dumps(result))
  return report.write(folder).read_text()


def test_it_says_which_order_is_best_and_what_tracks_the_macs(tmp_path):
  page = write(make(), tmp_path)
  assert "the order by <strong>good&lt;b&gt;</strong> agrees best" in page
  assert "nearly as the MACs do: good&lt;b&gt; (0.92), synflow (1.00)." in page
  assert "Among the best 30 networks" in page
  for chart in ("correlations", "scatters", "matrix"):
    assert f'id="chart-{chart}"' in page
  assert page == write(make(), tmp_path)


def test_without_accuracies_scores_are_compared_alone(tmp_path):
  result = make()
  for network in result["networks"]:
    network["accuracy"] = None
  for row in result["summary"]["proxies"]:
    for key in ("spearman", "low", "high", "kendall", "best", "given_macs"):
      row[key] = None
  page = write(result, tmp_path)
  assert "There is no table of accuracies" in page
  assert 'id="chart-matrix"' in page
  assert 'id="chart-scatters"' not in page


def test_an_empty_result_has_a_page(tmp_path):
  page = write({"schema_version": 1, "job": "zero_cost"}, tmp_path)
  assert "0 networks scored" in page


def test_what_does_not_fit_is_named(tmp_path):
  result = make()
  result["summary"]["matrix"] = [[1.0]]
  with pytest.raises(
    ValueError, match=r"summary\.matrix must have 3 rows of 3"
  ):
    write(result, tmp_path)
  result = make()
  result["networks"][1]["accuracy"] = 93.0
  with pytest.raises(
    ValueError, match=r"networks\[1\].accuracy must be a frac"
  ):
    write(result, tmp_path)
