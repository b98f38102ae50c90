"""Turns encoded images of any kind into u8[h, w, C] arrays, and resizes them.

What becomes what: 1-bit and greyscale images are grey; 16-bit grey loses its
low byte; CMYK and palette images become RGB; transparent pixels are shown on
white (unless four channels are asked for); of an animation the first frame is
taken; a JPEG's EXIF orientation is applied. Grey images become RGB by
repetition where three channels are asked for, and colour becomes grey by
Pillow's ITU-R 601-2 luma.

Symbols: `h`, `w` an image's own height and width, `C` channels, `R` resolution.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_EXIF_ORIENTATION = 0x0112
_TURNED_BY_90_DEGREES = (5, 6, 7, 8)


def probe(path: Path) -> tuple[int, int, bool]:
  """Height, width (pixels, as decoded) and greyness, from the header alone.

  Raises:
    ValueError: if `path` is no image that Pillow reads.
  """
  from PIL import Image

  try:
    with Image.open(path) as image:
      width, height = image.size
      if _orientation(image) in _TURNED_BY_90_DEGREES:
        width, height = height, width
      return height, width, is_grey(image)
  except Exception as error:  # Pillow's decoders raise a dozen kinds.
    raise ValueError(
      f"{path}: is no image that can be read: {error}"
    ) from error


def decode(encoded: Path | bytes, channels: int, name: str) -> np.ndarray:
  """Decodes one image.

  Args:
    encoded: a file, or the content of one.
    channels: C: 1, 3 or 4.
    name: what to call the image in an error message.

  Returns:
    u8[h, w, C].

  Raises:
    ValueError: if it cannot be decoded (no image, truncated).
  """
  from PIL import Image, ImageOps

  file: Any = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
  try:
    with Image.open(file) as image:
      turned = _orientation(image) != 1
      flat = _flatten(image, keep_alpha=channels == 4)
      if turned:
        flat = ImageOps.exif_transpose(flat)
  except Exception as error:  # Pillow's decoders raise a dozen kinds.
    raise ValueError(f"{name}: cannot be decoded: {error}") from error
  array = np.asarray(flat.convert(_MODES[channels]), np.uint8)
  return array.reshape(*array.shape[:2], channels)


def resize(
  image: np.ndarray,
  size: tuple[int, int],
  box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
  """Resizes an image with an antialiased bilinear filter.

  Args:
    image: u8[h, w, C].
    size: (height, width) in pixels of the result.
    box: (top, left, bottom, right) in pixels of the part to take; None for all.

  Returns:
    u8[*size, C].
  """
  if image.shape[:2] == size and box is None:
    return image
  if box is not None:
    box = (box[1], box[0], box[3], box[2])
  if image.shape[-1] == 3:
    return _resize(image, size, box)
  # Channel by channel: Pillow has no two-channel image, and would weigh the
  # colours of a four-channel one by its last.
  planes = [_resize(image[..., c], size, box) for c in range(image.shape[-1])]
  return np.stack(planes, axis=-1)


def _resize(
  image: np.ndarray,
  size: tuple[int, int],
  box: tuple[float, float, float, float] | None,
) -> np.ndarray:
  """Of what Pillow has a mode for; `box` in its order."""
  from PIL import Image

  whole = Image.fromarray(np.ascontiguousarray(image))
  bilinear = Image.Resampling.BILINEAR
  return np.asarray(whole.resize((size[1], size[0]), bilinear, box=box))


def _orientation(image: Any) -> int:
  # Other formats would decode the whole image to find their EXIF block.
  if image.format != "JPEG":
    return 1
  return image.getexif().get(_EXIF_ORIENTATION, 1)


def is_grey(image: Any) -> bool:
  """Whether a Pillow image has no colours."""
  return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _flatten(image: Any, keep_alpha: bool) -> Any:
  """An 8-bit image of mode L, RGB or (with `keep_alpha`) RGBA."""
  from PIL import Image

  if image.mode.startswith("I") or image.mode == "F":
    return _to_8_bits(image)
  if not image.has_transparency_data:
    return image.convert("L" if is_grey(image) else "RGB")
  colours = image.convert("RGBA")
  if not keep_alpha:
    white = Image.new("RGBA", colours.size, "white")
    white.alpha_composite(colours)
    colours = white.convert("L" if is_grey(image) else "RGB")
  return colours


def _to_8_bits(image: Any) -> Any:
  """Keeps the high byte of a 16-bit grey image, of whatever storage."""
  from PIL import Image

  values = np.asarray(image)
  if values.min() < 0 or values.max() > 65535:
    raise ValueError(
      f"mode {image.mode} with values {values.min()} to {values.max()}; legal:"
      " 0 to 65535"
    )
  return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))
