"""Exports a trained network: StableHLO, ONNX, weights under timm's names.

    python -m fbnax.main --config=configs/export.py --workdir=runs/exported
      --config.model=runs/digits/members/small-800k

Every program is compared with the network and the model card `model.json`
written. `load.py` beside `model.stablehlo` runs it with JAX alone.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.export import ExportConfig


def get_config() -> config_dict.ConfigDict:
  """For all platforms, pixels in and logits out; without ONNX."""
  return config(ExportConfig())
