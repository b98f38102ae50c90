"""The int8 form of an ONNX file, by onnxruntime's own quantizer.

Weights and activations pass through pairs of QuantizeLinear and
DequantizeLinear (QDQ), a scale for each channel of a weight and one for each
map, chosen on the images that calibrate the TensorFlow Lite file.

Symbols: `N` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fbnax.base import files

_INPUT = "images"


class _Images:
  """The images as onnxruntime asks for them."""

  def __init__(self, images: np.ndarray) -> None:
    self._images: Iterator[np.ndarray] = iter(images)

  def get_next(self) -> dict[str, np.ndarray] | None:
    image = next(self._images, None)
    return None if image is None else {_INPUT: image[None]}


def quantize(model: bytes, images: np.ndarray) -> bytes:
  """The int8 file.

  Args:
    model: of `onnx_files.convert`.
    images: for calibration, as the model takes them, `[N, H, W, C]`.

  Raises:
    ValueError: there is no image.
  """
  from onnxruntime import quantization

  if not len(images):
    raise ValueError(
      "there are no calibration images; legal: at least 1, of those that the"
      " network was trained on"
    )
  with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
    files.write_atomically(source, model)
    quantization.quantize_static(
      str(source),
      str(target),
      _Images(images),
      quant_format=quantization.QuantFormat.QDQ,
      per_channel=True,
      weight_type=quantization.QuantType.QInt8,
      activation_type=quantization.QuantType.QInt8,
    )
    return target.read_bytes()
