"""Exports a trained network: StableHLO, ONNX, weights under timm's names.

    python -m fbnax.main --config=configs/export.py --workdir=runs/exported \
      --config.model=runs/digits/members/small-800k

It leaves `model.stablehlo` for any batch on cpu, cuda and tpu, which `load.py`
beside it runs with JAX and flatbuffers alone; with `--config.onnx=True` and the
extra `onnx` also `model.onnx`; `weights.safetensors`, for networks without
grouped 1x1 convolutions or padding of their own; and the model card
`model.json` with the latency measured here. BN is folded, and pixels are
normalised inside unless `--config.normalize=False`. Every program is compared
with the network before it is written. Every key, its unit and default: add
--explain to the command.

Result, by `python -m pytest tests/jobs/export_test.py` with the extras `test`,
`torch` and `onnx`: StableHLO in a fresh process without fbnax agrees within
1e-6 for batches of 1 and 7, ONNX within 1e-4.
"""

from ml_collections import config_dict

from fbnax.jobs.export.config import ExportConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """For all platforms, pixels in and logits out; without ONNX."""
  return config(ExportConfig())
