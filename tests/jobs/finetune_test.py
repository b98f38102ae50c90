"""Job `train` from weights of another program."""

import json
import pathlib
import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest

from fbnax import models, spaces
from fbnax.models import weights
from fbnax.training import model_files
from tests.models import torch_saves

ROOT = pathlib.Path(__file__).parents[2]


def run(workdir, *more):
  return subprocess.run(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={ROOT}/configs/finetune.py",
      f"--workdir={workdir}",
      *more,
    ],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture
def pretrained(tmp_path):
  """A network for 3 channels and 7 classes, as timm would have left it."""
  space = spaces.get("small")
  network = space.architecture(np.zeros(len(space.decisions), int))
  text = json.loads(network.to_json())
  text["stem"]["bias"], text["input_channels"] = False, 3
  (tmp_path / "tiny.json").write_text(json.dumps(text))
  network = spaces.Architecture.from_json(json.dumps(text))
  module = models.Network(network, 7)
  variables = jax.jit(
    lambda k: models.initialize(
      module, k, np.zeros((1, 8, 8, 3), np.float32), train=False
    )
  )(jax.random.key(0))
  models.save_weights(tmp_path / "w.safetensors", network, variables)
  (tmp_path / "other.pth").write_bytes(pickle.dumps({"weight": 1}))
  (tmp_path / "acting.pth").write_bytes(pickle.dumps(print))
  arrays = weights.state_dict(network, variables)
  checkpoint = {"epoch": 3, "state_dict": torch_saves.state(arrays)}
  (tmp_path / "w.pth").write_bytes(torch_saves.save(checkpoint))
  return tmp_path, variables


def test_it_trains_on_from_them(pretrained):
  folder, variables = pretrained
  flags = (
    f"--config.architecture={folder}/tiny.json",
    f"--config.weights={folder}/w.pth",
    "--config.resolution=8",
    "--config.training.epochs=1",
    "--config.recipe.learning_rate=1e-9",
    "--config.recipe.ema=False",
    "--config.data.max_images=200",
  )
  done = run(folder / "run", *flags)
  assert done.returncode == 0, done.stderr[-2000:]
  saved = model_files.load(folder / "run" / "members" / "tiny")
  assert saved.module.num_classes == 10
  found = saved.variables["params"]
  # With next to no learning rate the weights are still those of the file.
  wanted = variables["params"]
  assert np.allclose(
    found["stem"]["conv"]["kernel"],
    wanted["stem"]["conv"]["kernel"].sum(2, keepdims=True),
    atol=1e-5,
  )
  assert np.allclose(
    found["head"]["expand"]["conv"]["kernel"],
    wanted["head"]["expand"]["conv"]["kernel"],
    atol=1e-5,
  )
  # Gray images take the mean over ImageNet's channels.
  assert np.allclose(saved.card["preprocessing"]["mean"], [0.449])


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((), "config.weights is empty"),
    (("--config.weights=nowhere",), "nowhere: no such file"),
    (
      ("--config.weights={}/other.pth",),
      "other.pth is a pickle, but torch.save",
    ),
    (
      ("--config.weights={}/acting.pth",),
      "acting.pth: builtins.print stands in",
    ),
    (("--config.weights=hf:timm/a",), "legal: hf:OWNER/NAME@REVISION"),
    (
      ("--config.weights={}/w.safetensors", "--config.architecture=fbnet_96"),
      "is of another network",
    ),
    (
      ("--config.weights={}/w.safetensors", "--config.std=(0.1, -1.0)"),
      "config.std is",
    ),
  ],
)
def test_bad_input_is_told(pretrained, flags, message):
  folder, _ = pretrained
  more = [flag.format(folder) for flag in flags]
  if not any("architecture" in flag for flag in more):
    more.append(f"--config.architecture={folder}/tiny.json")
  done = run(folder / "run", *more)
  assert done.returncode == 2, done.stderr[-2000:]
  assert message in done.stderr
