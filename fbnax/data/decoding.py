"""Turns encoded images of any kind into u8[h, w, C] arrays, and resizes them.

What becomes what: 1-bit and greyscale images are grey; of more than 8 bits the
highest of the significant ones are kept; CMYK and palette images become RGB;
transparent pixels are shown on white (unless four channels are asked for); of
an animation the first frame is taken; the orientation that EXIF (or XMP) states
is applied, whatever the container. Grey images become RGB by repetition where
three channels are asked for, and colour becomes grey by Pillow's ITU-R 601-2
luma.

Symbols: `h`, `w` an image's own height and width, `C` channels, `R` resolution.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fbnax.base.names import escaped

# Without this list Pillow asks all its readers, of which some start a program
# with the file. (An MPO, as cameras write it, is a JPEG of several pictures.)
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MOST_PIXELS = 178_956_970  # What Pillow refuses by itself, if it is not told.
DEEPEST = 16  # Bits of a channel.

_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_EXIF_ORIENTATION = 0x0112
_TURNED_BY_90_DEGREES = (5, 6, 7, 8)
_PNG, _PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # Signature; the depth's place.
_TIFF = (b"II", b"MM")
_DEEP_COLOURS = ("RGB;16B", "RGBA;16B", "LA;16B")  # Pillow's raw modes.
_TAIL = 2**17  # Bytes in which a PNG's EXIF is sought after its pixels.
_TEXTS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


@contextmanager
def opened(encoded: Path | bytes) -> Iterator[Any]:
  """A Pillow image of which nothing but the header is read.

  Every image that the project reads is opened here.

  Args:
    encoded: a file, or the content of one.

  Raises:
    ValueError: if it has more than `MOST_PIXELS`.
    Exception: whatever Pillow's readers raise; `_reason` puts it into words.
  """
  from PIL import Image

  # By its path Pillow would map a TIFF into memory, where it is turned wrongly.
  file = (
    io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded.open("rb")
  )
  with file, Image.open(file, formats=FORMATS) as image:
    if image.width * image.height > MOST_PIXELS:
      raise ValueError(
        f"{image.width:,} x {image.height:,} pixels; legal: at most"
        f" {MOST_PIXELS:,} in all"
      )
    yield image


def probe(encoded: Path | bytes, name: str = "") -> tuple[int, int, bool]:
  """Height, width (pixels, as decoded) and greyness, from the header alone.

  (A PNG whose EXIF stands after its pixels is decoded for it.)

  Args:
    encoded: a file, or the content of one.
    name: what to call the image in an error message; "" for its path.

  Raises:
    ValueError: if it is no image that is read here.
  """
  problem = "is no image that can be read"
  with _naming(name or str(encoded), problem), opened(encoded) as image:
    width, height = image.size
    if _turn(image) in _TURNED_BY_90_DEGREES:
      width, height = height, width
    return height, width, is_grey(image)


def decode(
  encoded: Path | bytes, channels: int, name: str, bits: int = DEEPEST
) -> np.ndarray:
  """Decodes one image.

  Args:
    encoded: a file, or the content of one.
    channels: C: 1, 3 or 4.
    name: what to call the image in an error message.
    bits: of an image of more than 8 bits the significant ones, 8 to 16: values
      of 0 to 2**bits - 1 become 0 to 255, larger ones 255.

  Returns:
    u8[h, w, C].

  Raises:
    ValueError: if it cannot be decoded (no image, truncated).
  """
  with _naming(name, "cannot be decoded"), opened(encoded) as image:
    flat = _flatten(image, encoded, bits, keep_alpha=channels == 4)
    turn = _turn(image)  # By now nothing has to be sought in the file.
  if turn != 1:
    flat = flat.transpose(_turns()[turn])
  array = np.asarray(flat.convert(_MODES[channels]), np.uint8)
  return array.reshape(*array.shape[:2], channels)


def may_be_deep(path: Path) -> bool:
  """Whether an image may have more than 8 bits a channel, by its first bytes.

  For sets of many images: it costs a tenth of what Pillow's header does.
  """
  with path.open("rb", buffering=0) as file:
    head = file.read(_PNG_DEPTH + 1)
  if head.startswith(_PNG):
    return head[_PNG_DEPTH:] == bytes([DEEPEST])
  return head.startswith(_TIFF)


def largest_value(encoded: Path | bytes, name: str = "") -> int | None:
  """The largest value of an image of more than 8 bits, as it is stored.

  Opacity does not count.

  Args:
    encoded: a file, or the content of one.
    name: what to call the image in an error message; "" for its path.

  Returns:
    0 to 65535; None for an image of 8 bits, which is not decoded.

  Raises:
    ValueError: if it cannot be decoded.
  """
  named = _naming(name or str(encoded), "cannot be decoded")
  with named, opened(encoded) as image:
    if not is_deep(image):
      return None
    return int(np.ceil(_deep_values(image, encoded)[..., :3].max()))


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


def orientation(image: Any) -> int:
  """EXIF's orientation of a Pillow image; of a TIFF, before it is decoded.

  Returns:
    1 to 8; 1, which is upright, where nothing legal is stated.
  """
  from PIL import Image

  is_png = image.format == "PNG"
  if is_png and image.tile and _states_it_after_the_pixels(image):
    image.load()
  try:
    # Not PNG's own method, which decodes each image that has no EXIF.
    stated = Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)
    return int(stated) if stated in range(1, 9) else 1
  except Exception:  # A damaged block: the pixels are there all the same.
    return 1


def frames(image: Any) -> int:
  """How many pictures a Pillow image has; 1 if the others are damaged."""
  try:
    return getattr(image, "n_frames", 1)
  except Exception:  # Pillow's decoders raise a dozen kinds.
    return 1


def is_grey(image: Any) -> bool:
  """Whether a Pillow image has no colours."""
  return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def is_deep(image: Any) -> bool:
  """Whether a Pillow image, not yet read, has more than 8 bits a channel."""
  if image.mode.startswith("I") or image.mode == "F":
    return True
  return image.format == "PNG" and _raw_mode(image) in _DEEP_COLOURS


def _turn(image: Any) -> int:
  """The orientation that is left to be undone: Pillow turns TIFFs by itself."""
  return 1 if image.format == "TIFF" else orientation(image)


def _turns() -> dict[int, Any]:
  """How an image of an orientation is made upright."""
  from PIL import Image

  turn = Image.Transpose
  return {
    2: turn.FLIP_LEFT_RIGHT,
    3: turn.ROTATE_180,
    4: turn.FLIP_TOP_BOTTOM,
    5: turn.TRANSPOSE,
    6: turn.ROTATE_270,
    7: turn.TRANSVERSE,
    8: turn.ROTATE_90,
  }


def _states_it_after_the_pixels(image: Any) -> bool:
  """Whether a PNG, not yet read, has EXIF or texts that are read last."""
  if "exif" in image.info:
    return False
  place = image.fp.tell()
  size = image.fp.seek(0, os.SEEK_END)
  image.fp.seek(max(0, size - _TAIL))
  tail = image.fp.read()
  image.fp.seek(place)
  tail = tail[tail.find(b"IDAT") + 4 :]
  return any(kind in tail for kind in _TEXTS)


def _raw_mode(image: Any) -> str:
  """How a PNG stores its pixels, in Pillow's words."""
  return str(image.tile[0].args) if image.tile else ""


def _flatten(
  image: Any, encoded: Path | bytes, bits: int, keep_alpha: bool
) -> Any:
  """An 8-bit image of mode L, RGB or (with `keep_alpha`) RGBA."""
  from PIL import Image

  if is_deep(image) and (is_grey(image) or bits < DEEPEST):
    image = _to_8_bits(_deep_values(image, encoded), bits)
  if not image.has_transparency_data:
    return image.convert("L" if is_grey(image) else "RGB")
  colours = image.convert("RGBA")
  if not keep_alpha:
    white = Image.new("RGBA", colours.size, "white")
    white.alpha_composite(colours)
    colours = white.convert("L" if is_grey(image) else "RGB")
  return colours


def _deep_values(image: Any, encoded: Path | bytes) -> np.ndarray:
  """What an image of more than 8 bits stores: [h, w, 1, 3 or 4], 0 to 65535."""
  if not is_grey(image):
    return _deep_colours(image, encoded)
  values = np.asarray(image)
  low, high = values.min(), values.max()
  # Written so that NaN, which no comparison holds for, is refused too.
  if not (low >= 0 and high <= 65535):
    raise ValueError(
      f"mode {image.mode} with values {low} to {high}; legal: 0 to 65535"
    )
  if image.mode == "F" and 0 < high <= 1:
    raise ValueError(
      f"mode F with values {low} to {high}, which would be black; legal: 0 to"
      " 65535"
    )
  return values[..., None]


def _deep_colours(image: Any, encoded: Path | bytes) -> np.ndarray:
  """The colours of a PNG of 16 bits, of which Pillow reads the high bytes.

  Read as if the bytes were swapped, what it takes for the high ones are the
  low ones. (It knows no such way for grey with opacity.)
  """
  raw = _raw_mode(image)
  high = np.asarray(image).astype(np.uint16) << 8
  if raw == "LA;16B":
    return high
  with opened(encoded) as again:
    swapped = raw.replace("16B", "16L")
    again.tile = [tile._replace(args=swapped) for tile in again.tile]
    return high | np.asarray(again)


def _to_8_bits(values: np.ndarray, bits: int) -> Any:
  """The highest of the significant bits, as a Pillow image; all of opacity."""
  from PIL import Image

  values = values.astype(np.uint16)
  flat = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
  flat[..., 3:] = values[..., 3:] >> 8
  return Image.fromarray(flat[..., 0] if flat.shape[-1] == 1 else flat)


@contextmanager
def _naming(name: str, problem: str) -> Iterator[None]:
  """Whatever Pillow raises, as a ValueError that names the image."""
  try:
    yield
  except Exception as error:  # Its decoders raise a dozen kinds.
    raise ValueError(f"{escaped(name)}: {problem}{_reason(error)}") from error


def _reason(error: Exception) -> str:
  """The end of a message, of one line: why an image is not read."""
  from PIL import Image, UnidentifiedImageError

  if isinstance(error, UnidentifiedImageError):
    return f"; legal: {', '.join(FORMATS)}"
  if isinstance(
    error, Image.DecompressionBombError | Image.DecompressionBombWarning
  ):
    return f": too many pixels; legal: at most {MOST_PIXELS:,}"
  if isinstance(error, OSError) and error.strerror:
    return f": {error.strerror}"
  return f": {escaped(str(error)) or type(error).__name__}"
