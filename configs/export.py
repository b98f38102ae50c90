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

For phones and microcontrollers (extra `tflite`, and `tflm` for the
microcontroller's own interpreter):

    python -m fbnax.main --config=configs/export.py --workdir=runs/device \
      --config.model=runs/photos/members/around-14.8m --config.tflite \
      --config.int8 --config.data.name=folder --config.data.path=PHOTOS

It leaves `model.tflite` (float32, normalised images in), `model_int8.tflite`
(int8 throughout; a pixel `p` comes in as `p - 128`; the classes' names stand
inside as `labels.txt`), the same as `model_int8.cc` with `model_int8.h`, and
`example.cc`, which runs it. Scales are chosen on training images, accuracy is
measured on the test images of `data`, and the largest difference to the
microcontroller's interpreter under the same kernels is told with the arena that
it takes. No TensorFlow is needed.

Two networks of `configs/nars.py:photos` on ELPV's solar cells, 655 test images
(`tests/benchmarks/device.py` has the same for networks of all spaces):

    MACs         pixels  network  int8   file, bytes  arena, bytes
    14,123,840   64      80.8%    80.6%  1,274,576    198,240
    111,607,296  128     84.3%    84.0%  3,421,984    659,728

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
