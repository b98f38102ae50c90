"""What a network says of every image of a split.

Symbols: `N` images, `K` classes, `D` features.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.classifier import logits_and_features
from fbnax.training import augment
from fbnax.training.loop import Examples, Feed, batches
from fbnax.training.recipes import Settings


class Outputs(NamedTuple):
  """Of all images of a split, in its order.

  Attributes:
    logits: `f32[N, K]`.
    features: what the last layer is given, `f32[N, D]`.
    labels: `i32[N]`.
  """

  logits: np.ndarray
  features: np.ndarray
  labels: np.ndarray


def of_split(
  module: Any, settings: Settings, variables: Any, images: Feed
) -> Outputs:
  """Logits and features of images as they are, in evaluation.

  Args:
    module: a network that ends in a layer called `classifier`.
    settings: resolution, normalisation and batch size.
    variables: of the module.
    images: on the device, or a split that is streamed.
  """
  rows = []
  for pixels, labels in _batches(images, settings):
    logits, features = _outputs(module, settings, variables, pixels)
    kept = labels >= 0
    rows.append(
      [np.asarray(a, np.float32)[kept] for a in (logits, features)]
      + [labels[kept].astype(np.int32)]
    )
  return Outputs(*(np.concatenate(c) for c in zip(*rows, strict=True)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _outputs(
  module: Any, settings: Settings, variables: Any, pixels: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x = augment.prepare(pixels, settings)
  return logits_and_features(module, variables, x)


def _batches(images: Feed, settings: Settings) -> Any:
  """Pixels and labels, `settings.batch_size` at a time, -1 where padded."""
  size = min(settings.batch_size, len(images.labels))
  if not isinstance(images, Examples):
    # Every process takes all of them.
    settings = dataclasses.replace(settings, mesh=None)
    for pixels, of_pixels in batches(settings, images, size, train=False):
      yield jnp.asarray(pixels), np.asarray(of_pixels)
    return
  count = images.labels.shape[0]
  labels = np.asarray(images.labels)
  for start in range(0, count, size):
    rows = np.arange(start, start + size)
    inside = rows < count
    rows = np.minimum(rows, count - 1)
    yield images.images[rows], np.where(inside, labels[rows], -1)
