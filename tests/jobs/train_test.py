"""Jobs `train` and `eval`: one network, saved, read again, measured again."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fbnax import data, spaces
from fbnax.training import model_files

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = (
  "--config.resolution=8",
  "--config.training.epochs=8",
  "--config.training.checkpoint_every=4",
)


def _run(config, workdir, *more):
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/{config}.py",
      f"--workdir={workdir}",
      *more,
    ],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A work directory in which a tiny network was trained."""
  folder = tmp_path_factory.mktemp("train")
  space = spaces.get("small")
  smallest = space.architecture(np.zeros(len(space.decisions), int))
  (folder / "tiny.json").write_text(smallest.to_json())
  done = _run(
    "train",
    folder / "run",
    f"--config.architecture={folder}/tiny.json",
    *FLAGS,
  )
  assert done.returncode == 0, done.stderr[-2000:]
  return folder / "run"


def _entry(workdir):
  return json.loads((workdir / "result.json").read_text())["members"][0]


def test_it_learns_and_is_reported(trained):
  entry = _entry(trained)
  assert entry["test_accuracy"] > 0.5  # Chance is 0.1.
  assert len(entry["history"]) == 8
  assert (trained / "report.html").exists()
  scores, shown = entry["scores"], entry["mistakes"]
  assert scores["balanced_accuracy"] > 0.5 < scores["area_under_curve"]
  assert scores["calibration_images"] > 300 and scores["threshold"] is None
  wrong = np.asarray(scores["confusion"])
  wrong = int(wrong.sum() - np.trace(wrong))
  assert len(shown) == min(wrong, 12)
  assert all(m["label"] != m["predicted"] for m in shown)
  lines = (trained / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))


def test_eval_measures_the_same(trained, tmp_path):
  done = _run(
    "eval", tmp_path / "eval", f"--config.model={trained}/members/tiny"
  )
  assert done.returncode == 0, done.stderr[-2000:]
  measured = json.loads((tmp_path / "eval" / "result.json").read_text())
  assert measured["accuracy"] == pytest.approx(_entry(trained)["test_accuracy"])
  assert measured["images"] == len(data.load("digits").test)
  scores = _entry(trained)["scores"]
  assert measured["scores"]["temperature"] == scores["temperature"]
  assert measured["scores"]["confusion"] == scores["confusion"]
  assert (tmp_path / "eval" / "report.html").exists()


def test_saved_weights_give_the_measured_accuracy(trained):
  """By hand: normalise, apply, compare with the labels."""
  saved = model_files.load(trained / "members" / "tiny")
  test = data.load("digits").test
  settings = saved.settings()
  images = (test.images / 255.0 - settings.mean) / settings.std
  logits = saved.module.apply(
    saved.variables, images.astype(np.float32), train=False
  )
  accuracy = (np.argmax(logits, -1) == test.labels).mean()
  assert accuracy == pytest.approx(_entry(trained)["test_accuracy"], abs=1e-6)


def test_damaged_weights_are_made_again(trained, tmp_path):
  """From the training's checkpoints, of which the newest is damaged, too."""
  run = shutil.copytree(trained, tmp_path / "run")
  wanted = _entry(run)
  architecture = f"--config.architecture={trained.parent}/tiny.json"
  flags = [architecture, *FLAGS]
  (run / "result.json").unlink()
  card = run / "members" / "tiny" / "model.json"
  for file in (run / "members" / "tiny" / "weights").rglob("index.json"):
    file.write_text("{}")
  (run / "checkpoints" / "tiny" / "00000008" / "index.json").write_text("{}")
  done = _run("train", run, *flags)
  assert done.returncode == 0, done.stderr[-2000:]
  assert "made again from the training's checkpoints" in done.stderr
  found = _entry(run)
  for entry in (found, wanted):
    del entry["seconds"]
  assert found == wanted
  lines = (run / "metrics.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))
  # An accuracy that was altered by hand is measured again.
  (run / "result.json").unlink()
  content = json.loads(card.read_text())
  content["entry"]["test_accuracy"] = 1.0
  card.write_text(json.dumps(content))
  done = _run("train", run, *flags)
  assert done.returncode == 0, done.stderr[-2000:]
  assert "model.json: entry is not as it was written" in done.stderr
  assert _entry(run)["test_accuracy"] == wanted["test_accuracy"]


def test_eval_refuses_other_data(trained, tmp_path):
  rng = np.random.default_rng(0)
  np.savez(
    tmp_path / "colour.npz",
    train_x=rng.integers(0, 256, (40, 8, 8, 3), np.uint8),
    train_y=np.arange(40) % 4,
  )
  done = _run(
    "eval",
    tmp_path / "eval",
    f"--config.model={trained}/members/tiny",
    "--config.data.name=npz",
    f"--config.data.path={tmp_path}/colour.npz",
  )
  assert done.returncode == 2
  assert "10 classes and 1 channels" in done.stderr


@pytest.mark.parametrize(
  ("flag", "message"),
  [
    ("--config.architecture=fbnetv3_q", "fbnetv3_"),
    ("--config.architecture=nowhere.json", "no such file"),
    ("--config.architecture=fbnetv3_a", "resolution is 32: stage5.block0"),
    ("--config.recipe.optimizer=adam", "adamw"),
    ("--config.training.schedule=linear", "cosine"),
    ("--config.teacher=nowhere", "nowhere"),
  ],
)
def test_bad_input_names_what_is_legal(tmp_path, flag, message):
  done = _run("train", tmp_path / "run", flag)
  assert done.returncode == 2, done.stderr[-2000:]
  assert message in done.stderr
  assert "Traceback" not in done.stderr
