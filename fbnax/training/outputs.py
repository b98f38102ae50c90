"""What a trained network says of every image of a split.

Symbols: `N` images, `D` features, `K` classes.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.models import classifier
from fbnax.training import augment
from fbnax.training.loop import Examples, Feed
from fbnax.training.recipes import Settings


class Outputs(NamedTuple):
  """Of the images of a split, in its order.

  Attributes:
    logits: `f32[N, K]`.
    features: what the classifier is shown, `f32[N, D]`.
    labels: `i32[N]`.
  """

  logits: np.ndarray
  features: np.ndarray
  labels: np.ndarray


def outputs(
  module: nn.Module, settings: Settings, variables: Any, images: Feed
) -> Outputs:
  """Logits and features of images as they are, batch by batch.

  Args:
    module: a network whose last layer is called `classifier`.
    settings: resolution, normalisation and batch size.
    variables: of the module.
    images: on the device, or a split that is streamed.

  Raises:
    ValueError: no layer, or several, are called `classifier`.
  """
  parts = []
  for pixels, labels in _batches(settings, images):
    seen = _see(module, settings, variables, jnp.asarray(pixels))
    kept = np.asarray(labels) >= 0
    parts.append(
      (*(np.asarray(x, np.float32)[kept] for x in seen), labels[kept])
    )
  return Outputs(
    *(np.concatenate(column) for column in zip(*parts, strict=True))
  )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _see(
  module: nn.Module, settings: Settings, variables: Any, images: jax.Array
) -> classifier.Seen:
  return classifier.see(module, variables, augment.prepare(images, settings))


def _batches(settings: Settings, images: Feed) -> Any:
  """Batches of one size with labels, -1 for those that fill the last one."""
  if not isinstance(images, Examples):
    yield from data.stream(
      images,
      batch_size=min(settings.batch_size, len(images)),
      resolution=settings.resolution,
      seed=0,
      train=False,
      workers=8,
    )
    return
  count = images.labels.shape[0]
  batch = min(settings.batch_size, count)
  for start in range(0, count, batch):
    rows = np.arange(start, start + batch)
    labels = np.asarray(images.labels)[rows % count]
    yield images.images[rows % count], np.where(rows < count, labels, -1)
