import numpy as np
import pytest

from fbnax.data import Split, StreamedSplit, normalization, shared_images


def random_split(n, shape, seed=0):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
  return Split(images, np.zeros(n, np.int32))


def streamed(split):
  return StreamedSplit(
    labels=split.labels,
    reader=lambda i: split.images[i],
    records=np.arange(len(split)),
    channels=split.channels,
    describe=str,
  )


def test_normalization_agrees_with_float64_numpy():
  split = random_split(50, (7, 5, 3))
  split.images[..., 1] //= 4
  split.images[..., 2] = 40
  scaled = split.images.astype(np.float64) / 255
  mean, std = normalization(split)
  assert mean.dtype == std.dtype == np.float32 and mean.shape == (3,)
  np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-6)
  expected = scaled.std((0, 1, 2))
  np.testing.assert_allclose(std[:2], expected[:2], rtol=1e-6)
  assert std[2] == pytest.approx(1 / 255)
  for ours, theirs in zip(
    normalization(streamed(split)), (mean, std), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_normalization_of_more_than_one_chunk():
  split = random_split(5000, (2, 2, 1))
  mean, std = normalization(split)
  scaled = split.images / 255.0
  np.testing.assert_allclose(mean, [scaled.mean()], rtol=1e-6)
  np.testing.assert_allclose(std, [scaled.std()], rtol=1e-6)


def test_normalization_of_nothing():
  with pytest.raises(ValueError, match=r"0 images"):
    normalization(random_split(0, (2, 2, 1)))


@pytest.mark.parametrize("change", [lambda s: s, streamed])
def test_shared_images_counts_pictures_not_copies(change):
  a, b, c = (random_split(6, (4, 4, 1), seed) for seed in range(3))
  b.images[0] = b.images[1] = a.images[3]
  c.images[5] = a.images[3]
  c.images[4] = b.images[2]
  c.images[1] = c.images[0]
  a, b, c = change(a), change(b), change(c)
  assert shared_images(a, b) == 1
  assert shared_images(a, b, c) == 2
  assert shared_images(a) == 0 == shared_images(c)


def test_same_bytes_of_another_shape_are_another_image():
  a = random_split(3, (2, 8, 1))
  b = Split(a.images.reshape(3, 4, 4, 1), a.labels)
  assert shared_images(a, b) == 0 and shared_images(a, a) == 3


def test_too_many_streamed_images_are_not_read():
  a = streamed(random_split(3, (2, 2, 1)))
  assert shared_images(a, a, max_streamed=5) == -1
  assert shared_images(a, a, max_streamed=6) == 3
