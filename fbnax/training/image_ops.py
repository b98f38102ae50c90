"""The operations of AutoAugment and RandAugment on one image, on the device.

Cubuk et al., "AutoAugment" (2019), table 6 of the appendix, and "RandAugment"
(2020). The papers' operations are Pillow's, so these are too, to the bit:
`ImageOps` and `ImageEnhance` in Pillow's own integers, and `Image.rotate` and
`Image.transform` with the nearest pixel in its 16.16 fixed-point numbers. All
may be traced, jitted and vmapped, magnitudes included. One thing depends on
that: an angle or a shear that is a Python number becomes a matrix in double
precision, as in Pillow; a traced one is computed in float32, which may round
its fixed-point numbers the other way and so take another pixel in one of some
ten thousand (tested).

Symbols: `H`, `W` height and width, `C` channels: 1 (gray) or 3 (RGB).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# The gray that fills what lies outside the image, as in the authors' programs.
FILL = 128

Magnitude = float | jax.Array


def identity(image: jax.Array) -> jax.Array:
  """The image, `u8[H, W, C]`, as it is."""
  return image


def autocontrast(image: jax.Array) -> jax.Array:
  """Stretches `u8[H, W, C]` over 0..255 by channel, but constant channels."""
  low = image.min((0, 1)).astype(jnp.int32)[:, None]
  span = image.max((0, 1)).astype(jnp.int32)[:, None] - low
  levels = jnp.arange(256)
  divisor = jnp.maximum(span, 1)
  rise = jnp.clip(levels - low, 0, divisor)
  # Pillow truncates in double precision, which falls one short of some of the
  # values that are integers.
  short, starts, points = _falls_short()
  count = jnp.asarray(points)[divisor]
  at = jnp.asarray(starts)[divisor] + low * count + rise * count // divisor
  whole = (255 * rise % divisor == 0) & (rise > 0)
  at = jnp.where(whole, at - 1, 0)
  table = 255 * rise // divisor - (whole & jnp.asarray(short)[at])
  return _look_up(jnp.where(span > 0, table, levels), image)


@functools.cache
def _falls_short() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Where `x scale - low scale` in doubles misses the integer that it equals.

  The scale is 255 / span.

  Returns:
    Answers, `bool[n]`; where those of a span start in it; and how many there
    are for each lowest value: the points above it, the last one `span` away,
    whose exact value is an integer.
  """
  answers: list[np.ndarray] = []
  points = np.gcd(255, np.arange(256)).astype(np.int32)
  sizes = points * (256 - np.arange(256))
  sizes[0] = 0
  for span in range(1, 256):
    count = int(points[span])
    low = np.arange(256 - span)[:, None]
    rise = np.arange(1, count + 1) * (span // count)
    scale = 255.0 / span
    computed = (low + rise) * scale + -low * scale
    answers.append((computed.astype(np.int32) < 255 * rise // span).ravel())
  starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
  return np.concatenate(answers), starts, points


def equalize(image: jax.Array) -> jax.Array:
  """Evens the histogram of each channel of `u8[H, W, C]`."""
  channels = image.shape[-1]
  flat = image.reshape(-1, channels).astype(jnp.int32)
  counts = jnp.zeros((channels, 256), jnp.int32)
  counts = counts.at[jnp.arange(channels), flat].add(1)
  brightest = counts[jnp.arange(channels), flat.max(0)]
  step = ((flat.shape[0] - brightest) // 255)[:, None]
  below = jnp.cumsum(counts, 1) - counts
  table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
  return _look_up(jnp.where(step > 0, table, jnp.arange(256)), image)


def _look_up(table: jax.Array, image: jax.Array) -> jax.Array:
  """Each pixel's value in its channel's row of `[C, 256]`, as `u8[H, W, C]`."""
  rows = jnp.arange(image.shape[-1])
  return table.astype(jnp.uint8)[rows, image.astype(jnp.int32)]


def invert(image: jax.Array) -> jax.Array:
  """255 less each value of `u8[H, W, C]`."""
  return 255 - image


def posterize(image: jax.Array, bits: Magnitude) -> jax.Array:
  """Keeps the highest bits (1..8) of each value of `u8[H, W, C]`."""
  lost = 8 - jnp.asarray(bits).astype(jnp.uint8)
  return (image >> lost) << lost


def solarize(image: jax.Array, threshold: Magnitude) -> jax.Array:
  """Inverts the values of `u8[H, W, C]` that are not below a threshold."""
  below = image.astype(jnp.float32) < threshold
  return jnp.where(below, image, 255 - image)


def solarize_add(image: jax.Array, amount: Magnitude) -> jax.Array:
  """Adds to the values of `u8[H, W, C]` below 128, up to 255.

  The authors' RandAugment program has it, the paper's does not.
  """
  raised = image.astype(jnp.int32) + jnp.asarray(amount).astype(jnp.int32)
  raised = jnp.clip(raised, 0, 255).astype(jnp.uint8)
  return jnp.where(image < 128, raised, image)


def color(image: jax.Array, factor: Magnitude) -> jax.Array:
  """Saturation of `u8[H, W, C]`: 0 is gray, 1 changes nothing."""
  return _blend(_luminance(image), image, factor)


def contrast(image: jax.Array, factor: Magnitude) -> jax.Array:
  """Distance of `u8[H, W, C]` from its mean luminance: 1 changes nothing."""
  gray = _luminance(image)
  # The mean plus a half, rounded down, without the sum's double, which 32 bits
  # hold for half as many pixels.
  whole, rest = jnp.divmod(gray.sum(dtype=jnp.uint32), gray.size)
  mean = (whole + (rest >= (gray.size + 1) // 2)).astype(gray.dtype)
  return _blend(mean, image, factor)


def brightness(image: jax.Array, factor: Magnitude) -> jax.Array:
  """Multiplies `u8[H, W, C]`: 0 is black, 1 changes nothing."""
  return _blend(jnp.zeros((), jnp.int32), image, factor)


def sharpness(image: jax.Array, factor: Magnitude) -> jax.Array:
  """Blurs `u8[H, W, C]` (factor below 1) or sharpens it (above).

  Blurred is the mean of the 3 x 3 pixels around, the middle one counted five
  times. The outermost pixels stay as they are.
  """
  height, width = image.shape[:2]
  if min(height, width) < 3:
    return image
  wide = image.astype(jnp.int32)
  columns = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
  inner = wide[1:-1, 1:-1]
  total = columns[:-2] + columns[1:-1] + columns[2:] + 4 * inner
  # total / 13 rounded; it is never halfway between two integers.
  blurred = wide.at[1:-1, 1:-1].set((2 * total + 13) // 26)
  return _blend(blurred, image, factor)


def _luminance(image: jax.Array) -> jax.Array:
  """ITU-R 601 luma as Pillow rounds it, `i32[H, W, 1]`; gray is its own."""
  wide = image.astype(jnp.int32)
  if image.shape[-1] == 1:
    return wide
  if image.shape[-1] != 3:
    raise ValueError(f"images have {image.shape[-1]} channels; legal: 1 or 3")
  red, green, blue = wide[..., :1], wide[..., 1:2], wide[..., 2:]
  return (19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16


def _blend(start: jax.Array, image: jax.Array, factor: Magnitude) -> jax.Array:
  """`start + factor (image - start)`, cut to 0..255 and truncated.

  Pillow rounds the product to float32 before it adds. A compiler may fuse the
  two, and a truncated sum can then be another integer. So the factor goes in
  two halves of twelve bits: both products are exact, and their sum is rounded
  once in either case.
  """
  origin = start.astype(jnp.float32)
  difference = image.astype(jnp.float32) - origin
  whole = jnp.asarray(factor, jnp.float32)
  bits = jax.lax.bitcast_convert_type(whole, jnp.uint32)
  high = jax.lax.bitcast_convert_type(bits >> 12 << 12, jnp.float32)
  product = high * difference + (whole - high) * difference
  return jnp.clip(origin + product, 0, 255).astype(jnp.uint8)


def rotate(image: jax.Array, degrees: Magnitude) -> jax.Array:
  """Rotates `u8[H, W, C]` counter-clockwise around its centre."""
  return affine(image, rotation(degrees, *image.shape[:2]))


def shear_x(image: jax.Array, share: Magnitude) -> jax.Array:
  """Moves rows of `u8[H, W, C]` left by a share of their way from the top."""
  return affine(image, shearing_x(share))


def shear_y(image: jax.Array, share: Magnitude) -> jax.Array:
  """Moves columns of `u8[H, W, C]` up by a share of their way from the left."""
  return affine(image, shearing_y(share))


def translate_x(image: jax.Array, pixels: Magnitude) -> jax.Array:
  """Moves `u8[H, W, C]` to the left by pixels, rounded."""
  return affine(image, translation_x(pixels))


def translate_y(image: jax.Array, pixels: Magnitude) -> jax.Array:
  """Moves `u8[H, W, C]` up by pixels, rounded."""
  return affine(image, translation_y(pixels))


def affine(image: jax.Array, matrix: Any, fill: int = FILL) -> jax.Array:
  """Takes each pixel from the place that a matrix gives for it.

  Args:
    image: `u8[H, W, C]`.
    matrix: `i32[6]`, `(a, b, c, d, e, f)` in units of 1 / 65536 pixel: pixel
      (x, y) is the one at (a x + b y + c, d x + e y + f), rounded down.
    fill: value of the pixels that come from outside.

  Returns:
    `u8[H, W, C]`.
  """
  height, width, channels = image.shape
  y, x = jnp.arange(height)[:, None], jnp.arange(width)
  matrix = jnp.asarray(matrix)
  from_x = (matrix[0] * x + matrix[1] * y + matrix[2]) >> 16
  from_y = (matrix[3] * x + matrix[4] * y + matrix[5]) >> 16
  inside = (from_x >= 0) & (from_x < width)
  inside &= (from_y >= 0) & (from_y < height)
  at = jnp.where(inside, from_y * width + from_x, 0)
  pixels = image.reshape(-1, channels)[at]
  return jnp.where(inside[..., None], pixels, jnp.uint8(fill))


def rotation(degrees: Magnitude, height: int, width: int) -> Any:
  """The matrix of `rotate` for `affine`, `i32[6]`."""
  cosine: Any
  sine: Any
  if isinstance(degrees, jax.Array):
    cosine = jnp.cos(jnp.deg2rad(degrees))
    sine = jnp.sin(jnp.deg2rad(degrees))
  else:
    angle = math.radians(degrees % 360.0)
    # Pillow's rounding, which makes quarter turns exact.
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
  x, y = width / 2, height / 2
  return _fixed(
    (cosine, -sine, cosine * -x - sine * -y + x),
    (sine, cosine, sine * -x + cosine * -y + y),
  )


def shearing_x(share: Magnitude) -> Any:
  """The matrix of `shear_x` for `affine`, `i32[6]`."""
  return _fixed((1.0, share, 0.0), (0.0, 1.0, 0.0))


def shearing_y(share: Magnitude) -> Any:
  """The matrix of `shear_y` for `affine`, `i32[6]`."""
  return _fixed((1.0, 0.0, 0.0), (share, 1.0, 0.0))


def translation_x(pixels: Magnitude) -> Any:
  """The matrix of `translate_x` for `affine`, `i32[6]`."""
  return _fixed((1.0, 0.0, _whole(pixels)), (0.0, 1.0, 0.0))


def translation_y(pixels: Magnitude) -> Any:
  """The matrix of `translate_y` for `affine`, `i32[6]`."""
  return _fixed((1.0, 0.0, 0.0), (0.0, 1.0, _whole(pixels)))


def _whole(pixels: Magnitude) -> Magnitude:
  """Pillow looks up the centres of pixels unrounded where nothing turns."""
  if isinstance(pixels, jax.Array):
    return jnp.floor(pixels + 0.5)
  return math.floor(pixels + 0.5)


def _fixed(across: tuple[Any, Any, Any], down: tuple[Any, Any, Any]) -> Any:
  """Two rows of a matrix, from the centres of pixels, in 16.16 fixed point."""
  rows = [(a, b, c + a * 0.5 + b * 0.5) for a, b, c in (across, down)]
  numbers = [v for row in rows for v in row]
  traced = any(isinstance(v, jax.Array) for v in numbers)
  array: Any = jnp if traced else np
  stacked = array.stack([array.asarray(v, float) for v in numbers])
  return array.floor(stacked * 65536.0 + 0.5).astype(array.int32)
