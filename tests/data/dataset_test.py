import dataclasses

import numpy as np
import pytest

from fbnax.data import Dataset, Split, StreamedSplit


def make_streamed(n=5, size=None):
  return StreamedSplit(
    labels=np.arange(n, dtype=np.int32),
    reader=lambda i: np.full((2, 3, 1), i, np.uint8),
    records=np.arange(n) * 10,
    channels=1,
    describe=lambda i: f"record {i}",
    size=size,
    mixed_sizes="a.png is (2, 3), b.png is (3, 2)",
  )


def make_dataset(split):
  return Dataset("made", ("a", "b"), split, split, False, 0, "here")


def test_take_of_a_take_reads_the_same_images():
  part = make_streamed().take(np.array([4, 2, 0])).take(np.array([1, 2]))
  assert part.labels.tolist() == [2, 0]
  assert [part.read(i)[0, 0, 0] for i in range(2)] == [20, 0]


def test_take_of_arrays():
  split = Split(np.arange(24, dtype=np.uint8).reshape(4, 2, 3, 1), np.arange(4))
  part = split.take(np.array([3, 1]))
  assert part.labels.tolist() == [3, 1] and part.images[0, 0, 0, 0] == 18
  assert len(part) == 2 and part.size == (2, 3) and part.channels == 1


def test_image_shape():
  images = np.zeros((4, 2, 3, 1), np.uint8)
  assert make_dataset(Split(images, np.arange(4))).image_shape == (2, 3, 1)
  assert make_dataset(make_streamed(size=(2, 3))).image_shape == (2, 3, 1)
  with pytest.raises(ValueError, match=r"here: .*a.png is \(2, 3\)"):
    _ = make_dataset(make_streamed()).image_shape


def test_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    make_dataset(make_streamed()).name = "other"
