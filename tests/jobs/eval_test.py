"""The job `eval`: images are shown to a model as it was trained on them."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fbnax.jobs.eval import job
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.shell import run_job
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.models.building import build
from fbnax.spaces import ResNet
from fbnax.training import model_files
from fbnax.training.recipes import Settings

ROOT = pathlib.Path(__file__).parents[2]
NAMES = ("a", "b")


def config(file="eval", *preset, **changes):
  path = ROOT / "configs" / f"{file}.py"
  spec = importlib.util.spec_from_file_location("config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  found = module.get_config(*preset)
  found.update_from_flattened_dict(changes)
  return found


def save_model(path, bits):
  network = ResNet((1,), (4,), 4, resolution=8, input_channels=1)
  module = build(network, len(NAMES))
  shapes = jax.eval_shape(
    lambda k: module.init(k, jnp.zeros((1, 8, 8, 1)), train=False),
    jax.random.key(0),
  )
  variables = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  settings = Settings(1, 1, 8, (0.0,), (1.0,))
  model_files.save(path, network, variables, settings, NAMES, bits=bits)


@pytest.fixture
def images(tmp_path):
  """Images of 16 bits with values to 1,000, one of "b" and no test of it."""
  for name, count in (("a", 9), ("b", 1)):
    (tmp_path / "images" / name).mkdir(parents=True)
    for i in range(count):
      values = np.full((8, 8), 1000 - i, np.uint16)
      Image.fromarray(values).save(tmp_path / "images" / name / f"{i}.png")
  return {"data.name": "folder", "data.path": str(tmp_path / "images")}


@pytest.mark.parametrize(
  ("bits", "value", "range_"), [(12, 62, "4,095"), (None, 249, "1,023")]
)
def test_sixteen_bits_have_the_models_range(
  tmp_path, images, monkeypatch, capsys, bits, value, range_
):
  save_model(tmp_path / "model", bits)
  seen = []
  place = job.loop.place

  def seen_and_placed(split):
    seen.append(split)
    return place(split)

  monkeypatch.setattr(job.loop, "place", seen_and_placed)
  run_job(
    config(**images, model=str(tmp_path / "model")), str(tmp_path / "run")
  )
  (split,) = seen
  assert abs(int(split.images.max()) - value) <= 1
  said = capsys.readouterr().out
  assert f"16-bit images: 0 to {range_} become 0 to 255" in said
  assert "no test image of 1 of 2 classes: b" in said
  result = json.loads((tmp_path / "run" / "result.json").read_text())
  assert result["images"] == len(split)


def test_a_tree_of_a_finished_model_sees_them_as_the_model_does(
  tmp_path, images
):
  settings = configs.typed(config("nbdt", "digits", **images))
  assert tree_settings.dataset(settings).bits == 10
  save_model(tmp_path / "model", 12)
  model = str(tmp_path / "model")
  assert tree_settings.dataset(settings, model).bits == 12
