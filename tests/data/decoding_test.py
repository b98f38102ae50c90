import io

import numpy as np
import pytest
from PIL import Image

from fbnax.data.decoding import decode, probe, resize

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
