"""What happens to images between the data set and the network, on the device.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.training import policies
from fbnax.training.recipes import Settings

# Zhong et al. 2017: how much is erased, and its height over its width. A
# rectangle that does not fit is drawn again.
ERASED_AREA = (0.02, 1 / 3)
ERASED_ASPECT = (0.3, 1 / 0.3)
ERASING_ATTEMPTS = 10

# Keys of what is not always on are folded in, so that it changes no other draw.
# Large numbers stay clear of `split`, whose keys are those of 0, 1, ....
_POLICY_KEY = 2**31 - 1
_ERASING_KEY = 2**31 - 2
_VERTICAL_KEY = 2**31 - 3
_TURNS_KEY = 2**31 - 4


def distort(key: jax.Array, images: jax.Array, settings: Settings) -> jax.Array:
  """All that happens at random to the images of a batch, one by one.

  In the published order: crop, flip, policy, erasing. Vertical flips and
  quarter turns come after the flip.

  Args:
    key: random key.
    images: `u8[B, H, W, C]`.
    settings: which of them, and how strong.

  Returns:
    `u8[B, H, W, C]`; `f32[B, H, W, C]` with white at 255 if there is erasing.
  """
  images = crop_and_flip(key, images, settings.crop_padding, settings.flip)
  if settings.vertical_flip:
    vertical_key = jax.random.fold_in(key, _VERTICAL_KEY)
    upside_down = jax.random.bernoulli(vertical_key, 0.5, (len(images),))
    images = _where(upside_down, images[:, ::-1], images)
  if settings.quarter_turns:
    images = quarter_turns(jax.random.fold_in(key, _TURNS_KEY), images)
  if settings.augment != "none":
    policy = policies.get(
      settings.augment,
      settings.randaugment_operations,
      settings.randaugment_magnitude,
    )
    policy_key = jax.random.fold_in(key, _POLICY_KEY)
    images = policies.apply(policy_key, images, policy)
  if settings.erasing > 0:
    images = erase(jax.random.fold_in(key, _ERASING_KEY), images, settings)
  return images


def prepare(images: jax.Array, settings: Settings) -> jax.Array:
  """Values of 0..255, `[B, H, W, C]`, to the network's `f32[B, R, R, C]`.

  They are normalised, then resized to the resolution.
  """
  x = images.astype(jnp.float32) / 255.0
  x = (x - jnp.asarray(settings.mean)) / jnp.asarray(settings.std)
  side = settings.resolution
  if x.shape[1:3] == (side, side):
    return x
  return jax.image.resize(x, (x.shape[0], side, side, x.shape[3]), "bilinear")


def crop_and_flip(
  key: jax.Array, images: jax.Array, padding: int, flip: bool
) -> jax.Array:
  """Random crops of the padded images, every second one mirrored.

  Args:
    key: random key.
    images: `u8[B, H, W, C]`.
    padding: black pixels on each side before the crop; 0 for no crops.
    flip: whether to mirror.

  Returns:
    `u8[B, H, W, C]`.
  """
  crop_key, flip_key = jax.random.split(key)
  count, height, width, channels = images.shape
  if padding:
    edge = (padding, padding)
    padded = jnp.pad(images, ((0, 0), edge, edge, (0, 0)))
    starts = jax.random.randint(crop_key, (count, 2), 0, 2 * padding + 1)

    def crop(image: jax.Array, start: jax.Array) -> jax.Array:
      corner = (start[0], start[1], 0)
      return lax.dynamic_slice(image, corner, (height, width, channels))

    images = jax.vmap(crop)(padded, starts)
  if flip:
    mirrored = jax.random.bernoulli(flip_key, 0.5, (count, 1, 1, 1))
    images = jnp.where(mirrored, images[:, :, ::-1], images)
  return images


def quarter_turns(key: jax.Array, images: jax.Array) -> jax.Array:
  """Each image turned by 0, 90, 180 or 270 degrees, all equally likely.

  Args:
    key: random key.
    images: `u8[B, H, H, C]`.

  Returns:
    `u8[B, H, H, C]`.

  Raises:
    ValueError: the images are not square, so that a turn changes their shape.
  """
  count, height, width, _ = images.shape
  if height != width:
    raise ValueError(
      f"training.quarter_turns with images of {height} x {width} pixels; legal:"
      " square ones (config.data.decode_resolution makes them so)"
    )
  turns = jax.random.randint(key, (count,), 0, 4)
  # A turn is a transposition, a flip, or both.
  images = _where(turns % 2 == 1, images.swapaxes(1, 2), images)
  images = _where((turns == 1) | (turns == 2), images[:, ::-1], images)
  return _where(turns >= 2, images[:, :, ::-1], images)


def _where(chosen: jax.Array, images: jax.Array, others: jax.Array) -> Any:
  """The first images where they are chosen, `bool[B]`, else the others."""
  return jnp.where(chosen[:, None, None, None], images, others)


def erase(
  key: jax.Array,
  images: jax.Array,
  settings: Settings,
  *,
  side_by_side: bool | None = None,
) -> jax.Array:
  """Random erasing: a rectangle of noise in some of the images.

  Zhong et al. 2017, Algorithm 1, with normal noise of each channel's mean and
  deviation for every pixel: after normalisation it is standard normal. It is
  put in before, so that a teacher that normalises or resizes otherwise sees the
  same picture. A rectangle is smaller than the image in both directions. As in
  `fbnax.training.policies`, a CPU takes the images one after the other and
  draws noise for those alone that need it; both give the same, up to rounding.

  Args:
    key: random key.
    images: `u8[B, H, W, C]`.
    settings: the probability, `erasing`, and `mean` and `std`.
    side_by_side: whether all images go at once; None for what suits the
      backend.

  Returns:
    `f32[B, H, W, C]`, white at 255; noise may lie outside 0..255.
  """
  count, height, width, _ = images.shape
  draw_key, noise_key = jax.random.split(key)
  draws = jax.random.uniform(draw_key, (count, 3 + 2 * ERASING_ATTEMPTS))
  areas, aspects = jnp.split(draws[:, 3:], 2, -1)
  low, high = ERASED_AREA
  areas = (low + (high - low) * areas) * (height * width)
  low, high = (math.log(a) for a in ERASED_ASPECT)
  aspects = jnp.exp(low + (high - low) * aspects)
  tall = jnp.round(jnp.sqrt(areas * aspects)).astype(jnp.int32)
  wide = jnp.round(jnp.sqrt(areas / aspects)).astype(jnp.int32)
  fits = (tall < height) & (wide < width)
  first = jnp.argmax(fits, -1, keepdims=True)
  tall = jnp.take_along_axis(tall, first, -1)
  wide = jnp.take_along_axis(wide, first, -1)
  chosen = (draws[:, 0] < settings.erasing) & fits.any(-1)

  def covered(draw: jax.Array, side: jax.Array, length: int) -> jax.Array:
    start = jnp.floor(draw * (length - side + 1)).astype(jnp.int32)
    at = jnp.arange(length)
    return (at >= start) & (at < start + side)

  rows = covered(draws[:, 1:2], tall, height)
  columns = covered(draws[:, 2:3], wide, width)
  mean = jnp.asarray(settings.mean, jnp.float32)
  std = jnp.asarray(settings.std, jnp.float32)

  def one(parts: tuple[jax.Array, ...]) -> jax.Array:
    image, row, column, noise_key, is_chosen = parts
    image = image.astype(jnp.float32)

    def fill() -> jax.Array:
      noise = mean + std * jax.random.normal(
        noise_key, image.shape, jnp.float32
      )
      inside = (row[:, None] & column)[..., None]
      return jnp.where(inside, 255.0 * noise, image)

    return lax.cond(is_chosen, fill, lambda: image)

  noise_keys = jax.random.split(noise_key, count)
  each = (images, rows, columns, noise_keys, chosen)
  if side_by_side is None:
    side_by_side = jax.default_backend() != "cpu"
  return jax.vmap(one)(each) if side_by_side else lax.map(one, each)


def mixup_ratio(key: jax.Array, alpha: jax.Array) -> jax.Array:
  """A ratio from Beta(alpha, alpha), 1 for alpha 0; `f32[]`."""
  ratio = jax.random.beta(
    key, jnp.maximum(alpha, 1e-2), jnp.maximum(alpha, 1e-2)
  )
  return jnp.where(alpha > 0, ratio, 1.0)


def mix(x: jax.Array, ratio: jax.Array) -> jax.Array:
  """`ratio` of each element and the rest of its partner in the batch.

  The batch is in random order, so the partner is the one across its middle.
  """
  return ratio * x + (1.0 - ratio) * x[::-1]
