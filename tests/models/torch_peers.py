"""timm without torchvision, of which it uses nothing for these networks.

`python -m tests.models.torch_peers` writes `timm_state_dicts.json` anew: how
many arrays each network's state dict has, and a digest of names and shapes.
"""

import enum
import hashlib
import importlib.util
import json
import pathlib
import sys
import types

import pytest

RECORD = pathlib.Path(__file__).with_name("timm_state_dicts.json")
NETWORKS = ("fbnetc_100", "fbnetv3_b", "fbnetv3_d", "fbnetv3_g")


def digest(shapes):
  """Count and digest of names and shapes, whatever their order."""
  lines = [f"{n} {tuple(int(i) for i in s)}" for n, s in sorted(shapes.items())]
  text = "\n".join(lines).encode()
  return {"arrays": len(lines), "sha256": hashlib.sha256(text).hexdigest()}


# timm makes tables of these when it is imported.
_Interpolation = enum.Enum(
  "InterpolationMode",
  {
    name.upper(): name
    for name in (
      "nearest",
      "bilinear",
      "bicubic",
      "box",
      "hamming",
      "lanczos",
    )
  },
)


class _Part(types.ModuleType):
  """A module in which every name is a class that is never made."""

  __path__ = ()
  InterpolationMode = _Interpolation

  def __getattr__(self, name):
    if name.startswith("__"):
      raise AttributeError(name)
    return type(name, (), {})


def import_timm():
  """timm, or a skip that says what is missing."""
  pytest.importorskip("torch", reason="the extra `torch` is not installed")
  if importlib.util.find_spec("timm") is None:
    pytest.skip("the extra `torch` is not installed: there is no timm")
  there = "torchvision" in sys.modules
  if not there and importlib.util.find_spec("torchvision") is None:
    for name in (
      "torchvision",
      "torchvision.datasets",
      "torchvision.models",
      "torchvision.models.feature_extraction",
      "torchvision.ops",
      "torchvision.ops.misc",
      "torchvision.transforms",
      "torchvision.transforms.functional",
      "torchvision.utils",
    ):
      part = sys.modules[name] = _Part(name)
      parent, _, child = name.rpartition(".")
      if parent:
        setattr(sys.modules[parent], child, part)
  import timm

  return timm


def network(name):
  """timm's network at random, its running statistics too.

  They are random factors of and shifts from those of noise images: anything
  else lets activations grow or vanish from layer to layer. Untrained networks
  of this depth amplify rounding; under smaller factors float32 differs from
  float64 by 1e-3 in PyTorch itself.
  """
  timm = import_timm()
  import torch

  torch.manual_seed(0)
  # Without pretrained weights timm leaves fbnetc_100 PyTorch's epsilon.
  epsilon = {"bn_eps": 1e-3} if name == "fbnetc_100" else {}
  module = timm.create_model(name, **epsilon)
  norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
  for norm in norms:
    norm.momentum = 1.0
  with torch.no_grad():
    module.train()(torch.randn(8, 3, 96, 96))
    for norm in norms:
      mean, var = norm.running_mean, norm.running_var
      mean += 0.1 * var.sqrt() * torch.randn(mean.shape)
      var *= torch.empty(var.shape).uniform_(1.0, 1.5)
      norm.num_batches_tracked.zero_()
  return module.eval()


if __name__ == "__main__":
  found = {
    name: digest({k: v.shape for k, v in network(name).state_dict().items()})
    for name in NETWORKS
  }
  RECORD.write_text(json.dumps(found, indent=2) + "\n")
