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
