"""The page of learned latencies, from results that are made up."""

import re

import numpy as np
import pytest

from fbnax.jobs.latency_predictor import charts as latency_predictor_charts
from fbnax.jobs.latency_predictor.result import KindScore, LatencyScore
from tests.report.pages import words, write

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"
COUNTS = (10, 1000)
# Error of a kind with the fewest measurements; 1,000 make it a tenth.
ERRORS = {
  ("scratch", "additive"): 0.2,
  ("scratch", "graph"): 0.1,
  ("warm", "additive"): 0.05,
  ("warm", "graph"): 0.08,
}


def make_result(devices=("phone", "board"), seeds=1):
  """A whole result of schema version 1."""
  random = np.random.default_rng(0)
  scores = [
    {
      "device": device,
      "start": start,
      "count": count,
      "seed": seed,
      "taken": {"scratch": "graph", "warm": "additive"}[start],
      "kinds": [
        {
          "kind": kind,
          "validated": 1.1 * ERRORS[start, kind] * 10 / count,
          "error": ERRORS[start, kind] * 10 / count,
          "spearman": 1 - ERRORS[start, kind] * 10 / count,
        }
        for kind in ("additive", "graph")
      ],
      "shares": {"MACs": 0.25, "tablet": 0.7, "blocks": 0.001},
    }
    for device in devices
    for start in ("scratch", "warm")
    for count in COUNTS
    for seed in range(seeds)
  ]
  measured = random.uniform(5, 9, 20)
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "latency_predictor",
    "config": {
      "job": "latency_predictor",
      "measurements": "mine.csv",
      "counts": list(COUNTS),
    },
    "space": {"name": "fbnet_cifar", "size": 9**22, "rows": 5000},
    "held_out": 900,
    "scores": scores,
    "tables": [
      {
        "device": device,
        "file": f"tables/{device}.json",
        "start": "warm",
        "count": 1000,
        "taken": "additive",
        "error": 0.0123,
        "spearman": 0.987,
        "predicted": (measured * random.uniform(0.98, 1.02, 20)).tolist(),
        "measured": measured.tolist(),
      }
      for device in devices
    ],
    "times": {"phases": {"scores": 300.0}, "total": 310.0},
  }


def svg_of(page, name):
  return re.search(rf'<svg id="{name}".*?</svg>', page, re.DOTALL)[0]


def test_the_finding_is_of_what_was_taken(tmp_path):
  text = words(write(tmp_path, make_result()))
  assert (
    "With 10 measurements the median error on networks that were held out is "
    "from this device alone 10.0% (rank correlation 0.900) and from other "
    "devices too 5.0% (rank correlation 0.950), medians over 2 devices."
  ) in text
  assert "With 1,000 measurements" in text
  assert "tablet 70%, MACs 25%" in text and "blocks 0%" not in text
  assert "5 min 10 s" in text
  assert "--config.counts='(10,1000,)'" in text


def test_every_device_has_its_panels(tmp_path):
  page = write(tmp_path, make_result())
  for name in ("chart-error", "chart-spearman", "chart-tables"):
    svg = svg_of(page, name)
    assert "phone" in svg and "board" in svg
  assert "phone 0.1%" in svg_of(page, "chart-error")  # 5% / 100, rounded.
  assert svg_of(page, "chart-tables").count("<use ") >= 2 * 20
  assert "tables/phone.json" in page
  ids = re.findall(r'\bid="([^"]+)"', page)
  assert len(set(ids)) == len(ids)


def test_lines_are_means_over_the_seeds():
  scores = [
    LatencyScore(
      "a", "warm", 10, seed, taken, (KindScore("mlp", None, error, None),)
    )
    for seed, taken, error in ((0, "mlp", 0.1), (1, "graph", 0.3))
  ]
  [line] = latency_predictor_charts.lines(scores, "a", "error")
  assert line.counts == [10]
  np.testing.assert_allclose([line.means, line.taken], [[0.2], [0.5]])
  assert latency_predictor_charts.lines(scores, "a", "spearman") == []
  assert latency_predictor_charts.lines(scores, "b", "error") == []


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_devices_and_seeds(tmp_path, count):
  devices = [f"device {i}" for i in range(count)]
  page = write(tmp_path, make_result(devices, seeds=2))
  assert devices[-1] in svg_of(page, "chart-error")
  assert '<th scope="col">Seed</th>' in page
  assert ("medians over" in page) == (count > 1)


def test_equal_results_give_equal_pages(tmp_path):
  first = write(tmp_path, make_result())
  assert write(tmp_path, make_result()) == first


def test_what_users_supply_is_escaped(tmp_path):
  result = make_result((HOSTILE,))
  result["space"]["name"] = result["config"]["measurements"] = HOSTILE
  for row in result["scores"]:
    row["shares"] = {HOSTILE: 1.0}
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page
  assert HOSTILE in words(page)


def test_what_is_missing_is_left_out(tmp_path):
  page = write(tmp_path, {"schema_version": 1, "job": "latency_predictor"})
  assert "The result holds no scores." in page
  assert "<svg" not in page and "<section" not in page
  result = make_result()
  for row in result["scores"]:
    for kind in row["kinds"]:
      kind["error"] = None if row["device"] == "phone" else 0.0
      kind["spearman"] = None
  page = write(tmp_path, result)
  assert "chart-error" not in page and "chart-spearman" not in page
  assert "chart-tables" in page


def test_lists_of_different_lengths_are_named(tmp_path):
  result = make_result()
  result["tables"][1]["predicted"].pop()
  with pytest.raises(ValueError, match=r"tables\[1\] has 19 predicted and 20"):
    write(tmp_path, result)
