"""What happens to images between the data set and the network, on the device.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from fbnax.training.recipes import Settings


def prepare(images: jax.Array, settings: Settings) -> jax.Array:
  """`u8[B, H, W, C]` to normalised `f32[B, R, R, C]` at the resolution."""
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
