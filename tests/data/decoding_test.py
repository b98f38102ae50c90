import ast
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

import fbnax
from fbnax.data import decoding
from fbnax.data.decoding import (
  decode,
  largest_value,
  may_be_deep,
  probe,
  resize,
)

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(tmp_path, image, suffix=".png", **options):
  path = tmp_path / f"image{suffix}"
  image.save(path, **options)
  return path


def test_grey(tmp_path):
  path = save(tmp_path, Image.fromarray(GREY))
  assert probe(path) == (5, 7, True)
  np.testing.assert_array_equal(decode(path, 1, "a"), GREY[..., None])
  repeated = np.stack([GREY] * 3, axis=-1)
  np.testing.assert_array_equal(decode(path, 3, "a"), repeated)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_colour_from_file_and_bytes(tmp_path, suffix):
  options = {"lossless": True} if suffix == ".webp" else {}
  path = save(tmp_path, Image.fromarray(RGB), suffix, **options)
  assert probe(path) == (5, 7, False)
  np.testing.assert_array_equal(decode(path, 3, "a"), RGB)
  np.testing.assert_array_equal(decode(path.read_bytes(), 3, "a"), RGB)


def test_sixteen_bits_keep_the_high_byte(tmp_path):
  values = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
  path = save(tmp_path, Image.fromarray(values))
  assert probe(path)[2]
  expected = (values // 256).astype(np.uint8)[..., None]
  np.testing.assert_array_equal(decode(path, 1, "a"), expected)


def test_one_bit(tmp_path):
  path = save(tmp_path, Image.fromarray(GREY > 127))
  assert probe(path)[2]
  expected = np.where(GREY > 127, 255, 0)[..., None]
  np.testing.assert_array_equal(decode(path, 1, "a"), expected)


def test_transparency_is_shown_on_white(tmp_path):
  alpha = RNG.integers(0, 256, (5, 7, 1), dtype=np.uint8)
  rgba = np.concatenate([RGB, alpha], axis=-1)
  path = save(tmp_path, Image.fromarray(rgba))
  opacity = alpha / 255.0
  expected = RGB * opacity + 255 * (1 - opacity)
  np.testing.assert_allclose(decode(path, 3, "a"), expected, atol=1)
  np.testing.assert_array_equal(decode(path, 4, "a"), rgba)
  grey = Image.fromarray(np.stack([GREY, alpha[..., 0]], -1), "LA")
  path = save(tmp_path, grey)
  assert probe(path)[2]
  expected = GREY[..., None] * opacity + 255 * (1 - opacity)
  np.testing.assert_allclose(decode(path, 1, "a"), expected, atol=1)


def test_palette_and_its_transparent_colour(tmp_path):
  image = Image.new("P", (2, 1))
  image.putpalette([10, 20, 30, 40, 50, 60])
  image.putpixel((1, 0), 1)
  path = save(tmp_path, image)
  assert probe(path) == (1, 2, False)
  assert decode(path, 3, "a").tolist() == [[[10, 20, 30], [40, 50, 60]]]
  path = save(tmp_path, image, transparency=1)
  assert decode(path, 3, "a").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_cmyk(tmp_path):
  image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
  path = save(tmp_path, image, ".jpg", quality=95)
  red = decode(path, 3, "a").astype(int)
  assert (abs(red - [255, 0, 0]) < 12).all() and not probe(path)[2]


def test_first_frame_of_an_animation(tmp_path):
  frames = [Image.new("L", (3, 2), value) for value in (10, 200)]
  path = tmp_path / "a.gif"
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert (decode(path, 1, "a") == 10).all()


def test_photograph_is_turned_as_its_exif_says(tmp_path):
  image = Image.new("RGB", (16, 32), "white")
  image.paste("black", (0, 0, 16, 8))
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned clockwise by 90 degrees.
  path = save(tmp_path, image, ".jpg", exif=exif, quality=95)
  assert probe(path) == (16, 32, False)
  found = decode(path, 3, "a")
  assert found.shape == (16, 32, 3)
  assert (found[:, -7:] < 40).all() and (found[:, :20] > 215).all()


def chunk(kind, content):
  checked = zlib.crc32(kind + content)
  size = struct.pack(">I", len(content))
  return size + kind + content + struct.pack(">I", checked)


def with_late_chunk(png, kind, content):
  """A PNG with a chunk between its pixels and its end."""
  assert png[-8:-4] == b"IEND"
  return png[:-12] + chunk(kind, content) + png[-12:]


def exif_of(turn):
  exif = Image.Exif()
  exif[0x0112] = turn
  return exif


def encoded(image, kind, **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def raw_profile(turn):
  info = PngImagePlugin.PngInfo()
  content = exif_of(turn).tobytes()
  text = f"\nexif\n{len(content):8}\n{content.hex()}\n"
  info.add_text("Raw profile type exif", text, zip=True)
  return info


def xmp(turn):
  return (
    f'<x:xmpmeta><rdf:Description tiff:Orientation="{turn}"/></x:xmpmeta>'
  ).encode()


# How a picture that is to be turned comes: the ways are those of cameras,
# phones, ImageMagick and XMP editors.
CONTAINERS = {
  "JPEG": lambda i, t: encoded(i, "JPEG", exif=exif_of(t), quality=95),
  # Of two pictures, as phones and stereo cameras write it, named .jpg.
  "MPO": lambda i, t: encoded(
    i,
    "MPO",
    save_all=True,
    append_images=[i.resize((16, 8))],
    exif=exif_of(t),
    quality=95,
  ),
  "JPEG with XMP": lambda i, t: encoded(i, "JPEG", xmp=xmp(t), quality=95),
  "PNG": lambda i, t: encoded(i, "PNG", exif=exif_of(t)),
  "PNG, after the pixels": lambda i, t: with_late_chunk(
    encoded(i, "PNG"), b"eXIf", exif_of(t).tobytes()[6:]
  ),
  # What was appended to a file has chunks, too, that are none of its own.
  "PNG, after the pixels, and more after it": lambda i, t: (
    with_late_chunk(encoded(i, "PNG"), b"eXIf", exif_of(t).tobytes()[6:])
    + encoded(i, "PNG")[:60]
  ),
  "PNG with a raw profile": lambda i, t: encoded(
    i, "PNG", pnginfo=raw_profile(t)
  ),
  "PNG of a palette": lambda i, t: encoded(
    i.quantize(), "PNG", exif=exif_of(t)
  ),
  "WebP": lambda i, t: encoded(i, "WEBP", exif=exif_of(t), lossless=True),
  "TIFF": lambda i, t: encoded(i, "TIFF", exif=exif_of(t)),
  "TIFF, packed": lambda i, t: encoded(
    i, "TIFF", exif=exif_of(t), compression="tiff_lzw"
  ),
}


@pytest.mark.parametrize("turn", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_turned_as_it_says(tmp_path, container, turn):
  image = Image.new("RGB", (32, 16), (250, 250, 250))
  image.paste((0, 0, 200), (0, 0, 16, 8))
  image.paste((200, 0, 0), (16, 8, 32, 16))
  content = CONTAINERS[container](image, turn)
  path = tmp_path / "a.jpg"
  path.write_bytes(content)
  image.getexif()[0x0112] = turn
  expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
  assert probe(path)[:2] == expected.shape[:2]
  for source in (path, content):
    found = decode(source, 3, "a").astype(int)
    assert found.shape == expected.shape
    # Away from the edges of the colours, where JPEG blurs.
    corners = np.abs(found - expected)[2::12, 2::12]
    assert corners.max() < 30


def test_sixteen_bits_are_turned_too(tmp_path):
  values = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
  path = save(tmp_path, Image.fromarray(values), exif=exif_of(6))
  assert probe(path) == (7, 5, True)
  expected = np.rot90(values >> 8, -1)
  np.testing.assert_array_equal(decode(path, 1, "a")[..., 0], expected)


@pytest.mark.parametrize(
  "block",
  [
    b"Exif\0\0",
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
    b"Exif\0\0rubbish that is no TIFF header",
    b"Exif\0\0MM\0*",
    exif_of(0).tobytes(),
    exif_of(9).tobytes(),
    # A text, not a number.
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0006\0\0\0\0\0\0\0",
  ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of the block.
def test_a_damaged_block_leaves_the_picture_as_it_is(tmp_path, block):
  for kind, suffix in (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(Image.fromarray(RGB), kind, exif=block))
    assert probe(path)[:2] == (5, 7)
    assert decode(path, 3, "a").shape == (5, 7, 3)


def test_a_header_is_read_without_the_pixels(tmp_path):
  # Most PNGs say nothing after their pixels; those are not decoded.
  info = PngImagePlugin.PngInfo()
  info.add_text("Software", "a drawing program")
  path = save(tmp_path, Image.fromarray(RGB), pnginfo=info)
  content = bytearray(path.read_bytes())
  place = content.index(b"IDAT") + 4
  content[place : place + 8] = b"\xff" * 8
  path.write_bytes(content)
  assert probe(path) == (5, 7, False)
  with pytest.raises(ValueError, match="cannot be decoded"):
    decode(path, 3, "a")


def deep_png(values, color_type):
  """A PNG of 16 bits a channel, which Pillow does not write for colours."""
  rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
  header = struct.pack(
    ">IIBBBBB", values.shape[1], values.shape[0], 16, color_type, 0, 0, 0
  )
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", header)
    + chunk(b"IDAT", zlib.compress(rows))
    + chunk(b"IEND", b"")
  )


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_the_significant_bits_are_kept(tmp_path, bits):
  path = tmp_path / "a.png"
  for shape, color_type in (((5, 7), 0), ((5, 7, 3), 2)):
    values = RNG.integers(0, 2**bits, shape, dtype=np.uint16)
    path.write_bytes(deep_png(values, color_type))
    found = decode(path, max(1, values.shape[-1] % 7), "a", bits)
    expected = (values >> (bits - 8)).astype(np.uint8)
    np.testing.assert_array_equal(found.reshape(shape), expected)
    assert largest_value(path) == values.max() and may_be_deep(path)


def test_larger_values_than_the_significant_bits_are_white(tmp_path):
  path = save(tmp_path, Image.fromarray(np.array([[255, 256, 65535]], "u2")))
  assert decode(path, 1, "a", 8).ravel().tolist() == [255, 255, 255]
  assert decode(path, 1, "a", 9).ravel().tolist() == [127, 128, 255]


def test_opacity_has_sixteen_bits_whatever_the_colours_have(tmp_path):
  values = np.zeros((1, 2, 4), np.uint16)
  values[..., :3], values[..., 3] = 200, (0, 65535)
  path = tmp_path / "a.png"
  path.write_bytes(deep_png(values, 6))
  assert largest_value(path) == 200
  assert decode(path, 3, "a", 8).tolist() == [[[255] * 3, [200] * 3]]
  assert decode(path, 3, "a").tolist() == [[[255] * 3, [0] * 3]]


def test_images_of_eight_bits_have_no_range_to_be_found(tmp_path):
  for suffix in (".png", ".jpg", ".bmp", ".gif", ".webp"):
    path = save(tmp_path, Image.fromarray(GREY), suffix)
    assert largest_value(path) is None and not may_be_deep(path)
  np.testing.assert_array_equal(
    decode(save(tmp_path, Image.fromarray(GREY)), 1, "a", 10)[..., 0], GREY
  )


@pytest.mark.parametrize(
  "values", [[[-1.0, 3.0]], [[0.0, 70000.0]], [[np.nan, 3.0]], [[0.0, 0.9]]]
)
def test_floats_that_would_be_black_or_wrong_are_refused(tmp_path, values):
  path = save(tmp_path, Image.fromarray(np.array(values, "f4")), ".tif")
  for read in (lambda: decode(path, 1, "a"), lambda: largest_value(path)):
    with pytest.raises(ValueError, match=r"mode F with .*legal: 0 to 65535"):
      read()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".webp"])
def test_truncated_file_is_named(tmp_path, suffix):
  big = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
  path = save(tmp_path, Image.fromarray(big), suffix)
  path.write_bytes(path.read_bytes()[:-1500])
  with pytest.raises(ValueError, match=r"^the name: cannot be decoded: "):
    decode(path, 3, "the name")


def test_no_image_is_named(tmp_path):
  path = tmp_path / "text.png"
  path.write_text("not an image")
  with pytest.raises(ValueError, match=r"text.png: is no image"):
    probe(path)
  with pytest.raises(ValueError, match=r"^b: cannot be decoded"):
    decode(b"not an image", 1, "b")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resize_by_an_integer_agrees_with_a_triangle_filter(channels):
  image = RNG.integers(0, 256, (16, 24, channels), dtype=np.uint8)
  found = resize(image, (8, 12)).astype(float)
  # An output pixel's triangle has a half-width of two input pixels.
  weights = np.array([1, 3, 3, 1]) / 8
  rows = sum(w * image[1 + i : 13 + i : 2] for i, w in enumerate(weights))
  both = sum(w * rows[:, 1 + i : 21 + i : 2] for i, w in enumerate(weights))
  np.testing.assert_allclose(found[1:-1, 1:-1], both, atol=1.01)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_no_channel_sees_another_in_a_part_that_is_resized(channels):
  image = RNG.integers(0, 256, (16, 24, channels), dtype=np.uint8)
  box = (2.5, 3.0, 11.25, 20.0)
  found = resize(image, (8, 12), box)
  for c in range(channels):
    alone = resize(image[..., c : c + 1], (8, 12), box)
    np.testing.assert_array_equal(found[..., c : c + 1], alone)


def test_resize_to_its_own_size_is_the_identity():
  assert resize(RGB, (5, 7)) is RGB


def test_bytes_of_every_file_object_are_closed(tmp_path):
  # An open file would be a ResourceWarning, which is an error here.
  path = save(tmp_path, Image.fromarray(RGB))
  for _ in range(3):
    decode(path, 3, "a"), probe(path)
  buffer = io.BytesIO()
  Image.fromarray(RGB).save(buffer, "PNG")
  assert decode(buffer.getvalue(), 1, "a").shape == (5, 7, 1)


@pytest.mark.parametrize(
  "content",
  [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n",
    b"%PDF-1.4\n",
    b"P6 2 2 255 " + bytes(12),
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
  ],
)
def test_formats_of_no_suffix_are_refused_and_run_nothing(
  tmp_path, monkeypatch, content
):
  # Pillow gives PostScript to the first `gs` on the path.
  mark, program = tmp_path / "mark", tmp_path / "gs"
  program.write_text(f"#!/bin/sh\ntouch {mark}\n")
  program.chmod(0o755)
  monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
  path = tmp_path / "a.png"
  path.write_bytes(content)
  legal = "legal: BMP, GIF, JPEG, PNG, TIFF, WEBP$"
  with pytest.raises(ValueError, match=rf"a\.png: is no image .*; {legal}"):
    probe(path)
  for source in (path, content):
    with pytest.raises(ValueError, match=f"^b: cannot be decoded; {legal}"):
      decode(source, 3, "b")
  assert not mark.exists()


def calls_of_open(source):
  """Lines that open an image by Pillow without saying of which formats."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Call) and ast.unparse(node.func) in (
      "Image.open",
      "PIL.Image.open",
    ):
      named = {
        keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords
      }
      if named.get("formats") != "FORMATS":
        yield node.lineno


def test_no_image_is_opened_without_a_list_of_formats():
  root = Path(fbnax.__file__).parents[1]
  sources = {
    path: path.read_text("utf-8")
    for folder in ("fbnax", "launch", "configs")
    for path in (root / folder).rglob("*.py")
  }
  for path in (root / "launch").rglob("*.ipynb"):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    sources[path] = "\n".join(code)
  assert len(sources) > 100
  found = {
    path: [*calls_of_open(source)]
    for path, source in sources.items()
    if "Image.open" in source
  }
  assert len(found) == 1  # `decoding.opened` is the one place.
  assert not {p: lines for p, lines in found.items() if lines}
  assert [*calls_of_open("a\nwith Image.open(p) as i: pass")] == [2]
  assert [*calls_of_open("PIL.Image.open(p, formats=None)")] == [1]
  assert not [*calls_of_open("Image.open(p, formats=FORMATS)")]


def header(width, height):
  return (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b"")
  )


@pytest.mark.parametrize(
  "content",
  [
    header(60_000, 60_000),
    header(14_000, 13_000),
    b"GIF89a" + b"\xff" * 4 + encoded(Image.fromarray(GREY), "GIF")[10:],
  ],
)
def test_pixels_are_bounded_before_they_are_decoded(tmp_path, content):
  path = tmp_path / "a.png"
  path.write_bytes(content)
  for read in (lambda: probe(path), lambda: decode(path, 1, "a.png")):
    with pytest.raises(ValueError, match=r"a\.png: .*most 178,956,970") as told:
      read()
    assert "\n" not in str(told.value)


def test_the_bound_holds_where_pillows_own_is_off(tmp_path, monkeypatch):
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
  path = tmp_path / "a.png"
  path.write_bytes(header(60_000, 50_000))
  with pytest.raises(
    ValueError, match=r"60,000 x 50,000 pixels; legal: at most 178,956,970"
  ):
    probe(path)
  monkeypatch.setattr(decoding, "MOST_PIXELS", 34)
  with pytest.raises(ValueError, match=r"7 x 5 pixels; legal: at most 34"):
    decode(encoded(Image.fromarray(RGB), "PNG"), 3, "a")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_a_tiff_on_disk_is_turned_as_one_in_memory(tmp_path, mode, orientation):
  """Pillow maps modes that it stores as they are into memory."""
  path = tmp_path / "scan.png"
  exif = Image.Exif()
  exif[0x0112] = orientation
  image = Image.fromarray(RGB).convert(mode)
  image.save(path, "TIFF", exif=exif.tobytes())
  in_memory = decode(path.read_bytes(), 3, "a")
  np.testing.assert_array_equal(decode(path, 3, "a"), in_memory)
  assert probe(path)[:2] == in_memory.shape[:2]
  upright = decode(_bytes(image), 3, "a")
  wanted = {
    3: upright[::-1, ::-1],
    5: upright.swapaxes(0, 1),
    6: np.rot90(upright, -1),
    8: np.rot90(upright),
  }
  np.testing.assert_array_equal(in_memory, wanted[orientation])


def _bytes(image):
  file = io.BytesIO()
  image.save(file, "TIFF")
  return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_frames_after_a_damaged_one_are_not_counted(kind):
  first, second = (Image.fromarray(GREY // n) for n in (1, 2))
  file = io.BytesIO()
  first.save(file, kind, save_all=True, append_images=[second])
  content = file.getvalue()
  with decoding.opened(content) as image:
    assert decoding.frames(image) == 2
  failed = 0
  for at in range(len(content) // 2, len(content)):
    damaged = content[:at] + b"\xff" + content[at + 1 :]
    with decoding.opened(damaged) as image:
      assert decoding.frames(image) in (1, 2)
    with decoding.opened(damaged) as image:
      try:
        image.n_frames  # noqa: B018
      except Exception:  # As of Pillow's own.
        failed += 1
  assert failed
