"""The main job from end to end, at the smallest size, and killed on the way."""

import ast
import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import space_keys
from fbnax.costs.table import Context
from fbnax.jobs.nars import job as nars
from fbnax.jobs.runtime import configs, families, inputs
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.budgets import paid
from fbnax.search.trials import open_store
from tests.configs_test import load
from tests.jobs import zero_cost_scores_test
from tests.report import slider_test

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
  "--config.search.pool=512",
  "--config.search.rounds=2",
  "--config.search.candidates=4",
  "--config.search.epochs=2",
  "--config.search.predictors=2",
  "--config.training.epochs=2",
  "--config.training.checkpoint_every=1",
  "--config.training.warmup_epochs=0.0",
  "--config.data.max_images=300",
  "--config.budgets.macs=(150e3, 200e3)",
  "--config.fix=resolution=8;stem.channels=8;stage1.channels=8;"
  "stage1.depth=1;stage2.depth=1;stage3.depth=1;stage4.depth=1;"
  "stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;stage4.kernel=3",
)


def _command(workdir, *more):
  return [
    sys.executable,
    "-m",
    "fbnax.main",
    f"--config={ROOT}/configs/nars.py",
    f"--workdir={workdir}",
    *SMALL,
    *more,
  ]


def _run(workdir, *more):
  return subprocess.run(
    _command(workdir, *more), capture_output=True, text=True, check=False
  )


def _without_times(value):
  if isinstance(value, dict):
    return {
      k: _without_times(v)
      for k, v in value.items()
      if k not in ("seconds", "times")
    }
  if isinstance(value, list):
    return [_without_times(v) for v in value]
  return value


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A work directory of a run that was not disturbed."""
  workdir = tmp_path_factory.mktemp("nars") / "undisturbed"
  done = _run(workdir)
  assert done.returncode == 0, done.stderr[-2000:]
  return workdir


def test_members_meet_their_budgets_and_counts(finished):
  result = _result(finished)
  space = spaces.get("small")
  assert [m["name"] for m in result["members"]] == ["small-150k", "small-200k"]
  for member, budget in zip(result["members"], (150e3, 200e3), strict=True):
    assert 0.9 * budget <= member["macs"] <= budget
    architecture = spaces.Architecture.from_json(
      json.dumps(member["architecture"])
    )
    assert architecture.input_channels == 1
    counted = costs.count(architecture, 10)
    assert (member["macs"], member["params"]) == counted
    assert len(member["history"]) == 2
    assert np.isfinite(member["test_log_loss"])
  assert space.size > 10**8


def test_every_trial_is_recorded(finished):
  result = _result(finished)
  assert [t["id"] for t in result["trials"]] == list(range(8))
  assert [t["round"] for t in result["trials"]] == [1] * 4 + [2] * 4
  assert all(135e3 <= t["macs"] <= 200e3 for t in result["trials"])
  # What was chosen in round 2 had been predicted, and was new.
  assert all(t["predicted"] is not None for t in result["trials"][4:])
  assert len({tuple(t["genotype"]) for t in result["trials"]}) == 8
  with open_store(finished / "trials.sqlite") as store:
    assert len(store.all()) == 8


def test_the_largest_member_teaches(finished):
  small, large = _result(finished)["members"]
  assert large["teacher"] is None
  assert small["teacher"] == large["name"]


def test_splits_do_not_overlap(finished):
  data = _result(finished)["dataset"]
  assert data["train"] + data["validation"] == 300
  assert data["test"] == 300


def test_the_report_is_there(finished):
  text = (finished / "report.html").read_text()
  assert "small-200k" in text
  assert "<svg" in text


def test_started_again_all_is_done(finished):
  before = (finished / "result.json").stat().st_mtime_ns
  start = time.monotonic()
  done = _run(finished)
  assert done.returncode == 0
  assert "all is done" in done.stdout
  assert (finished / "result.json").stat().st_mtime_ns == before
  # Nothing of the search is even loaded; generous for a loaded machine.
  assert time.monotonic() - start < 60


def test_a_report_that_was_not_drawn_yet_is_drawn_then(finished):
  """A kill may come between the result and the report."""
  report = finished / "report.html"
  before = report.read_bytes()
  report.unlink()
  done = _run(finished)
  assert done.returncode == 0, done.stderr[-2000:]
  assert f"report: {report}\n" in done.stdout
  assert report.read_bytes() == before


def test_another_config_is_refused(finished):
  done = _run(finished, "--config.seed=1")
  assert done.returncode == 2
  assert "seed: there 0, now 1" in done.stderr


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("search.population", 0, "search.population is 0; legal: at least 1"),
    ("ray.attempts", 0, "config.ray.attempts is 0; legal: at least 1"),
    ("ray.workers", -1, "config.ray.workers is -1; legal: at least 0"),
    ("budgets.scaled_stochastic_depth", 2.0, "is 2.0; legal: at least 0, bel"),
  ],
)
def test_what_is_told_before_the_search(key, value, message):
  config = load("nars.py").get_config()
  configs.typed(config)
  config.update_from_flattened_dict({key: value})
  with pytest.raises(ValueError, match=message):
    configs.typed(config)


def _limits(path):
  """A table for the space of the run, and limits that half of it meets."""
  config = load("nars.py").get_config()
  config.fix = next(f for f in SMALL if "fix" in f).partition("fix=")[2]
  space = inputs.space(config, 1)
  random = np.random.default_rng(0)
  entries = {
    key: Entry(float(random.uniform(0.1, 0.2)))
    for key in sorted(space_keys(space))
  }
  table = costs.LatencyTable(entries)
  table.save(path)
  further = ("latency", "memory")
  found = paid(space, space.sobol(512), Context(10, table), further)
  near = np.asarray((found.macs > 160e3) & (found.macs < 180e3))
  return (
    table,
    round(float(np.median(found.latency[near])), 2),
    int(np.median(found.memory[near])),
  )


def test_new_budgets_reuse_the_predictor(finished, tmp_path):
  # Of MACs, and of what a table and activations say.
  table, ms, memory = _limits(tmp_path / "table.json")
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/evolve.py",
      f"--workdir={tmp_path}/more",
      f"--config.run={finished}",
      "--config.budgets.macs=(180e3,)",
      f"--config.budgets.latency=({ms},)",
      f"--config.budgets.memory=({memory},)",
      f"--config.budgets.table={tmp_path}/table.json",
      "--config.top=3",
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  found = _result(tmp_path / "more")["candidates"]
  assert 1 <= len(found) <= 3
  limits = f"{ms:g}ms-{families._short(memory)}e"
  names = [f"small-180k-{limits}-{i}" for i in range(1, len(found) + 1)]
  assert [c["name"] for c in found] == names
  networks = {json.dumps(c["architecture"]) for c in found}
  assert len(networks) == len(found)
  for candidate in found:
    assert 162e3 <= candidate["macs"] <= 180e3
    file = tmp_path / f"more/candidates/{candidate['name']}.architecture.json"
    architecture = spaces.Architecture.from_json(file.read_text())
    assert costs.count(architecture, 10).macs == candidate["macs"]
    assert candidate["latency"] == table.latency(architecture) <= ms
    assert candidate["memory"] == costs.peak_memory(architecture) <= memory
    assert candidate["budget"]["latency"] == [0.0, ms]
  scores = [c["predicted"] for c in found]
  assert scores == sorted(scores, reverse=True)


def test_no_larger_budget_of_the_front_has_a_worse_network(finished):
  result = _result(finished)
  front = result["front"]
  assert [line["cost"] for line in front["lines"]] == ["macs", "params"]
  assert front["epochs"] == result["early_stop"]["epoch"]
  assert front["training"]["training.epochs"] == 2
  tried = [t for t in result["trials"] if t["label"] is not None]
  for network in front["networks"]:
    architecture = spaces.Architecture.from_json(
      json.dumps(network["architecture"])
    )
    counted = costs.count(architecture, 10)
    assert (network["macs"], network["params"]) == counted
    low, high = network["accuracy_range"]
    assert 0 < low <= network["accuracy"] <= high < 1
  for line in front["lines"]:
    kind, stops = line["cost"], line["stops"]
    networks = [front["networks"][stop["network"]] for stop in stops]
    limits = [stop["limit"] for stop in stops]
    assert limits == sorted(set(limits))
    assert limits[0] >= min(t[kind] for t in tried) >= 0.99 * limits[0]
    assert all(
      n[kind] <= limit for n, limit in zip(networks, limits, strict=True)
    )
    for key in ("score", "predicted", "accuracy"):
      values = [n[key] for n in networks]
      assert values == sorted(values), key
    # None is worse than a member that costs no more.
    for member in result["members"]:
      inside = [
        n
        for n, limit in zip(networks, limits, strict=True)
        if limit >= member[kind]
      ]
      assert all(n["predicted"] >= member["predicted"] - 1e-6 for n in inside)


@pytest.mark.parametrize("kind", ["macs", "params"])
def test_the_command_of_the_slider_gives_its_network(finished, tmp_path, kind):
  page = (finished / "report.html").read_text("utf-8")
  data = slider_test.data_of(page)
  stop = data["lines"][kind]["stops"][-1]
  command = data["commands"][kind][-1].replace("\\\n", "").split("\n")[0]
  flags = shlex.split(command.replace("\x01", str(finished)))[3:]
  given = dict(f.removeprefix("--").split("=", 1) for f in flags)
  assert given.pop("config") == "configs/evolve.py"
  assert given.pop("workdir").startswith(f"{finished}-small-")
  config = load("evolve.py").get_config()
  for key, text in given.items():
    value = text if key == "config.run" else ast.literal_eval(text)
    config.update_from_flattened_dict({key.removeprefix("config."): value})
  run_job(config, tmp_path / "one")
  [candidate] = _result(tmp_path / "one")["candidates"]
  front = _result(finished)["front"]
  network = front["networks"][stop["network"]]
  for key in ("genotype", "architecture", "recipe", "macs", "predicted"):
    assert candidate[key] == network[key]
  [of_kind] = [one for one in front["lines"] if one["cost"] == kind]
  assert candidate["name"] == of_kind["stops"][-1]["name"]
  file = tmp_path / f"one/candidates/{candidate['name']}.architecture.json"
  assert json.loads(file.read_text()) == network["architecture"]


def test_what_the_front_does_not_have_is_told(finished, tmp_path):
  config = load("evolve.py").get_config()
  changes = {"run": str(finished), "front": True, "budgets.macs": (130e3,)}
  config.update_from_flattened_dict(changes)
  with pytest.raises(
    ValueError, match=r"117000 to 130,000 MACs, which none of"
  ):
    run_job(config, tmp_path / "one")
  shutil.copytree(finished, tmp_path / "older")
  result = _result(finished)
  del result["front"]
  (tmp_path / "older" / "result.json").write_text(json.dumps(result))
  config.run = str(tmp_path / "older")
  with pytest.raises(ValueError, match=r"older/result.json has no front;"):
    run_job(config, tmp_path / "other")


def test_scores_of_a_finished_run_reach_the_search(tmp_path, monkeypatch):
  of, genotypes = zero_cost_scores_test.make_run(tmp_path / "scores")
  config = load("nars.py").get_config()
  config.search.proxies = str(tmp_path / "scores")
  config.search.proxy_names = ("snip",)
  given = []

  def search(space, *_, scored):
    given.append((space, scored))
    raise KeyboardInterrupt

  monkeypatch.setattr(nars.nars, "search", search)
  for _ in range(2):
    with pytest.raises(KeyboardInterrupt):
      run_job(config.lock(), tmp_path / "work")
    # Stopped and started again it knows them, whatever became of the run.
    shutil.rmtree(tmp_path / "scores", ignore_errors=True)
  for space, scored in given:
    assert scored.scores["snip"].tolist() == list(range(len(genotypes)))
    for ours, theirs in zip(scored.genotypes, genotypes, strict=True):
      one, other = space.architecture(ours), of.architecture(theirs)
      assert one == dataclasses.replace(other, input_channels=1)
  config = load("nars.py").get_config()
  config.search.proxies = str(tmp_path / "scores")
  with pytest.raises(ValueError, match="scores holds no finished run"):
    run_job(config.lock(), tmp_path / "other")


def test_killed_and_started_again_it_ends_the_same(finished, tmp_path):
  workdir = tmp_path / "killed"
  rng = np.random.default_rng(0)
  kills = 0
  for delay in rng.uniform(4, 14, 2):
    process = subprocess.Popen(
      _command(workdir),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    try:
      process.wait(timeout=delay)
      break
    except subprocess.TimeoutExpired:
      os.kill(process.pid, signal.SIGKILL)
      process.wait()
      kills += 1
  done = _run(workdir)
  assert done.returncode == 0, done.stderr[-2000:]
  assert kills >= 1
  got, want = (_without_times(_result(w)) for w in (workdir, finished))
  for key in want:
    assert got[key] == want[key], key
  assert got == want


@pytest.mark.parametrize(
  ("flag", "message"),
  [
    ("--config.budgets.macs=(10.0,)", "Budget|budget"),
    ("--config.space=smal", "small"),
    ("--config.data.name=digit", "digits"),
    ("--config.fix=resolutoin=8", "resolution"),
    ("--config.fix=resolution=7", "8, 12, 16, 24, 32"),
    ("--config.serch.pool=100", "search"),
  ],
)
def test_bad_input_names_what_is_legal(tmp_path, flag, message):
  done = _run(tmp_path / "run", flag)
  assert done.returncode == 2
  assert any(word in done.stderr for word in message.split("|")), done.stderr
  assert "Traceback" not in done.stderr
