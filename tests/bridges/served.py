"""A model to serve: a tiny network for colours, with a tree of decisions."""

import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fbnax import nbdt
from fbnax.models.building import build
from fbnax.spaces import ResNet
from fbnax.training import model_files
from fbnax.training.recipes import Settings

NAMES = ("re<d>", "green", "blue")


def save_model(path):
  """Its logits are 4 for the class of a pure colour, else 0."""
  network = ResNet((1,), (4,), 4, resolution=8)
  module = build(network, 3)
  shapes = jax.eval_shape(
    lambda k: module.init(k, jnp.zeros((1, 8, 8, 3)), train=False),
    jax.random.key(0),
  )
  variables = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  middle = np.zeros((3, 3, 3, 4), np.float32)
  middle[1, 1] = np.eye(3, 4)
  variables["params"]["stem"]["conv"]["kernel"] = middle
  variables["params"]["stem"]["norm"]["scale"] += 1
  variables["params"]["classifier"]["kernel"] = 4 * np.eye(4, 3, dtype="f4")
  variables["batch_stats"]["stem"]["norm"]["var"] += 1
  model_files.save(
    path, network, variables, Settings(1, 1, 8, (0.0,) * 3, (1.0,) * 3), NAMES
  )
  # Red, or one of green and blue.
  nbdt.Hierarchy.from_children([[0, 4], [1, 2]]).save(path / "hierarchy.json")
  return path


def picture(color=(0, 255, 0), size=(8, 8), kind="PNG"):
  """The content of an image's file."""
  content = io.BytesIO()
  Image.new("RGB", size, color).save(content, kind)
  return content.getvalue()
