"""What the charts compute before they draw."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from fbnax.report import accuracy_chart, chart, labels, markup, training_charts
from fbnax.report.schema import Result, Times, TrialRow


def test_front_is_what_no_trial_beats():
  rng = np.random.default_rng(3)
  trials = [
    TrialRow(id=i, macs=float(m), accuracy=float(a))
    for i, (m, a) in enumerate(rng.integers(1, 30, (80, 2)) / [1, 30])
  ]

  def beaten(t):
    return any(
      o.macs <= t.macs
      and o.accuracy >= t.accuracy
      and (o.macs < t.macs or o.accuracy > t.accuracy)
      for o in trials
    )

  expected = {(t.macs, t.accuracy) for t in trials if not beaten(t)}
  found = accuracy_chart.front(trials)
  assert [(t.macs, t.accuracy) for t in found] == sorted(expected)


def test_floor_leaves_out_what_did_not_learn():
  values = [0.1, 0.11, *np.linspace(0.95, 0.99, 30)]
  assert 0.8 < chart.floor(values) < 0.95
  assert chart.floor([0.5, 0.6, 0.7]) == 0.5
  assert chart.floor([]) == 0.0


@pytest.mark.parametrize(("right", "images"), [(350, 360), (0, 7), (7, 7)])
def test_interval_is_wilsons(right, images):
  expected = scipy.stats.binomtest(right, images).proportion_ci(method="wilson")
  found = markup.interval(right / images, images)
  np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
  ("value", "words"),
  [
    (312345, "0.312 M"),
    (45678, "45.7 k"),
    (356598280, "357 M"),
    (2129656384, "2.13 G"),
    (12, "12.0"),
    (0, "0"),
    (None, "–"),
  ],
)
def test_counts_are_read_at_a_glance(value, words):
  assert markup.count(value) == words


@pytest.mark.parametrize(
  ("seconds", "words"),
  [
    (0.44, "0.4 s"),
    (9.96, "10 s"),
    (59.7, "1 min 00 s"),
    (80, "1 min 20 s"),
    (7500, "2 h 05 min"),
    (None, "–"),
  ],
)
def test_durations_are_said_as_one_says_them(seconds, words):
  assert markup.duration(seconds) == words


@pytest.mark.parametrize(
  ("value", "words"),
  [(7e-6, "7×10⁻⁶"), (1e-4, "1×10⁻⁴"), (0.026, "0.026"), (True, "yes")],
)
def test_recipe_values_are_plain(value, words):
  assert markup.plain(value) == words


def test_names_do_not_cover_each_other():
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  with chart.style("test"):
    figure = chart.new(8, 5)
    axes = figure.add_subplot()
    x, y = [1, 1.02, 1.04, 1.5, 3], [0.90, 0.901, 0.902, 0.95, 0.9]
    axes.set(xlim=(0, 4), ylim=(0.8, 1.0))
    axes.scatter(x, y)
    labels.place(axes, x, y, [f"network-{i} 9{i}.0%" for i in range(5)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [t.get_window_extent(renderer) for t in axes.texts]
  assert len(boxes) == 5
  for i, box in enumerate(boxes):
    assert not any(box.overlaps(other) for other in boxes[:i])


def test_charts_leave_matplotlib_as_it_was():
  import matplotlib

  before = dict(matplotlib.rcParams)
  with chart.style("test"):
    figure = chart.new(2, 2)
    figure.add_subplot().plot([1, 2])
    text = chart.svg(figure, "test", "a & b")
  assert dict(matplotlib.rcParams) == before
  assert text.startswith('<svg id="test" ')
  assert 'aria-label="a &amp; b"' in text


def test_importing_the_report_does_not_import_matplotlib():
  code = "import sys, fbnax.report; sys.exit('matplotlib' in sys.modules)"
  subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_compiling_is_part_of_a_phase():
  phases = {"data": 1.0, "search": 60.0}
  plain = training_charts.times(Result(times=Times(phases)))
  assert "compiling" not in plain
  # More than the phase took, of clocks that differ, is all of it.
  compiling = {"data": 1.5, "search": 20.0, "unknown": 5.0}
  drawn = training_charts.times(Result(times=Times(phases, 61.0, compiling)))
  assert "of it tracing and compiling programs" in drawn
  assert "21 s of it compiling" in drawn
  assert Times(phases, 61.0, compiling).compiled == 26.5
  assert Times(phases, 61.0).compiled is None
  assert markup.time_spent(61.0, 21.0) == "1 min 01 s, 21 s of it compiling"
  assert markup.time_spent(61.0, None) == "1 min 01 s"
