"""Malformed files of runs and models: told in a line, as `fuzz_test` has it.

Cards, checkpoints, predictors and results get something wrong in them. Where a
digest covers what was changed, it is made anew, so that what is behind it is
reached. The long version, 8,500 files:

    python -m pytest -n 0 -m slow -s tests/faults/run_files_fuzz_test.py
"""

import functools
import hashlib
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.jobs.study import runs as study_runs
from fbnax.jobs.study.config import RandomStudyConfig
from fbnax.models import Network
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import graph_files
from fbnax.search.autobuild.graph_fit import FittedGraph
from fbnax.search.nars import predictor_files
from fbnax.search.nars.pretraining import predictor_module
from fbnax.search.nars.scoring import FittedPredictor
from fbnax.spaces import Architecture, Block, Head, Stem
from fbnax.training import checkpoints, model_files
from fbnax.training.recipes import Settings
from tests.faults.cases import SEED, check
from tests.faults.mutations import json_document
from tests.jobs.conftest import make_run

LIMIT = 20.0  # CPU-seconds of a case, compilation included.
SPACE = spaces.get("small").fix(
  resolution=(8, 12), **{"stage1.depth": 1, "stage2.depth": (1, 2)}
)
NETWORK = Architecture(
  resolution=8,
  stem=Stem(4),
  blocks=(Block(4, 1),),
  head=Head(8, expansion=0.0),
)
ABOUT = {"expression": "acc", "features": [["kernel", ["3", "5"]]]}


def _zeros(module, *shapes):
  arrays = [jnp.zeros(shape) for shape in shapes]
  shapes = jax.eval_shape(module.init, jax.random.key(0), *arrays)
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def _model(folder):
  module = Network(NETWORK, 3)
  settings = Settings(
    epochs=1, batch_size=2, resolution=8, mean=(0.5,) * 3, std=(0.25,) * 3
  )
  model_files.save(
    folder,
    NETWORK,
    jax.tree.map(
      lambda x: jnp.zeros(x.shape, x.dtype), model_files.variable_shapes(module)
    ),
    settings,
    ("cat", "dog", "bus"),
    recipe={"optimizer": "sgd"},
    entry={"name": "a", "test_accuracy": 0.5},
    licence="CC0",
  )


def _read_model(folder):
  saved = model_files.load(folder)
  settings = saved.settings()
  assert settings.resolution == saved.module.architecture.resolution
  assert len(settings.mean) == len(settings.std) == 3
  assert 0 < saved.card["preprocessing"].get("crop_ratio", 1.0) <= 1
  assert all(name.encode() is not None for name in saved.card["class_names"])


def _changed_json(random, path):
  path.write_bytes(json_document(random, [json.loads(path.read_text())]))


def _changed_arrays(random, path):
  """Metadata or arrays of an `.npz`, or its bytes, are not what they were."""
  with np.load(path) as file:
    arrays = {name: file[name] for name in file}
  odd = (
    np.zeros((0, 3)),
    np.full((2, 2), np.nan),
    np.asarray("x"),
    np.ones(3, bool),
    np.ones((1, 1), np.complex64),
  )
  change = random.randrange(5)
  name = random.choice(list(arrays))
  if change == 0:
    arrays[name] = random.choice(
      (*odd, arrays[name].reshape(-1)[:-1], arrays[name][None])
    )
  elif change == 1:
    del arrays[name]
  elif change == 2:
    arrays[f"params/{name}s"] = arrays[name]
  elif change == 3:
    document = json.loads(str(arrays["metadata"]))
    text = json_document(random, [document]).decode("utf-8", "replace")
    arrays["metadata"] = np.asarray(text)
  np.savez(path, **arrays)
  _damaged(random, path)


def _damaged(random, path):
  content = path.read_bytes()
  at = random.randrange(len(content))
  kind = random.randrange(6)
  if kind == 0:
    content = content[:at]
  elif kind == 1:
    content = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
  path.write_bytes(content)


def _signed(folder):
  """The digests of a checkpoint, made anew."""
  path = folder / "manifest.json"
  sums = {
    name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
    for name in json.loads(path.read_text())
  }
  path.write_text(json.dumps(sums))


TREE = {
  "a": jnp.ones((2, 3)),
  "none": jnp.zeros((0, 3)),
  "key": jax.random.key(1),
}


def _predictor(path):
  shape = (1, len(SPACE.features))
  params = _zeros(predictor_module(SPACE), shape)["params"]
  stacked = jax.tree.map(lambda x: np.stack([x, x]), params)
  predictor_files.save(
    path, FittedPredictor(stacked, jnp.float32(0.5), jnp.float32(0.1), SPACE)
  )


def _graph(path):
  module = GraphPredictor((2, 3), 1, 4, 2)
  variables = _zeros(module, (6, 2, 2), (2, 2))
  stacked = jax.tree.map(lambda x: np.stack([x, x]), variables)
  graph_files.save(
    path, FittedGraph(stacked, jnp.float32(0), jnp.float32(1), module), ABOUT
  )


class Kind:
  """A file of a kind: `begin` leaves a valid one, `change` what a case has."""

  def card(folder):
    _model(folder)
    path = folder / "model.json"
    return path, functools.partial(_changed_json, path=path), _read_model

  def index(folder):
    checkpoints.save(folder, 3, TREE, {"rows": [[1.0]], "best": 0.5})
    path = folder / "00000003" / "index.json"

    def change(random):
      _changed_json(random, path)
      _signed(path.parent)

    def read(folder):
      assert checkpoints.restore(folder, 3, TREE).step >= 0
      assert checkpoints.best_step(folder, "best") in (3, None)

    return path, change, read

  def manifest(folder):
    checkpoints.save(folder, 3, TREE)
    path = folder / "00000003" / "manifest.json"

    def read(folder):
      assert checkpoints.restore(folder, 3, TREE).step == 3

    return path, functools.partial(_changed_json, path=path), read

  def predictor(folder):
    path = folder / "predictor.npz"
    _predictor(path)

    def read(_):
      # Without one of its values a decision is that of a cut space.
      decisions = predictor_files.load(path).space.decisions
      for decision, whole in zip(decisions, SPACE.decisions, strict=True):
        assert decision.name == whole.name
        assert set(decision.values) <= set(whole.values)
      assert predictor_files.load(path, SPACE).space == SPACE

    return path, functools.partial(_changed_arrays, path=path), read

  def graph(folder):
    path = folder / "predictor0.npz"
    _graph(path)

    def read(_):
      found = graph_files.load(path, ABOUT)
      assert found.module == GraphPredictor((2, 3), 1, 4, 2)

    return path, functools.partial(_changed_arrays, path=path), read

  def result(folder):
    shutil.rmtree(folder)
    make_run(folder)
    path = folder / "result.json"

    config = RandomStudyConfig()

    def read(folder):
      run = study_runs.read(config, str(folder))
      assert run.classes >= 1 and run.members
      for trial in run.trials:
        run.space.architecture(np.asarray(trial.genotype))

    return path, functools.partial(_changed_json, path=path), read


# How many files in the default and in the long version; by what one takes.
CASES = {
  "card": (40, 2000),
  "index": (40, 1000),
  "manifest": (30, 500),
  "predictor": (60, 2000),
  "graph": (25, 1000),
  "result": (40, 2000),
}


def _check(name, cases, folder):
  """Reads so many malformed files of a kind."""
  path, change, read = getattr(Kind, name)(folder)
  kept = {file: Path(file).read_bytes() for file in folder.rglob("*.json")}
  kept[path] = path.read_bytes()

  def read_changed(random):
    for file, content in kept.items():
      file.write_bytes(content)
    change(random)
    read(folder)

  return check(lambda random: random, read_changed, cases, LIMIT)


@pytest.mark.parametrize("name", CASES)
def test_malformed_files(name, tmp_path):
  seen = _check(name, CASES[name][0], tmp_path)
  assert seen["read"] and seen["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_malformed_files(name, tmp_path):
  seen = _check(name, CASES[name][1], tmp_path)
  print(f"{name}: seed {SEED}, {dict(seen)}")
  assert sum(seen.values()) >= CASES[name][1]
