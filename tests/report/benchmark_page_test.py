"""The page of a benchmark, from results that are made up and seeded."""

import html
import json
import re

import numpy as np
import pytest

import fbnax.report
from fbnax.base.json_values import plain
from fbnax.jobs.benchmark import charts as benchmark_charts
from fbnax.jobs.benchmark import page as benchmark_page
from fbnax.jobs.benchmark.result import BenchmarkResult
from fbnax.jobs.ground_truth import page as ground_truth_page
from fbnax.jobs.ground_truth.result import GroundTruthResult
from fbnax.jobs.runtime import comparing
from fbnax.report import searches as kit
from fbnax.report.schema import as_json
from fbnax.report.searches import MethodSummary, SearchEnd

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"
BEST = 0.9437


def summary(searches):
  """`summary` of a result with these `searches`."""
  return as_json(comparing.summary([SearchEnd(**s) for s in searches]))


def make_result(ours=0.94, evolution=0.935, seeds=12, evaluations=40, seed=0):
  """A whole result of schema version 1; arguments are the means at the end."""
  random = np.random.default_rng(seed)
  means = {"nars": ours, "evolution": evolution, "random": 0.93}
  searches = []
  for method, mean in means.items():
    for i in range(seeds):
      end = min(mean + random.normal(0, 0.001), BEST)
      rise = np.linspace(0.06, 0, evaluations) ** 2 / 0.06
      searches.append(
        {
          "method": method,
          "seed": i,
          "evaluations": evaluations,
          "genotype": [0, 1, 2, 3, 4, 0],
          "validation_accuracy": 0.85,
          "test_accuracy": end,
          "test_curve": (end - rise).tolist(),
        }
      )
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "benchmark",
    "config": {
      "job": "benchmark",
      "seed": 0,
      "table": "tables/my cells.npz",
      "methods": list(means),
      "evaluations": evaluations,
      "epochs": 1,
      "seeds": seeds,
      "search": {"first": 20, "candidates": 5, "ranks": True},
      "evolution": {"population": 20, "sample": 5},
    },
    "space": {"name": "nasbench201", "size": 15625, "rows": 15625},
    "best_test_accuracy": BEST,
    "searches": searches,
    "summary": summary(searches),
    "times": {"phases": {"searches": 200.0}, "total": 200.0},
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
  return write(tmp_path_factory.mktemp("benchmark"), make_result())


def test_the_finding_comes_first_and_then_its_picture(page):
  assert "<h1>Searches compared on nasbench201</h1>" in page
  places = [
    page.index(part)
    for part in ("After 40", 'id="chart-progress"', "is <strong>better")
  ]
  assert places == sorted(places)
  for part in ("seeds", "chart-final", "made"):
    assert f'id="{part}"' in page
  ids = re.findall(r'\bid="([^"]+)"', page)
  assert len(set(ids)) == len(ids)


def test_nothing_is_fetched_and_no_image_is_in_it(page):
  assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
  for part in ("<image", "<script", "data:"):
    assert part not in page


def test_the_finding_gives_means_and_deviations(page):
  ours = [
    s["test_accuracy"]
    for s in make_result()["searches"]
    if s["method"] == "nars"
  ]
  mean, deviation = 100 * np.mean(ours), 100 * np.std(ours, ddof=1)
  assert (
    "After 40 evaluations NARS has found a test accuracy of "
    f"{mean:.2f} ± {deviation:.2f}% (mean and standard deviation of 12 seeds); "
    "the best of all 15,625 has 94.37%, which none of the seeds find."
  ) in words(page)


@pytest.mark.parametrize(
  ("ours", "evolution", "said"),
  [
    (0.94, 0.935, "NARS is better than regularized evolution, which finds"),
    (0.935, 0.935, "NARS is not told apart from regularized evolution, which"),
    (0.935, 0.94, "NARS is worse than regularized evolution, which finds"),
  ],
)
def test_a_verdict_needs_the_test(ours, evolution, said, tmp_path):
  text = words(write(tmp_path, make_result(ours, evolution)))
  assert said in text
  # How soon it is as good is said of what is better.
  soon = "On average it is where regularized evolution ends after"
  assert (soon in text) == (ours > evolution)


@pytest.mark.parametrize(
  ("p", "share", "word"),
  [
    (0.01, 0.9, "better"),
    (0.01, 0.1, "worse"),
    (0.2, 0.9, "not told apart"),
    (0.05, 0.9, "not told apart"),
    (0.01, 0.5, "not told apart"),
    (None, 0.9, "not told apart"),
    (0.01, None, "not told apart"),
  ],
)
def test_verdicts(p, share, word):
  assert kit.verdict(p, share) == word


def test_pairs_of_seeds_and_evaluations_are_counted():
  curves = {"nars": [0.1, 0.5, 0.8], "random": [0.1, 0.2, 0.5]}
  ends = {"nars": (0.8, 0.9), "random": (0.5, 0.8)}
  result = BenchmarkResult(
    searches=tuple(
      SearchEnd(m, test_accuracy=v, test_curve=tuple(curves[m]))
      for m, values in ends.items()
      for v in values
    ),
    best_test_accuracy=0.9,
  )
  ours, other = MethodSummary("nars"), MethodSummary("random")
  # Of four pairs three are ahead and one is a tie.
  assert kit.ahead(result, ours, other) == 3.5 / 4
  assert kit.ahead(result, other, ours) == 0.5 / 4
  assert benchmark_page.reached(result, ours, other) == 2
  assert benchmark_page.reached(result, other, ours) is None
  assert kit.at_best(result, ours) == 1
  assert kit.ahead(result, ours, MethodSummary("none")) is None


def test_p_values_are_in_the_table(page):
  result = make_result()
  cells = [words(c) for c in re.findall(r"<td>(.*?)</td>", page)]
  for row in result["summary"]:
    for p in row["p_values"].values():
      assert kit.p_value(p) in cells
  assert kit.p_value(2.584e-07) == "2.6×10⁻⁷"
  assert kit.p_value(0.0348) == "0.035"
  assert "not corrected for the number of comparisons" in words(page)


def test_charts_say_what_they_show(page):
  found = re.findall(r'<svg id="([^"]+)"[^>]*aria-label="([^"]+)"', page)
  labels = dict(found)
  for method in ("NARS", "regularized evolution", "random search"):
    assert method in labels["chart-progress"]
    assert method in labels["chart-final"]
  progress = page[page.index('id="chart-progress"') :].split("</svg>")[0]
  assert "best of the table, 94.37%" in progress
  assert "evaluations" in progress
  final = page[page.index('id="chart-final"') :].split("</svg>")[0]
  # A dot for each of the seeds, by method.
  dots = re.findall(
    r'<g id="chart-final-PathCollection_\d+">.*?</g>\s*</g>', final, re.S
  )
  assert sum(dot.count("<use") for dot in dots) == 36


def test_curves_are_as_long_as_the_shortest_that_is_known():
  searches = [
    SearchEnd(test_curve=(0.1, 0.2, 0.3)),
    SearchEnd(test_curve=(0.3, 0.4)),
    SearchEnd(test_curve=(0.3, None)),
    SearchEnd(),
  ]
  np.testing.assert_array_equal(
    benchmark_charts.curves(searches), [[0.1, 0.2], [0.3, 0.4]]
  )
  assert benchmark_charts.curves([]).shape == (0, 0)


def test_a_seed_far_below_is_marked(tmp_path):
  result = make_result()
  result["searches"][-1]["test_accuracy"] = 0.1
  text = words(write(tmp_path, result))
  assert "Triangles: 1 seed before the start of the axis." in text


def test_one_seed_has_no_deviation(tmp_path):
  text = words(write(tmp_path, make_result(seeds=1)))
  assert "± 0.00" not in text
  assert "(one seed)" in text
  assert "not told apart" in text


def test_how_it_was_made_can_be_repeated(page):
  text = words(page)
  assert "15,625 genotypes of the space nasbench201" in text
  assert "first 20, candidates 5, ranks yes" in text
  assert "--config=configs/benchmark.py --config.seed=0" in text
  assert "--config.table='tables/my cells.npz'" in text
  assert "--config.methods=\"('nars','evolution','random',)\"" in text
  assert "--config.search.ranks=True" in text
  assert "3 min 20 s" in text


def test_what_users_supply_is_escaped(tmp_path):
  result = make_result(seeds=2)
  result["fbnax_version"] = result["space"]["name"] = HOSTILE
  result["config"] = {"table": HOSTILE, "methods": [HOSTILE], HOSTILE: HOSTILE}
  for row in [*result["searches"], *result["summary"]]:
    if row["method"] == "random":
      row["method"] = HOSTILE
  for row in result["summary"]:
    row["p_values"] = {HOSTILE: 0.01}
  text = write(tmp_path, result)
  assert "<script" not in text
  assert "<b>猫" not in text


def test_missing_parts_are_left_out(tmp_path):
  text = write(tmp_path, {"schema_version": 1, "job": "benchmark"})
  assert "The result holds no search" in text
  assert "<svg" not in text
  assert "<section" not in text
  result = make_result()
  for search in result["searches"]:
    del search["test_curve"]
  del result["best_test_accuracy"], result["config"]
  text = write(tmp_path, result)
  assert "chart-progress" not in text
  assert "chart-final" in text
  assert "NARS is" in words(text)
  assert "best of" not in words(text)
  assert "Command" not in text


def test_other_methods_alone_are_compared_too(tmp_path):
  result = make_result()
  result["searches"] = [s for s in result["searches"] if s["method"] != "nars"]
  result["summary"] = summary(result["searches"])
  text = words(write(tmp_path, result))
  assert "Regularized evolution is better than random search" in text
  assert "of NARS are random" not in text


@pytest.mark.parametrize("key", ["test_accuracy", "test_curve"])
def test_an_accuracy_that_is_none_is_named(key, tmp_path):
  result = make_result()
  search = result["searches"][3]
  search[key] = 94.0 if key == "test_accuracy" else [0.1, 94.0]
  with pytest.raises(ValueError, match=rf"searches\[3\]\.{key}.* must be a fr"):
    write(tmp_path, result)


def test_same_result_same_bytes(tmp_path, page):
  assert write(tmp_path, make_result()) == page


def test_cells_that_were_derived_are_listed_with_their_skips(tmp_path):
  cell = (
    "|skip_connect~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|none~2|"
  )
  search = SearchEnd("safe", 0, test_accuracy=0.93, cell=cell, entropy=0.5)
  result = GroundTruthResult(searches=(search,))
  text = ground_truth_page.draw(result, tmp_path)
  assert "What was derived" in text
  assert html.escape(cell) in text.replace("<wbr>", "") and "2 of 6" in text
  assert "learns from images" in text
  empty = ground_truth_page.draw(GroundTruthResult(), tmp_path)
  assert "What was derived" not in empty
