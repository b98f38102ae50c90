"""Numbers about splits: the channels' mean and spread, and shared images.

Symbols: `N` images, `C` channels.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from fbnax.data.dataset import AnySplit, Split

# A channel without contrast (a mask, a black border) would be divided by zero.
_SMALLEST_STD = 1.0 / 255.0
_STREAMED_SAMPLE = 2000
_CHUNK = 4096


def normalization(split: AnySplit) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of each channel, over images and pixels.

  A split in memory is counted completely; of a streamed one 2,000 images are
  read, evenly spaced, each weighing by its pixels.

  Args:
    split: N >= 1 images.

  Returns:
    (mean f32[C], std f32[C]) in units of the 0 .. 1 scale (a pixel of 255 is
    1.0); std is at least 1/255.

  Raises:
    ValueError: if the split is empty.
  """
  if not len(split):
    raise ValueError("normalization of a split of 0 images; legal: 1 or more")
  # A histogram makes the sums exact, whatever the size of the set.
  counts = np.zeros((split.channels, 256), np.int64)
  for pixels in _pixel_blocks(split):
    for c in range(split.channels):
      counts[c] += np.bincount(pixels[..., c].reshape(-1), minlength=256)
  values = np.arange(256) / 255.0
  weights = counts / counts.sum(axis=1, keepdims=True)
  mean = weights @ values
  variance = (weights * (values - mean[:, None]) ** 2).sum(axis=1)
  std = np.maximum(np.sqrt(variance), _SMALLEST_STD)
  return mean.astype(np.float32), std.astype(np.float32)


def shared_images(*splits: AnySplit, max_streamed: int = 100_000) -> int:
  """Counts the images that appear in more than one split.

  Two images are the same if their shapes and all their pixels are. A picture
  counts once, however many splits it appears in and however often; copies
  within one split do not count.

  Args:
    *splits: any splits; streamed ones are decoded completely.
    max_streamed: above this many streamed images in all, nothing is read.

  Returns:
    The number of distinct shared images, or -1 if that would have meant
    decoding more than `max_streamed` images.

  Raises:
    ValueError: if a streamed image cannot be decoded.
  """
  streamed = sum(len(s) for s in splits if not isinstance(s, Split))
  if streamed > max_streamed:
    return -1
  seen: set[bytes] = set()
  shared: set[bytes] = set()
  for split in splits:
    digests = {_digest(split.read(i)) for i in range(len(split))}
    shared |= digests & seen
    seen |= digests
  return len(shared)


def _pixel_blocks(split: AnySplit) -> Iterator[np.ndarray]:
  if isinstance(split, Split):
    for start in range(0, len(split), _CHUNK):
      yield split.images[start : start + _CHUNK]
  else:
    count = min(len(split), _STREAMED_SAMPLE)
    for i in np.linspace(0, len(split) - 1, count).astype(np.int64):
      yield split.read(int(i))


def _digest(image: np.ndarray) -> bytes:
  content = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
  content.update(np.ascontiguousarray(image).data)
  return content.digest()
