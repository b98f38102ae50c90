import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fbnax.training import augment
from fbnax.training.recipes import Settings

B, H, W, C = 400, 6, 5, 2


def _settings(resolution, mean=(0.4, 0.6), std=(0.2, 0.3)):
  return Settings(
    epochs=1, batch_size=8, resolution=resolution, mean=mean, std=std
  )


def _images():
  """All pixels of an image differ, and none is black."""
  rng = np.random.default_rng(0)
  pixels = [rng.permutation(H * W * C) + 1 for _ in range(B)]
  return np.stack(pixels).astype(np.uint8).reshape(B, H, W, C)


def _windows(image, padding):
  """Every crop of the padded image, by its corner."""
  padded = np.zeros((H + 2 * padding, W + 2 * padding, C), np.uint8)
  padded[padding : padding + H, padding : padding + W] = image
  span = range(2 * padding + 1)
  return {
    (y, x): padded[y : y + H, x : x + W].tobytes() for y in span for x in span
  }


def _crop(seed, padding, flip):
  found = augment.crop_and_flip(
    jax.random.key(seed), jnp.asarray(_images()), padding, flip
  )
  assert found.shape == (B, H, W, C) and found.dtype == jnp.uint8
  return np.asarray(found)


def test_crops_are_windows_of_the_padded_image():
  corners = []
  for image, found in zip(_images(), _crop(0, 2, False), strict=True):
    at = [k for k, v in _windows(image, 2).items() if v == found.tobytes()]
    assert len(at) == 1
    corners += at
  counts = np.zeros((5, 5))
  for y, x in corners:
    counts[y, x] += 1
  # 25 corners, 16 of each expected; chi-squared over 24 has 51 at 0.1 %.
  assert ((counts - 16) ** 2 / 16).sum() < 51


def test_flips_mirror_about_half():
  images = _images()
  found = _crop(1, 0, True)
  same = (found == images).all((1, 2, 3))
  mirrored = (found == images[:, :, ::-1]).all((1, 2, 3))
  assert (same ^ mirrored).all()
  # Four standard deviations of 400 tosses.
  assert abs(mirrored.sum() - B / 2) < 4 * np.sqrt(B / 4)


def test_crops_and_flips_are_independent():
  moved = []
  for image, found in zip(_images(), _crop(2, 1, True), strict=True):
    windows = {v: k for k, v in _windows(image, 1).items()}
    plain = windows.get(found.tobytes())
    mirrored = windows.get(found[:, ::-1].tobytes())
    assert (plain is None) != (mirrored is None)
    moved.append((mirrored is not None, (plain or mirrored)[1]))
  flips, corners = np.array(moved).T
  assert abs(np.corrcoef(flips, corners)[0, 1]) < 4 / np.sqrt(B)


def test_nothing_is_done_where_nothing_is_asked():
  np.testing.assert_array_equal(_crop(0, 0, False), _images())


def test_prepare_normalises():
  images = _images()[:3]
  square = np.concatenate([images, images[:, :, :1]], axis=2)
  found = augment.prepare(jnp.asarray(square), _settings(H))
  expected = (square / 255.0 - [0.4, 0.6]) / [0.2, 0.3]
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("side", [4, 8, 12, 20])
def test_prepare_resizes_as_pillow_does(side):
  """Antialiased bilinear, computed by Pillow in floating point."""
  rng = np.random.default_rng(3)
  images = rng.integers(0, 256, (2, 12, 9, 2), np.uint8)
  found = augment.prepare(jnp.asarray(images), _settings(side))
  assert found.shape == (2, side, side, 2)
  planes = [
    [
      np.asarray(
        Image.fromarray(image[..., c].astype(np.float32), "F").resize(
          (side, side), Image.Resampling.BILINEAR
        )
      )
      for c in range(2)
    ]
    for image in images
  ]
  resized = np.moveaxis(np.array(planes), 1, -1)
  expected = (resized / 255.0 - [0.4, 0.6]) / [0.2, 0.3]
  np.testing.assert_allclose(found, expected, atol=2e-4)


def _ratios(alpha):
  keys = jax.random.split(jax.random.key(0), 4000)
  draw = jax.vmap(augment.mixup_ratio, (0, None))
  return np.asarray(draw(keys, jnp.float32(alpha)), np.float64)


@pytest.mark.parametrize("alpha", [0.1, 0.41, 2.0])
def test_the_ratio_is_of_the_beta_distribution(alpha):
  """Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))."""
  ratios = _ratios(alpha)
  assert ((ratios >= 0) & (ratios <= 1)).all()
  variance = 1 / (4 * (2 * alpha + 1))
  assert abs(ratios.mean() - 0.5) < 4 * np.sqrt(variance / len(ratios))
  np.testing.assert_allclose(ratios.var(), variance, rtol=0.08)


def test_alpha_0_mixes_nothing():
  np.testing.assert_array_equal(_ratios(0.0), 1.0)


def test_mix_with_the_partner_across_the_middle():
  x = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
  found = augment.mix(jnp.asarray(x), jnp.float32(0.3))
  for i, partner in enumerate([4, 3, 2, 1, 0]):
    np.testing.assert_allclose(
      found[i], 0.3 * x[i] + 0.7 * x[partner], rtol=1e-5, atol=1e-6
    )
  np.testing.assert_array_equal(augment.mix(jnp.asarray(x), 1.0), x)


N, SIDE = 2000, 20
ERASING = dataclasses.replace(_settings(SIDE), erasing=0.4)


@functools.cache
def _erased():
  """Images with rows of one value each, and what erasing leaves of them."""
  rows = np.arange(SIDE, dtype=np.uint8)[:, None, None] * 3
  images = np.broadcast_to(rows, (N, SIDE, SIDE, 2))
  found = jax.jit(augment.erase, static_argnums=2)(
    jax.random.key(5), jnp.asarray(images), ERASING
  )
  assert found.shape == images.shape and found.dtype == jnp.float32
  return images, np.asarray(found, np.float64)


def _rectangles():
  """(top, left, height, width) of each that was erased."""
  images, found = _erased()
  changed = (found != images).any(-1)
  assert ((found != images).all(-1) == changed).all()
  places = []
  for mask in changed[changed.any((1, 2))]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert mask.sum() == height * width, "not a rectangle"
    places.append((rows[0], columns[0], height, width))
  return np.array(places)


def test_erasing_takes_a_rectangle_of_some_images():
  """Zhong et al. 2017: areas of 0.02 to 1/3, aspects of 0.3 to 1/0.3."""
  top, left, height, width = _rectangles().T
  # Five standard deviations of 2,000 tosses.
  assert abs(len(top) / N - 0.4) < 0.055
  assert height.max() < SIDE and width.max() < SIDE
  # Sides are rounded: half a pixel more or less.
  area, aspect = SIDE * SIDE, (1 / 0.3) ** 0.5
  assert ((height + 0.5) * (width + 0.5) >= 0.02 * area).all()
  assert ((height - 0.5) * (width - 0.5) <= area / 3).all()
  assert ((height - 0.5) / (width + 0.5) <= aspect**2).all()
  assert ((width - 0.5) / (height + 0.5) <= aspect**2).all()
  # Uniform in area, even in aspect, anywhere.
  shares = height * width / area
  assert abs(shares.mean() - (0.02 + 1 / 3) / 2) < 0.02
  assert abs(np.log(height / width).mean()) < 0.12
  for start, side in ((top, height), (left, width)):
    assert start.min() == 0 and (start + side).max() == SIDE
    place = start / (SIDE - side)
    assert abs(place.mean() - 0.5) < 0.06 and abs(place.var() - 1 / 12) < 0.03
  assert abs(np.corrcoef(top, left)[0, 1]) < 0.18


def test_erased_pixels_are_standard_normal_once_normalised():
  images, found = _erased()
  x = np.asarray(augment.prepare(jnp.asarray(found, jnp.float32), ERASING))
  noise = x[(found != images).any(-1)]
  assert len(noise) > 30_000
  np.testing.assert_allclose(noise.mean(0), 0.0, atol=0.02)
  np.testing.assert_allclose(noise.std(0), 1.0, atol=0.02)
  assert abs(np.corrcoef(noise.T)[0, 1]) < 0.02
  # Neighbours are drawn apart, and so are images.
  assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.02
  rest = ~(found != images).any(-1)
  whole = np.asarray(augment.prepare(jnp.asarray(images), ERASING))
  np.testing.assert_array_equal(x[rest], whole[rest])


def test_erasing_has_two_forms_that_are_the_same():
  images = jnp.asarray(_images()[:40])
  settings = dataclasses.replace(_settings(H), erasing=0.5)
  erase = jax.jit(
    augment.erase, static_argnums=2, static_argnames="side_by_side"
  )
  one, other = (
    erase(jax.random.key(1), images, settings, side_by_side=form)
    for form in (False, True)
  )
  np.testing.assert_array_equal(one == images, other == images)
  # Normal numbers, computed in loops of different shapes: up to rounding.
  np.testing.assert_allclose(one, other, rtol=1e-5)
  assert not np.array_equal(one, images)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_small_images_keep_a_pixel_in_each_direction(height):
  images = jnp.full((64, height, 9, 2), 7, jnp.uint8)
  always = dataclasses.replace(ERASING, erasing=1.0)
  found = augment.erase(jax.random.key(0), images, always)
  touched = np.asarray(found != 7).all(-1)
  assert (touched.any((1, 2)).any()) == (height > 1)
  assert not touched.any(2).all(1).any()
  assert not touched.any(1).all(1).any()


def test_distort_does_what_the_settings_say_in_the_published_order(monkeypatch):
  """Crop and flip, then policy, then erasing; each with a key of its own."""
  done, keys = [], []

  def spy(module, name):
    real = getattr(module, name)

    def call(key, images, *rest):
      done.append(name)
      keys.append(tuple(jax.random.key_data(key).tolist()))
      return real(key, images, *rest)

    monkeypatch.setattr(module, name, call)

  for name in ("crop_and_flip", "erase"):
    spy(augment, name)
  spy(augment.policies, "apply")
  images = jnp.asarray(np.tile(_images()[:8, ..., :1], 3))
  key = jax.random.key(0)
  plain = _settings(H, (0.5,) * 3, (0.25,) * 3)
  off = augment.distort(key, images, plain)
  np.testing.assert_array_equal(off, images)
  assert done == ["crop_and_flip"]
  everything = dataclasses.replace(
    plain, flip=True, augment="randaugment", erasing=1.0
  )
  found = augment.distort(key, images, everything)
  assert done[1:] == ["crop_and_flip", "apply", "erase"]
  assert len(set(keys)) == 3
  assert found.dtype == jnp.float32 and not np.array_equal(found, images)


def test_what_is_switched_on_leaves_other_draws_as_they_were():
  images = jnp.asarray(_images()[:32])
  key = jax.random.key(3)
  plain = dataclasses.replace(_settings(H), flip=True, crop_padding=1)
  cropped = np.asarray(augment.distort(key, images, plain))
  erased = augment.distort(key, images, dataclasses.replace(plain, erasing=0.5))
  same = (np.asarray(erased) == cropped).all(-1)
  assert same.all((1, 2)).any() and not same.all()
  assert same.mean() > 0.7


def _square():
  images = _images()
  return np.concatenate([images, images[:, :, :1]], 2)  # 6 x 6 pixels.


def _distorted(images, **changes):
  settings = dataclasses.replace(_settings(H), **changes)
  found = augment.distort(jax.random.key(4), jnp.asarray(images), settings)
  return np.asarray(found)


def test_quarter_turns_are_equally_likely():
  images = _square()
  found = _distorted(images, quarter_turns=True)
  same = np.stack(
    [(found == np.rot90(images, k, (1, 2))).all((1, 2, 3)) for k in range(4)]
  )
  assert (same.sum(0) == 1).all()
  # Chi-squared over 3 has 16.3 at 0.1 %.
  assert ((same.sum(1) - B / 4) ** 2 / (B / 4)).sum() < 16.3


def test_quarter_turns_of_oblongs_are_refused():
  with pytest.raises(ValueError, match=r"6 x 5 pixels; legal: square"):
    _distorted(_images(), quarter_turns=True)


def test_vertical_flips_turn_about_half_upside_down():
  images = _images()
  found = _distorted(images, vertical_flip=True)
  same = (found == images).all((1, 2, 3))
  turned = (found == images[:, ::-1]).all((1, 2, 3))
  assert (same ^ turned).all()
  assert abs(turned.sum() - B / 2) < 4 * np.sqrt(B / 4)


def test_turns_change_no_other_draw():
  """With erasing: what is erased is the same, before and after."""
  images = np.full((B, H, H, C), 255, np.uint8)
  plain = _distorted(images, erasing=0.5)
  turned = _distorted(
    images, erasing=0.5, quarter_turns=True, vertical_flip=True
  )
  np.testing.assert_array_equal(plain, turned)
