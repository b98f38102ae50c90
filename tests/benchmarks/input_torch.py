"""PyTorch's `DataLoader` with Pillow: the peer of `input_rate`.

Needs the extra `torch`. torchvision's transforms of the same names do this, and
are not needed for it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils import data


class Photographs(data.Dataset):
  """Random resized crops, mirrored half of the time, as `u8[C, H, W]`."""

  def __init__(self, files: Sequence[Path], side: int) -> None:
    """Of JPEG files."""
    self.files, self.side = files, side

  def __len__(self) -> int:
    """Images."""
    return len(self.files)

  def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
    """An image and the number of its class."""
    with Image.open(self.files[index]) as file:
      image = file.convert("RGB")
    left, top, w, h = _part(*image.size)
    crop = image.resize(
      (self.side, self.side),
      Image.Resampling.BILINEAR,
      box=(left, top, left + w, top + h),
    )
    if random.random() < 0.5:
      crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1)
    return pixels, int(self.files[index].parent.name.removeprefix("class"))


def _part(width: int, height: int) -> tuple[int, int, int, int]:
  for _ in range(10):
    area = width * height * random.uniform(0.08, 1.0)
    aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
    w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    if 0 < w <= width and 0 < h <= height:
      return random.randint(0, width - w), random.randint(0, height - h), w, h
  side = min(width, height)
  return (width - side) // 2, (height - side) // 2, side, side


def make_epoch(
  files: Sequence[Path], side: int, batch: int, workers: int
) -> Callable[[], int]:
  """An epoch of whole batches; returns the images that came.

  Args:
    files: in folders `class0`, `class1`, ...
    side: pixels.
    batch: images of a batch.
    workers: processes that stay; 0 for none.
  """
  loader = data.DataLoader(
    Photographs(files, side),
    batch_size=batch,
    shuffle=True,
    drop_last=True,
    num_workers=workers,
    persistent_workers=workers > 0,
    # Started anew: a fork of a process with XLA's threads may hang.
    multiprocessing_context="spawn" if workers else None,
  )

  def epoch() -> int:
    return sum(len(labels) for _, labels in loader)

  return epoch
