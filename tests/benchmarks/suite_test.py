"""The benchmarks' command: reports, kills, failures, and the README's table."""

import argparse
import importlib
import json
import sys

import numpy as np
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import measuring, suite, tables

# A benchmark of no length, in whose place it stands.
PROGRAM = """
import sys
from tests.benchmarks import measuring

def run(given):
  print("text of its own")
  yield measuring.Row("a | b", 2.0, "s", 1.5, 2.5, "them", 4.0, main=True)
  if "fails" in sys.argv[0]:
    raise AssertionError("a wrong result")
  yield measuring.Row("rate", 3e6, "images/s", peer="them", peer_value=1e6)

measuring.main(run, "A title.\\n\\nMore.")
"""
CHEAP = ("cost_labels", "soft_rank", "tree")  # Seconds of processor time each.


@pytest.fixture
def fakes(tmp_path, monkeypatch):
  """Two benchmarks: `good` ends, `fails` does not."""
  for name in ("good", "fails"):
    (tmp_path / f"{name}.py").write_text(PROGRAM, "utf-8")
  fakes = [suite.Benchmark("fails", 1.0), suite.Benchmark("good", 1.0)]
  monkeypatch.setattr(suite, "BENCHMARKS", tuple(fakes))

  def line(benchmark, folder, data, quick):
    path = folder / f"{benchmark.name}.json"
    own = tmp_path / f"{benchmark.name}.py"
    code = f"import runpy; runpy.run_path({str(own)!r}, run_name='__main__')"
    code = f"import sys; sys.argv[0] = {str(own)!r}; {code}"
    return [sys.executable, "-c", code, f"--json={path}", *["--quick"] * quick]

  monkeypatch.setattr(suite, "command", line)
  return fakes


def test_a_failure_ends_no_other_and_what_is_done_is_kept(
  fakes, tmp_path, capsys
):
  out = tmp_path / "out"
  code = command.main([f"--out={out}", "--quick"])
  told = capsys.readouterr().out
  assert code == 1
  assert "fails: 1 of 2, about 1 min 0 s left" in told
  assert "text of its own" in told
  assert "exit code 1: AssertionError: a wrong result" in told
  assert "a wrong result" in (out / "fails.log").read_text("utf-8")
  assert not (out / "fails.json").exists()
  found = json.loads((out / suite.ALL).read_text("utf-8"))
  assert list(found["failed"]) == ["fails"]
  [report] = found["benchmarks"].values()
  assert report["title"] == "A title" and report["quick"]
  assert [row["ratio"] for row in report["rows"]] == [0.5, 1 / 3]
  assert report["machine"]["cores"] >= 1 and "jax" in str(report["machine"])
  # The same command goes on: the good one is there, also after a damaged file.
  before = (out / "good.json").read_text("utf-8")
  (out / suite.ALL).write_text("{", "utf-8")
  assert command.main([f"--out={out}", "--quick", "--only", "good"]) == 0
  assert "good: is there" in capsys.readouterr().out
  assert (out / "good.json").read_text("utf-8") == before
  # Results of the smallest sizes are nobody's results.
  assert suite.finished(out / "good.json", quick=False) is None
  with pytest.raises(SystemExit):
    command.main([f"--out={out}", "--publish=here"])
  assert "--quick" in capsys.readouterr().err


def test_the_readme_is_the_output(tmp_path, monkeypatch, capsys):
  rows = [
    measuring.Row("a | b", 2e-3, "s", 1e-3, 3e-3, "them", 1e-3, "x", True),
    measuring.Row("not in it", 1.0),
    measuring.Row("rate", 1.5e6, "images/s", 1e6, 2e6, main=True),
  ]
  machine = {"device": "CPU, X", "cores": 2, "versions": {"python": "3.11"}}
  report = {"title": "T", "load": [0.1, 0.25], "machine": machine}
  report["rows"] = [measuring.as_dict(row) for row in rows]
  found = {
    "quick": False,
    "benchmarks": {"one": report},
    "failed": {"two": "why"},
    "left_out": {},
  }
  readme = tmp_path / "README.md"
  readme.write_text(f"before\n{tables.BEGIN}old\n{tables.END}after\n", "utf-8")
  monkeypatch.setattr(tables, "README", readme)
  monkeypatch.setattr(tables, "MEASURED", tmp_path / "measured")
  (tmp_path / suite.ALL).write_text(json.dumps(found), "utf-8")
  assert command.main([f"--out={tmp_path}", "--publish=cpu"]) == 0
  printed = capsys.readouterr().out
  assert printed in readme.read_text("utf-8")
  assert printed.splitlines() == [
    "CPU, X, 2 cores, load 0.1 to 0.2; python 3.11.",
    "",
    "| what | benchmark | median (middle half of the runs) | peer | ratio | |",
    "|---|---|---|---|---|---|",
    "| a \\| b | `one` | 2 ms (1 ms to 3 ms) | them: 1 ms | 2 | x |",
    "| rate | `one` | 1.5 M images/s (1 M to 2 M) |  |  |  |",
    "",
    "Failed: two.",
  ]
  text = readme.read_text("utf-8")
  assert text.startswith("before\n") and text.endswith("after\n")
  assert "old" not in text
  assert tables.in_readme(text, command.published()) == text
  with pytest.raises(ValueError, match="legal is one"):
    tables.in_readme("no marks", [])
  other = json.loads(json.dumps(report))
  other["machine"]["cores"] = 4
  found["benchmarks"]["other"] = other
  with pytest.raises(ValueError, match="results of 2 machines"):
    tables.markdown(found)


def test_the_projects_readme_is_the_published_output():
  text = tables.README.read_text("utf-8")
  machines = command.published()
  assert tables.in_readme(text, machines)  # The marks are there.
  if not machines:
    pytest.skip("nothing is published in tests/benchmarks/measured")
  assert tables.in_readme(text, machines) == text


def test_every_benchmark_has_its_line():
  # Peers of others, and what all share, are none themselves.
  modules = {
    path.stem
    for path in tables.MEASURED.parent.glob("*.py")
    if " measuring.main(run, __doc__" in path.read_text("utf-8")
    and not path.stem.endswith("_test")
  }
  assert modules == set(suite.names())


def test_what_is_missing_is_told(tmp_path):
  with pytest.raises(ValueError, match=r"no nothing\.npz in no data"):
    needy = suite.Benchmark("x", 1.0, files=("nothing.npz",))
    suite.command(needy, tmp_path, [], False)
  with pytest.raises(ValueError, match="no_such_package is not installed"):
    needy = suite.Benchmark("x", 1.0, packages=("no_such_package",))
    suite.command(needy, tmp_path, [], False)
  (tmp_path / "deep").mkdir()
  (tmp_path / "deep" / "a.npz").touch()
  with pytest.raises(ValueError, match="no quick form"):
    suite.command(suite.Benchmark("x", 1.0, quick=False), tmp_path, [], True)
  able = suite.Benchmark("x", 1.0, files=("a.npz",), workdir=True)
  line = suite.command(able, tmp_path, [tmp_path], True)
  assert line[1:] == [
    "-m",
    "tests.benchmarks.x",
    str(tmp_path / "deep" / "a.npz"),
    str(tmp_path / "x_quick"),
    "--quick",
    f"--json={tmp_path / 'x.json'}",
  ]


def test_timing():
  calls = []

  def function(index):
    calls.append(index)
    return np.ones(2)

  seen = []
  timing, result = measuring.timed(function, 4, seen.append)
  assert calls == [0, 1, 2, 3, 4] and len(seen) == 5
  assert len(timing.wall) == len(timing.cpu) == 4
  assert result is seen[-1]
  timing = measuring.Timing(9.0, (4.0, 1.0, 2.0, 3.0, 5.0), (1.0,) * 5)
  assert timing.median == 3.0 and timing.quartiles == (2.0, 4.0)
  row = measuring.rate("x", timing, 12.0, "images/s", peer="y", peer_value=2.0)
  assert (row.value, row.lower, row.upper, row.ratio) == (4.0, 3.0, 6.0, 0.5)
  assert measuring.seconds("x", timing).details["first_call_s"] == 9.0


@pytest.mark.parametrize(
  ("value", "unit", "wanted"),
  [
    (0.0171, "s", "17.1 ms"),
    (2.5, "s", "2.5 s"),
    (130.0, "s", "130 s"),
    (3e-5, "s", "30 µs"),
    (1.55e6, "images/s", "1.55 M images/s"),
    (123_456.0, "images/s", "123 k images/s"),
    (99_000.0, "images/s", "99,000 images/s"),
    (73.689, "MB", "73.7 MB"),
    (0.5, "", "0.5"),
    (0.0, "%", "0 %"),
  ],
)
def test_amounts(value, unit, wanted):
  assert measuring.amount(value, unit) == wanted


@pytest.mark.parametrize("name", CHEAP)
def test_cheap_benchmarks_work(name):
  module = importlib.import_module(f"tests.benchmarks.{name}")
  rows = list(module.run(argparse.Namespace(quick=True)))
  assert rows
  assert any(row.ratio for row in rows)
  for row in rows:
    assert row.value > 0 and row.unit and measuring.line(row)
    if row.lower is not None:
      assert row.lower <= row.value <= row.upper


@pytest.mark.slow
def test_all_benchmarks_work(tmp_path):
  # Half an hour; what needs files or packages that are not here is left out.
  data = [measuring.SHARED] if measuring.SHARED.exists() else []
  found = suite.run(suite.BENCHMARKS, tmp_path, data=data, quick=True)
  assert not found["failed"], found["failed"]
  assert set(found["benchmarks"]) | set(found["left_out"]) == set(suite.names())
