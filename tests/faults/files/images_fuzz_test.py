"""Image files as cameras, phones and editors leave them: the picture, or why.

Tiny pictures of all containers and modes that Pillow writes, turned by EXIF,
with palettes, transparency, several frames, cut, flipped, wrongly named, or of
a claimed size that nothing has. A picture of a legal format that was not
damaged is read, with the pixels and the orientation of an independent
reconstruction; of another format it is read as such or refused. What was
damaged is refused in a line, or read in the size that its header says. Nothing
is ever handed to a program outside.

The command of the long version: `encodings_fuzz_test.py` beside this file.
"""

import contextlib
import io
import struct
import warnings
import zlib
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from fbnax import data
from fbnax.data import decoding
from fbnax.jobs.runtime import predicting
from tests.faults import mutations
from tests.faults.cases import SEED, check, is_told_in_a_line, share

LIMIT = 5.0  # CPU-seconds of a case.
SIDE = 8  # Pixels of what a model sees.
ORIENTATION = 0x0112
ENDINGS = (".png", ".jpg", ".JPG", ".jpeg", ".bmp", ".gif", ".webp", ".PNG")
# A format, its modes, and whether it keeps pixels as they are.
LEGAL = (
  ("BMP", ("1", "L", "P", "RGB"), True),
  ("GIF", ("1", "L", "P"), True),
  ("JPEG", ("L", "RGB", "CMYK"), False),
  ("MPO", ("L", "RGB"), False),
  ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA"), True),
  ("TIFF", ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"), True),
  ("WEBP", ("L", "RGB", "RGBA"), True),
)
OTHERS = (
  ("EPS", ("L", "RGB"), False),
  ("ICO", ("RGBA",), False),
  ("PPM", ("1", "L", "RGB"), True),
  ("PCX", ("1", "L", "P", "RGB"), True),
  ("TGA", ("L", "P", "RGB", "RGBA"), True),
  ("SGI", ("L", "RGB", "RGBA"), True),
  ("JPEG2000", ("L", "RGB"), False),
)
CARRY_EXIF = ("JPEG", "MPO", "PNG", "WEBP", "TIFF")
KEEP_FRAMES = ("GIF", "MPO", "PNG", "WEBP", "TIFF")


class External(BaseException):
  """A program outside was started."""


class Drawn(NamedTuple):
  """An image file.

  Attributes:
    content: its bytes.
    ending: of its name, whatever the format is.
    format: as Pillow calls it.
    mode: as Pillow calls it.
    pixels: `f64[h, w, 4]` RGBA of its first frame, turned as its EXIF says.
    exact: whether the format keeps them.
    turned: whether EXIF turns it.
    frames: how many it has.
    intact: whether it was left as Pillow wrote it.
  """

  content: bytes
  ending: str
  format: str
  mode: str
  pixels: Any
  exact: bool
  turned: bool
  frames: int
  intact: bool

  def __repr__(self):
    return (
      f"{self.format} {self.mode} {self.pixels.shape} {self.ending} "
      f"turned={self.turned} frames={self.frames} intact={self.intact} "
      f"{self.content!r}"
    )


def turn(pixels, orientation):
  """EXIF 2.3, tag 0x0112: what row and column 0 of the file are."""
  return {
    2: lambda x: x[:, ::-1],  # Row 0 is the top, column 0 the right.
    3: lambda x: x[::-1, ::-1],  # Bottom, right.
    4: lambda x: x[::-1],  # Bottom, left.
    5: lambda x: x.swapaxes(0, 1),  # Left, top.
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],  # Right, top.
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),  # Right, bottom.
    8: lambda x: x.swapaxes(0, 1)[::-1],  # Left, bottom.
  }.get(orientation, lambda x: x)(pixels)


def quadrants(random, mode, small):
  """A picture whose quadrants tell its orientation, and its RGBA.

  Returns:
    A Pillow image of the mode, and `f64[h, w, 4]`.
  """
  low, high = (8, 24) if small else (16, 40)
  height, width = random.randint(low, high), random.randint(low, high)
  levels = np.array([[230, 140], [70, 15]], np.float64)
  rows = np.arange(height) * 2 // height
  columns = np.arange(width) * 2 // width
  grey = levels[rows][:, columns]
  rgba = np.stack([grey, grey, grey, np.full_like(grey, 255)], -1)
  noise = np.random.default_rng(random.randrange(2**32))
  if mode in ("RGB", "RGBA", "P") and small:
    rgba[..., :3] += noise.integers(-15, 16, rgba[..., :3].shape)
  if mode in ("RGBA", "LA"):
    rgba[..., 3] = noise.choice([0, 60, 200, 255], grey.shape)
  if mode == "P":
    # A palette of few colours, in an order of its own.
    palette = noise.permutation(256)[:32, None] * np.array([1, 1, 1])
    palette = (palette + noise.integers(0, 60, (32, 3))) % 256
    distance = np.abs(rgba[:, :, None, :3] - palette).sum(-1)
    indexes = distance.argmin(-1).astype(np.uint8)
    image = Image.fromarray(indexes, "L").copy()
    image.putpalette(palette.astype(np.uint8).tobytes())
    rgba[..., :3] = palette[indexes]
    return image, rgba
  whole = rgba.round().astype(np.uint8)
  if mode == "1":
    rgba[..., :3] = np.where(grey > 100, 255, 0)[..., None]
    return Image.fromarray(grey > 100), rgba
  if mode == "CMYK":
    inks = np.zeros_like(whole)
    inks[..., 3] = 255 - whole[..., 0]
    return Image.fromarray(inks, "CMYK"), rgba
  bands = {"L": [0], "LA": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}
  return Image.fromarray(whole[..., bands[mode]].squeeze(), mode), rgba


def exif(random, broken):
  """EXIF bytes, perhaps broken ones, and the orientation that they give."""
  kind = random.randrange(0 if broken else 1, 8)
  found = Image.Exif()
  if kind == 0:
    return random.choice((b"", b"Exif\0\0", b"Exif\0\0II*\0\xff", b"\0" * 9)), 1
  if kind == 1:
    found[ORIENTATION] = random.choice((0, 9, 255, 65535))
    return found.tobytes(), 1
  if kind == 2:
    found[0x010F] = "a camera"
    return found.tobytes(), 1
  orientation = random.randint(1, 8)
  found[ORIENTATION] = orientation
  return found.tobytes(), orientation


def xmp(orientation):
  """The orientation as XMP states it."""
  return (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
  ).encode()


def exif_last(content):
  """A PNG whose EXIF stands after its pixels, as the format allows."""
  at = content.find(b"eXIf") - 4
  if at < 0:
    return content
  end = at + 12 + int.from_bytes(content[at : at + 4])
  return content[:at] + content[end:-12] + content[at:end] + content[-12:]


def draw(random):
  """An image file of any kind."""
  legal = random.random() < 0.7
  kind, modes, exact = random.choice(LEGAL if legal else OTHERS)
  mode = random.choice(modes)
  image, pixels = quadrants(random, mode, small=exact)
  options, orientation, frames = {}, 1, 1
  if kind in CARRY_EXIF and random.random() < 0.6:
    options["exif"], orientation = exif(random, kind != "TIFF")
    if kind == "WEBP" and random.random() < 0.3:
      options["xmp"] = xmp(orientation)
      del options["exif"]
  if kind == "MPO" or (kind in KEEP_FRAMES and random.random() < 0.2):
    others = [Image.new(image.mode, image.size, 0)]
    if mode == "P":
      others = [image.transpose(Image.Transpose.ROTATE_180)]
    options |= {"save_all": True, "append_images": others}
    frames = 2
  if kind == "WEBP":
    options["lossless"] = True
    options["exact"] = True
  if kind in ("JPEG", "MPO"):
    options["quality"] = 95
  if kind in ("PNG", "GIF") and mode == "P" and random.random() < 0.5:
    index = np.asarray(image)[0, 0]
    options["transparency"] = int(index)
    pixels[np.asarray(image) == index, 3] = 0
  file = io.BytesIO()
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    image.save(file, kind, **options)
  content = file.getvalue()
  # (What follows an animation is read with its last frame.)
  if (
    kind == "PNG"
    and "exif" in options
    and frames == 1
    and random.random() < 0.3
  ):
    content = exif_last(content)
  content, intact = damaged(random, content)
  turned = pixels if kind not in CARRY_EXIF else turn(pixels, orientation)
  return Drawn(
    content,
    random.choice(ENDINGS),
    kind,
    mode,
    turned,
    exact,
    orientation != 1,
    frames,
    intact,
  )


def damaged(random, content):
  """The content, as a rule whole; and whether it is."""
  kind = random.randrange(8)
  at = random.randrange(len(content))
  if kind == 0:
    return content[:at], False
  if kind == 1:
    return mutations.flipped(random, content), False
  if kind == 2:
    return content + random.choice((b"\0", b"\r\n", content[:at])), False
  return content, True


def flatten(pixels, channels):
  """RGBA as `u8[h, w, C]` on white; exact for grey and for RGB."""
  if channels == 4:
    return pixels
  alpha = pixels[..., 3:] / 255
  shown = pixels[..., :3] * alpha + 255 * (1 - alpha)
  if channels == 1:
    return shown @ np.array([[0.299], [0.587], [0.114]])
  return shown


def read_image(path, channels, drawn):
  """Reads the file as data sets do and as predictions do, and checks both."""
  legal = drawn.format in [kind for kind, *_ in LEGAL]
  try:
    with mock.patch("subprocess.Popen", side_effect=External):
      image = decoding.decode(path, channels, str(path))
      height, width, grey = decoding.probe(path)
      prepared, notes = predicting.prepared(
        path, channels, SIDE, 1.0, decoding.DEEPEST
      )
  except Exception:
    assert not (legal and drawn.intact), "a whole picture is refused"
    raise
  assert drawn.format != "EPS" or not drawn.intact
  assert image.dtype == np.uint8
  assert image.shape == (height, width, channels)
  assert prepared.dtype == np.uint8 and prepared.shape == (SIDE, SIDE, channels)
  np.testing.assert_array_equal(
    prepared, decoding.resize(image, (SIDE, SIDE)), "as a model sees it"
  )
  if not drawn.intact or drawn.format in ("ICO", "EPS"):
    return
  size = drawn.pixels.shape[:2]
  assert image.shape[:2] == size, "the size, or the orientation of it"
  wanted = flatten(drawn.pixels, channels)
  away = np.abs(image - wanted)
  if channels == 4:
    # What is wholly transparent has any colour.
    away = away[drawn.pixels[..., 3] > 0]
    assert drawn.exact or (image[..., 3] == 255).all()
  tolerance = 2 if drawn.exact else 12
  measured = away.max() if drawn.exact else away.mean()
  assert measured <= tolerance, f"pixels are {measured} away"
  # GIF and WebP keep grey as colours.
  grey_mode = drawn.mode in ("1", "L", "LA")
  assert grey == grey_mode or drawn.format in ("GIF", "WEBP")
  said = any("EXIF" in note for note in notes)
  assert said == drawn.turned, f"turned={drawn.turned}, and it says {notes}"


def claims(random):
  """A small file that claims to be a large picture."""
  width, height = random.choice(
    ((65535, 65535), (60000, 60000), (2**31 - 1, 1), (2**20, 2**20))
  )
  kind = random.choice(("PNG", "GIF", "BMP", "WEBP"))
  if kind == "PNG":
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
      struct.pack(">I", len(body))
      + name
      + body
      + struct.pack(">I", zlib.crc32(name + body))
      for name, body in (*parts, (b"IEND", b""))
    )
  if kind == "GIF":
    side = struct.pack("<HH", 65535, 65535)
    return (
      b"GIF89a" + side + b"\x80\0\0\0\0\0\xff\xff\xff"
      b"," + b"\0" * 4 + side + b"\0\x02\x02\x4c\x01\0;"
    )
  if kind == "BMP":
    width, height = min(width, 2**30), min(height, 2**30)
    return (
      b"BM"
      + struct.pack("<IHHI", 100, 0, 0, 54)
      + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
      + b"\0" * 46
    )
  side = (2**24 - 1).to_bytes(3, "little") * 2
  body = b"VP8X" + struct.pack("<I", 10) + b"\0" * 4 + side
  return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def deep(random):
  """Arrays of 16 bits of one range, `u16[4, 9, 9]`."""
  top = random.choice((255, 255, 256, 1023, 4095, 4095, 65535, 65535))
  generator = np.random.default_rng(random.randrange(2**32))
  images = generator.integers(0, top + 1, (4, 9, 9)).astype(np.uint16)
  images[0, 0, :2] = 0, top
  return images


def read_deep(folder, images):
  """A set of 16-bit images keeps the order of their values, and a contrast."""
  for index, image in enumerate(images):
    path = folder / f"c{index % 2}" / f"{index}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
  found = data.load("folder", path=folder, test_fraction=0.5)
  shown = [found.train.images, found.test.images]
  seen = np.concatenate([np.asarray(part)[..., 0] for part in shown])
  assert seen.max() > 127, f"values to {images.max()} are shown to {seen.max()}"
  # Which is which follows from the order that both have.
  for image in images:
    brightness = [_is_ordered(image, other) for other in seen]
    assert any(brightness)


def _is_ordered(values, shown):
  order = np.argsort(values, axis=None)
  return (np.diff(shown.ravel()[order].astype(int)) >= 0).all()


def _drawn_and_read(name, folder):
  """What draws files of a kind, and what reads and checks them."""
  if name == "16 bits":
    return deep, lambda images: read_deep(folder, images)

  def read_claim(content):
    path = folder / "large.png"
    path.write_bytes(content)
    # A header may be told; its pixels are never there.
    with contextlib.suppress(ValueError):
      decoding.probe(path)
    image = decoding.decode(path, 3, str(path))
    raise AssertionError(f"read as {image.shape}")

  def read(drawn):
    path = folder / f"picture{drawn.ending}"
    path.write_bytes(drawn.content)
    channels = (3, 1, 3, 4)[len(drawn.content) % 4]
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # Pillow's, of what was damaged.
      read_image(path, channels, drawn)

  return (claims, read_claim) if name == "claims" else (draw, read)


def _check(name, cases, folder):
  drawn, read = _drawn_and_read(name, folder)
  seen = check(drawn, read, cases, LIMIT, is_told_in_a_line)
  print(f"images, {name}: seed {SEED}, {dict(seen)}")
  return seen


# How many in the default version, and what part of the long one.
KINDS = {"pictures": (250, 0.22), "claims": (12, 0.01), "16 bits": (12, 0.02)}


@pytest.mark.parametrize("name", KINDS)
def test_images(name, tmp_path):
  seen = _check(name, KINDS[name][0], tmp_path)
  assert seen["refused"] or name == "16 bits"
  assert seen["read"] or name == "claims"


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_images(name, tmp_path):
  _check(name, share(KINDS[name][1]), tmp_path)


def test_every_orientation_is_another_picture():
  pixels = np.arange(6).reshape(2, 3)
  turned = [turn(pixels, n).tolist() for n in range(1, 9)]
  assert len({str(t) for t in turned}) == 8
  # As a camera that was held upright (row 0 is the right side) saw it.
  assert turned[5] == [[3, 0], [4, 1], [5, 2]]
