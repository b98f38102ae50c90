"""What counts as a difference between two runs, and what is measured."""

import pytest

from fbnax.jobs import JOBS
from tests.freeze import __main__ as program
from tests.freeze import comparing, jobs


def test_times_are_left_out_wherever_they_stand():
  value = {"times": {"a": 1}, "rows": [{"seconds": 2.0, "loss": 0.5}]}
  assert comparing.without_times(value) == {"rows": [{"loss": 0.5}]}
  value = {"latency": {"p50": 1.0}, "size": 3}
  assert comparing.without_times(value) == value
  assert comparing.without_times(value, ("latency",)) == {"size": 3}


@pytest.mark.parametrize(
  "base, now, told",
  [
    ({"a": [1, {"b": 0.1}]}, {"a": [1, {"b": 0.1}]}, []),
    (
      {"a": [1, {"b": 0.1}]},
      {"a": [1, {"b": 0.10000000000000002}]},
      ["a[1].b: 0.1, 0.10000000000000002"],
    ),
    ({"a": 1, "b": 2}, {"b": 2, "c": 3}, ["a: 1, 'absent'", "c: 'absent', 3"]),
    ({"a": [1, 2]}, {"a": [1]}, ["a: 2 items, 1 items"]),
    ({"a": 1}, {"a": 1.0}, ["a: 1, 1.0"]),
    ({"a": True}, {"a": 1}, ["a: True, 1"]),
    ({"a": float("nan")}, {"a": float("nan")}, []),
    ({"a": None}, {"a": {}}, ["a: None, {}"]),
    (None, {"a": 1}, [": None, {'a': 1}"]),
  ],
)
def test_differences_are_told_by_their_key(base, now, told):
  assert list(comparing.differences(base, now)) == told


def test_structure_is_of_keys_and_kinds():
  base = {"ms": 1.5, "parts": [{"ms": 2, "name": "stem"}], "table": None}
  now = {"ms": 7, "parts": [{"ms": 0.1, "name": "head"}], "table": None}
  assert comparing.structure(base) == comparing.structure(now)
  assert comparing.structure(base) != comparing.structure(now | {"ms": True})
  assert comparing.structure(base) != comparing.structure(now | {"parts": []})


@pytest.mark.parametrize(
  "words, other",
  [
    ("data 0.8 s, training", "data 12 s, training"),
    ("<td>1 min 20 s</td>", "<td>59 s</td>"),
    ("2 h 05 min, 3.1 s of it", "1,000.5 s, 1 min 01 s of it"),
    (
      'a<svg id="chart-times" class="x"><path d="M 1"/>\n</svg>b',
      'a<svg id="chart-times" class="x"></svg>b',
    ),
  ],
)
def test_durations_of_a_page_are_no_difference(words, other):
  assert list(comparing.page_differences(words, other)) == []


@pytest.mark.parametrize(
  "words, other",
  [
    ("accuracy 0.8", "accuracy 0.9"),
    ("stage 3 sum", "stage 4 sum"),
    ("layer1.2 s", "layer1.3 s"),
    ("a\nb", "a"),
    ("one", "one more"),
    ('<svg id="chart-theta">1</svg>', '<svg id="chart-theta">2</svg>'),
  ],
)
def test_what_else_a_page_says_is_one(words, other):
  assert list(comparing.page_differences(words, other))


def test_headings_and_names():
  page = '<section id="times" a="b"><h2 id="t">x</h2><p id="p"></p></section>'
  assert comparing.headings(page) == ["times", "t"]
  base = {"ops": ["a", "b"], "data": ["load"]}
  assert comparing.vanished(base, {"ops": ["b", "c"]}) == ["ops.a", "data.load"]
  assert comparing.vanished(base, {**base, "base": ["flat"]}) == []


def test_every_job_runs_after_what_it_reads():
  assert {run.job for run in jobs.RUNS.values()} == set(JOBS)
  names = jobs.chosen([])
  assert set(names) == set(jobs.RUNS)
  for name in names:
    after = jobs.RUNS[name].after
    assert not after or names.index(after) < names.index(name)
  assert jobs.chosen(["eval"]) == ["train", "eval"]
  assert jobs.chosen(["nbdt"]) == ["nbdt", "train", "nbdt_model"]
  with pytest.raises(ValueError, match="--jobs has 'evel'; legal: autobuild"):
    jobs.chosen(["evel"])


def test_verdicts_on_two_runs():
  run = jobs.RUNS["train"]
  left = program.Left(0, "", 1.0, {"loss": 0.5, "seconds": 2}, "took 2 s")
  slower = left._replace(result={"loss": 0.5, "seconds": 3}, page="took 3 s")
  assert program.compare(run, left, slower) == ([], [])
  other = left._replace(result={"loss": 0.6}, page="took 2 h")
  results, pages = program.compare(run, left, other)
  assert results == ["loss: 0.5, 0.6"] and len(pages) == 1
  neither = left._replace(page=None)
  assert program.compare(run, neither, neither) == ([], None)
  assert program.compare(run, left, neither)[1]
  for failed in (left._replace(code=2), left._replace(result=None)):
    assert "now: exit code" in program.compare(run, left, failed)[0][0]
  measured = jobs.RUNS["profile"]
  other = left._replace(result={"loss": 7, "seconds": 1}, page="<p>1 ms</p>")
  assert program.compare(measured, left, other) == ([], [])
  assert program.compare(measured, left, left._replace(result={}))[0]
