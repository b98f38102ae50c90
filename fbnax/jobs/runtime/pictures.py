"""Pictures of the data, small enough to stand in a result and its report."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

_LARGEST = 96  # Pixels.
_QUALITY = 85  # Of a JPEG.


def png(image: np.ndarray) -> str:
  """An image `u8[H, W, C]` as a PNG in base64."""
  return _encoded(_small(image), "PNG", optimize=True)


def address(image: np.ndarray) -> str:
  """An image `u8[H, W, C]` as an address that holds it: PNG, or JPEG if less.

  A photograph takes about a fifth as a JPEG; of a few pixels a PNG is smaller.
  """
  small = _small(image)
  formats = {
    "png": _encoded(small, "PNG", optimize=True),
    "jpeg": _encoded(small, "JPEG", quality=_QUALITY),
  }
  name = min(formats, key=lambda name: len(formats[name]))
  return f"data:image/{name};base64,{formats[name]}"


def _small(image: np.ndarray) -> Image.Image:
  if image.shape[-1] == 1:
    image = np.repeat(image, 3, -1)
  picture = Image.fromarray(np.ascontiguousarray(image[..., :3]))
  picture.thumbnail((_LARGEST, _LARGEST))
  return picture


def _encoded(picture: Image.Image, kind: str, **options: object) -> str:
  buffer = io.BytesIO()
  picture.save(buffer, kind, **options)
  return base64.b64encode(buffer.getvalue()).decode()
