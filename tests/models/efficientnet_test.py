"""EfficientNet-Lite0 against the program that it was trained with."""

import os
import pathlib

import jax
import numpy as np
import pytest

from fbnax import models
from fbnax.models import folded, safetensors, weight_names
from fbnax.spaces import zoo
from tests.models.folded_test import filled

NAME = "timm_tf_efficientnet_lite0"


def shared(*parts):
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder.joinpath(*parts)
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return path


def test_logits_are_those_of_the_other_program():
  weights = shared("data", "efficientnet_lite0_imagenet.safetensors")
  golden = np.load(shared("golden", "efficientnet_lite0.npz"))
  variables = models.load_weights(weights, NAME)
  network = zoo.get(NAME)
  module = models.Network(network, 1000)
  steps = folded.fold(network, variables)
  for form, sides in (
    (lambda x: module.apply(variables, x, train=False), (96, 128, 224)),
    (lambda x: folded.run(steps, x), (96, 128)),
  ):
    for side in sides:
      images = (golden[f"images_{side}"].astype(np.float32) - 127) / 128
      logits = jax.jit(form)(images)
      np.testing.assert_allclose(logits, golden[f"logits_{side}"], atol=1e-4)


def test_names_of_the_layout():
  found = weight_names.modules(zoo.get(NAME), "lukemelas")
  assert len(found) == 99
  assert found["stem", "conv"] == "_conv_stem"
  assert found["stage1_block0", "depthwise", "norm"] == "_blocks.0._bn1"
  assert found["stage2_block0", "expand", "conv"] == "_blocks.1._expand_conv"
  assert found["stage7_block0", "project", "norm"] == "_blocks.15._bn2"
  assert found["head", "expand", "norm"] == "_bn1"
  squeezed = weight_names.modules(zoo.get("timm_efficientnet_b0"), "lukemelas")
  at = ("stage1_block0", "squeeze_excite", "excite")
  assert squeezed[at] == "_blocks.0._se_expand"


@pytest.mark.parametrize("layout", ("lukemelas", "timm"))
def test_weights_there_and_back(layout, tmp_path):
  network = zoo.get(NAME)
  _, variables = filled(network)
  path = tmp_path / "weights.safetensors"
  models.save_weights(path, network, variables, layout)
  assert ("_fc.weight" in safetensors.read(path)) == (layout == "lukemelas")
  again = models.load_weights(path, NAME)
  assert jax.tree.all(jax.tree.map(np.array_equal, again, variables))


def test_timms_names():
  """Facts of timm's state dicts."""
  found = weight_names.modules(zoo.get("timm_mobilenetv3_large_100"), "timm")
  assert found["stage1_block0", "depthwise", "conv"] == "blocks.0.0.conv_dw"
  assert found["stage1_block0", "project", "conv"] == "blocks.0.0.conv_pw"
  assert found["stage3_block0", "expand", "conv"] == "blocks.1.1.conv_pw"
  assert found["stage9_block2", "project", "conv"] == "blocks.5.2.conv_pwl"
  assert found["head", "expand", "conv"] == "blocks.6.0.conv"
  assert found["head", "project"] == "conv_head"
  found = weight_names.modules(zoo.get(NAME), "timm")
  assert found["head", "expand", "norm"] == "bn2"
  assert found["stage7_block0", "expand", "norm"] == "blocks.6.0.bn1"
