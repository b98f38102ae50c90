"""A search's trials as a study of Optuna, as Optuna itself reads it."""

import dataclasses
import json
import math

import pytest

from fbnax.base import extras
from fbnax.bridges import optuna_study, write_study
from fbnax.search.trials import Trial, open_store

DECISIONS = [
  {"name": "stage1.kernel", "values": [3, 5]},
  {"name": "activation", "values": ["relu", "hswish"], "categorical": True},
  {"name": "shape", "values": [[1, 2], [3, 4], None]},
]
TRIALS = (
  Trial(0, 1, (0, 1, 0), 90.0, 5.0, None, (0.25, None, 0.5), 0.5, 1.2, 3, 2.0),
  Trial(1, 1, (1, 0, 2), 210.0, 7.0, 0.6, (0.75,), 0.75, 0.9, 1, seed=2**40),
  Trial(2, 2, (1, 1, 1), 150.0, 6.0, status="failed", error="out of memory"),
  # An accuracy that is no number.
  Trial(3, 2, (0, 0, 1), 100.0, 6.0, curve=(None,), epochs=1),
)


@pytest.fixture
def run(tmp_path):
  """The directory of a finished run with those trials."""
  folder = tmp_path / "my run"
  folder.mkdir()
  result = {
    "job": "nars",
    "config": {"space": "small"},
    "dataset": {"num_classes": 2, "channels": 1},
    "space": {"decisions": DECISIONS},
    "trials": [],
    "members": [
      {"budget": {"macs": [0, limit], "params": None}} for limit in (100, 200)
    ],
  }
  (folder / "result.json").write_text(json.dumps(result))
  with open_store(folder / "trials.sqlite") as store:
    store.record(TRIALS)
  return folder


def test_optuna_reads_the_trials(run):
  optuna = pytest.importorskip("optuna", reason="needs: fbnax[optuna]")
  path = write_study(run)
  assert path == run / "optuna.sqlite"
  write_study(run)  # In place of the first.
  study = optuna.load_study(study_name="my run", storage=f"sqlite:///{path}")
  assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
  assert study.metric_names == ["accuracy", "macs"]
  assert study.user_attrs["budgets"] == {"macs": 200.0}
  first, second, failed, no_number = study.trials
  assert first.params == {
    "stage1.kernel": 3,
    "activation": "hswish",
    "shape": "[1, 2]",
  }
  assert second.params["shape"] is None and second.values == [0.75, 210.0]
  steps = first.intermediate_values
  assert steps[1] == 0.25 and math.isnan(steps[2]) and steps[3] == 0.5
  # 200 MACs are the largest budget: the first is within it, the second not.
  assert first.constraints == {"macs": -110.0}
  assert second.constraints == {"macs": 10.0}
  assert second.user_attrs["seed"] == 2**40
  assert [t.state.name for t in (first, failed, no_number)] == [
    *("COMPLETE", "FAIL", "FAIL")
  ]
  assert failed.user_attrs["error"] == "out of memory"
  assert [t.number for t in study.best_trials] == [0]


def test_runs_that_cannot_be_read(run, tmp_path):
  pytest.importorskip("optuna", reason="needs: fbnax[optuna]")
  (tmp_path / "empty").mkdir()
  with pytest.raises(ValueError, match=r"no finished run: no .*result\.json"):
    write_study(tmp_path / "empty")
  with open_store(run / "trials.sqlite") as store:
    store.record([dataclasses.replace(TRIALS[0], id=9, genotype=(0, 2, 0))])
  with pytest.raises(ValueError, match=r"trial 9: genotype is \[0, 2, 0\]; le"):
    write_study(run)
  assert not (run / optuna_study.FILE).exists()
  (run / "trials.sqlite").unlink()
  with pytest.raises(ValueError, match=r"no trials\.sqlite; there is: result"):
    write_study(run)


def test_a_missing_extra_is_told():
  with pytest.raises(ValueError, match=r"this needs .* nosuch: pip install 'f"):
    extras.load("nosuch.module", "serve", "this")
  assert extras.load("json.decoder", "none", "this").JSONDecoder
