"""Job `dnas`: from digits to a trained network, stopped and gone on with."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.jobs.dnas import compare as dnas_compare
from fbnax.jobs.dnas import job as dnas
from fbnax.jobs.dnas import search as dnas_search
from fbnax.jobs.dnas.result import StepMemory, Trained
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.networks import read_recipe
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.runtime.workdir import open_workdir

ROOT = pathlib.Path(__file__).parents[2]
SPACE = f"{ROOT}/tests/jobs/dnas_parts.py:space"
CHANGES = {
  "data.max_images": 200,
  "space": SPACE,
  "fix": "",
  "search.target": 30e3,
  "search.tolerance": 0.2,
  "search.epochs": 2,
  "search.frozen_epochs": 0,
  "search.batch_size": 16,
  "search.samples": 3,
  "search.checkpoint_steps": 3,
  "training.epochs": 2,
  "training.batch_size": 32,
  "compare.networks": 1,
  "memory_options": (),
}


def config(file="dmasking", preset=None, **changes):
  """A config of that file at a tiny size."""
  path = ROOT / "configs" / f"{file}.py"
  spec = importlib.util.spec_from_file_location(file, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  found = module.get_config(*([preset] if preset else []))
  found.update_from_flattened_dict(CHANGES | changes)
  return found


class Stopped(Exception):
  """Somebody pulled the plug."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A work directory that was stopped in the search, and before training."""
  folder = tmp_path_factory.mktemp("dnas") / "run"
  given = config()
  with pytest.MonkeyPatch.context() as patch:
    on_epoch = dnas_search.dnas.search

    def stop(*arguments, **keywords):
      keywords["on_epoch"] = _raise
      return on_epoch(*arguments, **keywords)

    patch.setattr(dnas_search.dnas, "search", stop)
    with pytest.raises(Stopped):
      run_job(given, folder)
  assert not (folder / dnas_search.END).exists()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(dnas_compare, "train_network", _raise)
    with pytest.raises(Stopped):
      run_job(given, folder)
  searched = (folder / dnas_search.END).read_bytes()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(dnas_search, "_search", _raise)
    run_job(given, folder)
  assert (folder / dnas_search.END).read_bytes() == searched
  return folder


def _raise(*_, **__):
  raise Stopped


@pytest.fixture(scope="module")
def result(run):
  """What it left."""
  return json.loads((run / "result.json").read_text())


def test_all_epochs_are_told_once(run, result):
  assert [row["epoch"] for row in result["rows"]] == [1, 2]
  lines = [
    json.loads(line)
    for line in (run / "metrics.jsonl").read_text().splitlines()
  ]
  # Though the first start was stopped where it was to write the first.
  steps = [line["step"] for line in lines if line["run"] == "search"]
  assert steps == [1, 2]


def test_the_derived_network_costs_what_was_asked_for(run, result):
  space = spaces.from_json((run / "architecture.json").read_text())
  counted = costs.count(space, 10)
  derived = result["derived"]
  assert derived["cost"] == counted.macs
  assert 24e3 <= counted.macs <= 36e3
  assert result["candidates"][0]["genotype"] == derived["genotype"]
  assert result["verdicts"][0].startswith("Target met")


def test_a_random_network_of_the_same_cost_is_trained_alike(result):
  ours, other = result["members"]
  assert (ours["name"], other["name"]) == ("derived", "random-1")
  assert ours["genotype"] != other["genotype"]
  assert abs(other["cost"] / ours["cost"] - 1) <= 0.2
  assert ours["recipe"] == other["recipe"]
  assert ours["epochs"] == other["epochs"] == 2
  found = result["comparison"]
  assert found["derived"] == ours["test_accuracy"]
  assert found["random_mean"] == other["test_accuracy"]


def test_the_report_is_written(run):
  text = (run / "report.html").read_text()
  for anchor in ("finding", "network", "compared", "course", "theta", "made"):
    assert f'id="{anchor}"' in text


def test_means_over_seeds():
  members = [
    Trained(network=name, test_accuracy=accuracy)
    for name, accuracies in {
      "derived": (0.9, 0.92),
      "random-1": (0.8, 0.9),
      "random-2": (0.91, 0.91),
    }.items()
    for accuracy in accuracies
  ]
  compared = dnas_compare.compare(members)
  assert compared.derived == pytest.approx(0.91)
  assert compared.random == pytest.approx([0.85, 0.91])
  assert compared.random_mean == pytest.approx(0.88)
  assert compared.random_best == pytest.approx(0.91)
  alone = dnas_compare.compare(members[:2])
  assert alone.random_mean is None and alone.random_best is None


@pytest.mark.parametrize("file", ["dmasking", "fbnet"])
@pytest.mark.parametrize("preset", ["digits", "cifar10_cpu", "cifar10"])
def test_presets_can_be_searched(file, preset):
  """Their space is there, and their target is one of its costs."""
  given = config(file, preset, **_own(file, preset))
  given.data.name = "digits"
  task = dnas_search.task(configs.typed(given))
  assert task.problem.weight_steps > task.problem.theta_steps > 0
  if given.search.target:
    low, high = task.range
    assert 2 * low < given.search.target < high  # The half can be met too.


def _own(file, preset):
  """The preset's own values, in place of the tiny ones."""
  spec = importlib.util.spec_from_file_location(
    file, ROOT / "configs" / f"{file}.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  found = module.get_config(preset)
  return {"space": found.space, "fix": found.fix} | {
    f"search.{key}": found.search[key]
    for key in ("target", "epochs", "frozen_epochs", "batch_size")
  }


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"search.target": 1e9}, "search.target is 1e+09 MACs; space 'two_layers'"),
    ({"search.target": 0.0}, "search.target is 0.0; legal: a cost above 0"),
    ({"search.cost": "latency"}, "search.table is not"),
    ({"search.derivation": "best"}, "legal: argmax, sample"),
    ({"search.classes": 11}, "search.classes is 11; legal: 2 to 10"),
    ({"search.relaxation": "none"}, "search.relaxation is 'none'"),
    (
      {"search.tolerance": 0.0},
      "config.search.tolerance is 0.0; legal: above 0, below 1",
    ),
    (
      {"compare.networks": -1},
      "config.compare.networks is -1; legal: at least 0, at most 256",
    ),
    (
      {"compare.seeds": 0},
      "config.compare.seeds is 0; legal: at least 1, at most 1000",
    ),
  ],
)
def test_bad_input_is_refused_before_training(changes, message):
  given = config(**changes)
  with pytest.raises(ValueError) as error:
    dnas_search.task(configs.typed(given))
  assert message in str(error.value)


def test_memory_is_measured_once(monkeypatch, tmp_path):
  """Both forms for each number of options; a restart reads what was kept."""
  asked = []

  def step_bytes(form, options):
    asked.append((form, options))
    return dnas.memory.Bytes(options, 1000 * options, 10)

  monkeypatch.setattr(dnas.memory, "step_bytes", step_bytes)
  with open_workdir(tmp_path, {}) as work:
    rows = dnas.measure_memory((1, 4), work)
    assert dnas.measure_memory((1, 4), work) == rows
  assert asked == [("masks", 1), ("masks", 4), ("blocks", 1), ("blocks", 4)]
  assert rows[1] == StepMemory("masks", 4, 4000, 10)
  with pytest.raises(ValueError, match=r"config.memory_options: options is 3;"):
    dnas.check_memory((1, 3))


def test_a_recipe_space_keeps_its_architectures():
  given = config(space="small", fix="resolution=8")
  settings = configs.typed(given)
  space = dnas_search.space(settings, 1, read_recipe(settings))
  assert not any(space.is_recipe(d) for d in space.decisions)
  genotype = np.zeros(len(space.decisions), int)
  assert space.architecture(genotype).input_channels == 1


def test_the_command_line_tells_what_is_feasible(tmp_path):
  done = subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/dmasking.py",
      f"--workdir={tmp_path}",
      f"--config.space={SPACE}",
      "--config.fix=",
      "--config.search.target=1e9",
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2, done.stderr[-2000:]
  assert "has networks from" in done.stderr
  assert "Traceback" not in done.stderr
