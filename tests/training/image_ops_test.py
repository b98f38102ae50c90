"""Every operation against Pillow, on photographs and on plain images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from fbnax.training import image_ops

FACTORS = (0.0, 0.1, 0.37, 0.5, 0.9, 1.0, 1.1, 1.37, 1.72, 1.9)
SHARES = (0.3, -0.3, 0.1667, -0.0333, 0.0)

# Where each operation is tested, and how far from Pillow it may be, in 1 / 255.
CASES = {
  "identity": ((), 0),
  "autocontrast": ((), 0),
  "equalize": ((), 0),
  "invert": ((), 0),
  "posterize": ((1, 2, 3, 4, 5, 6, 7, 8), 0),
  "solarize": ((0, 1, 28, 113.8, 128, 199.1, 255, 256), 0),
  "solarize_add": ((0, 1, 60, 110, 127, 128, 255), 0),
  "color": (FACTORS, 0),
  "contrast": (FACTORS, 0),
  "brightness": (FACTORS, 0),
  "sharpness": (FACTORS, 0),
  "rotate": ((30, -30, 26.67, -16.67, 3.33, 0, 45, -90, 90, 180, 359.9), 0),
  "shear_x": (SHARES, 0),
  "shear_y": (SHARES, 0),
  "translate_x": ((14.5, -14.5, 7, -3.2, 0.49, 0, 1000, -40), 0),
  "translate_y": ((14.5, -14.5, 7, -3.2, 0.49, 0, 1000, -40), 0),
}
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def pillow(name, image, magnitude=None):
  """The operation by Pillow, `u8[H, W, C]`."""
  gray = image.shape[-1] == 1
  source = Image.fromarray(image[..., 0] if gray else image)
  fill = 128 if gray else (128,) * 3

  def affine(*matrix):
    return source.transform(
      source.size,
      Image.Transform.AFFINE,
      matrix,
      Image.Resampling.NEAREST,
      fillcolor=fill,
    )

  found = {
    "identity": lambda: source,
    "autocontrast": lambda: ImageOps.autocontrast(source),
    "equalize": lambda: ImageOps.equalize(source),
    "invert": lambda: ImageOps.invert(source),
    "posterize": lambda: ImageOps.posterize(source, magnitude),
    "solarize": lambda: ImageOps.solarize(source, magnitude),
    "solarize_add": lambda: source.point(
      [min(i + magnitude, 255) if i < 128 else i for i in range(256)]
      * len(source.getbands())
    ),
    "color": lambda: ImageEnhance.Color(source).enhance(magnitude),
    "contrast": lambda: ImageEnhance.Contrast(source).enhance(magnitude),
    "brightness": lambda: ImageEnhance.Brightness(source).enhance(magnitude),
    "sharpness": lambda: ImageEnhance.Sharpness(source).enhance(magnitude),
    "rotate": lambda: source.rotate(
      magnitude, Image.Resampling.NEAREST, fillcolor=fill
    ),
    "shear_x": lambda: affine(1, magnitude, 0, 0, 1, 0),
    "shear_y": lambda: affine(1, 0, 0, magnitude, 1, 0),
    "translate_x": lambda: affine(1, 0, magnitude, 0, 1, 0),
    "translate_y": lambda: affine(1, 0, 0, 0, 1, magnitude),
  }[name]()
  return np.asarray(found).reshape(image.shape)


@functools.cache
def _images():
  """By size and channels: photographs, and images without contrast.

  Each is a batch, since what is compiled is compiled for a shape.
  """
  rng = np.random.default_rng(0)
  china, flower = (Image.fromarray(i) for i in load_sample_images().images)
  batches = []
  for size in ((32, 32), (64, 96)):
    scaled = [
      np.asarray(i.resize(size, Image.Resampling.BILINEAR))
      for i in (china, flower)
    ]
    height, width = size[::-1]
    cropped = [
      np.asarray(i)[100 : 100 + height, 200 : 200 + width]
      for i in (china, flower)
    ]
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    one_flat = scaled[0].copy()
    one_flat[..., 1] = 77
    two_values = np.where(noise < 100, 40, 41).astype(np.uint8)
    one_pixel = np.full_like(noise, 9)
    one_pixel[3, 4] = 200
    plain = [np.full_like(noise, v) for v in (0, 127, 255)]
    dark = (scaled[1] // 7 + 11).astype(np.uint8)
    edge = [noise, one_flat, two_values, one_pixel, *plain, dark]
    batch = np.stack([*scaled, *cropped, *edge])
    batches.append(batch)
  return (*batches, batches[-1][..., :1])


def _apply(name, magnitudes):
  """The operation at each magnitude on each image of a batch."""
  operation = getattr(image_ops, name)

  def program(images):
    if name in GEOMETRIC:
      # Python numbers, see the module.
      return jnp.stack(
        [jax.vmap(lambda i, m=m: operation(i, *m))(images) for m in magnitudes]
      )
    if magnitudes == [()]:
      return jax.vmap(operation)(images)[None]
    over = jax.vmap(jax.vmap(operation, (0, None)), (None, 0))
    return over(images, jnp.array(magnitudes)[:, 0])

  return jax.jit(program)


@pytest.mark.parametrize("name", CASES)
def test_equal_to_pillow(name):
  values, legal = CASES[name]
  magnitudes = [(v,) for v in values] or [()]
  program = _apply(name, magnitudes)
  for images in _images():
    found = np.asarray(program(jnp.asarray(images)))
    assert found.dtype == np.uint8
    for magnitude, batch in zip(magnitudes, found, strict=True):
      expected = np.stack([pillow(name, i, *magnitude) for i in images])
      difference = np.abs(batch.astype(int) - expected)
      assert difference.max() <= legal, (name, magnitude, images.shape)


@pytest.mark.parametrize("name", ["color", "contrast", "sharpness"])
def test_traced_factors_are_exact_too(name):
  """Random ones, as a program gets them that draws its magnitudes."""
  images = _images()[0][:4]
  factors = np.random.default_rng(1).uniform(0, 2, 64).astype(np.float32)
  over = jax.vmap(getattr(image_ops, name), (None, 0))
  found = jax.jit(jax.vmap(over, (0, None)))(images, factors)
  for image, batch in zip(images, np.asarray(found), strict=True):
    expected = [pillow(name, image, float(f)) for f in factors]
    np.testing.assert_array_equal(batch, np.stack(expected))


def test_autocontrast_of_any_range():
  """All 32,640 pairs of lowest and highest, by Pillow's formula in doubles."""
  low, high = (v[:, None] for v in np.triu_indices(256, 1))
  values = np.clip(np.arange(256), low, high)
  scale = 255.0 / (high - low)
  expected = np.clip((values * scale + -low * scale).astype(int), 0, 255)
  images = jnp.asarray(values[:, None, :, None], jnp.uint8)
  found = jax.jit(jax.vmap(image_ops.autocontrast))(images)
  np.testing.assert_array_equal(found[:, 0, :, 0], expected)
  # The table of exceptions is needed: exact arithmetic differs.
  exact = 255 * (values - low) // (high - low)
  assert (exact != expected).any(1).mean() > 0.01


@pytest.mark.parametrize("name", GEOMETRIC)
def test_traced_geometry_differs_in_few_pixels(name):
  """Its matrix is computed in float32; see the module."""
  image = _images()[1][0]
  largest = {"r": 30.0, "s": 0.3, "t": 40.0}[name[0]]
  rng = np.random.default_rng(2)
  magnitudes = rng.uniform(-largest, largest, 200).astype(np.float32)
  over = jax.jit(jax.vmap(getattr(image_ops, name), (None, 0)))
  found = np.asarray(over(jnp.asarray(image), jnp.asarray(magnitudes)))
  expected = np.stack([pillow(name, image, float(m)) for m in magnitudes])
  differing = (found != expected).any(-1).mean()
  assert differing <= (0.0 if name[0] == "t" else 1e-4)


def test_images_too_small_to_blur_stay_as_they_are():
  image = np.random.default_rng(3).integers(0, 256, (2, 9, 3), np.uint8)
  found = image_ops.sharpness(jnp.asarray(image), 1.9)
  np.testing.assert_array_equal(found, pillow("sharpness", image, 1.9))
  np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("name", ["color", "contrast"])
def test_luminance_is_of_gray_or_rgb(name):
  images = jnp.zeros((4, 4, 2), jnp.uint8)
  with pytest.raises(ValueError, match="2 channels; legal: 1 or 3"):
    getattr(image_ops, name)(images, 0.5)


def test_contrast_of_images_whose_sum_takes_more_than_31_bits():
  white = jnp.full((2100, 2100, 3), 255, jnp.uint8)
  assert (jax.jit(image_ops.contrast)(white, 0.5) == 255).all()
