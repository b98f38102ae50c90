import dataclasses
import itertools
import json

import numpy as np
import pytest

from fbnax.data import Split, StreamedSplit, stream
from fbnax.data.decoding import resize
from fbnax.data.streaming import resize_centre_crop, resize_random_crop

N = 13


def make_split():
  """Images of many sizes, each of one colour that gives its number away."""
  rng = np.random.default_rng(0)
  sizes = rng.integers(9, 30, (N, 2))
  images = [
    np.full((h, w, 3), 10 * i, np.uint8) for i, (h, w) in enumerate(sizes)
  ]
  return StreamedSplit(
    labels=np.arange(N, dtype=np.int32),
    reader=images.__getitem__,
    records=np.arange(N),
    channels=3,
    describe=str,
  )


def noisy_split():
  rng = np.random.default_rng(1)
  images = rng.integers(0, 256, (N, 12, 17, 3), dtype=np.uint8)
  return Split(images, np.arange(N, dtype=np.int32))


def make(split, **changes):
  options = {
    "batch_size": 4,
    "resolution": 8,
    "seed": 5,
    "train": True,
    "flip": True,
  }
  return stream(split, **(options | changes))


def take(iterator, n):
  return list(itertools.islice(iterator, n))


def assert_same(ours, theirs):
  assert len(ours) == len(theirs)
  for (a, b), (c, d) in zip(ours, theirs, strict=True):
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_evaluation_is_one_padded_pass_in_order():
  found = list(make(make_split(), train=False))
  assert len(found) == 4
  images = np.concatenate([x for x, _ in found])
  labels = np.concatenate([y for _, y in found])
  assert images.shape == (16, 8, 8, 3) and images.dtype == np.uint8
  assert labels.dtype == np.int32
  assert labels.tolist() == [*range(N), -1, -1, -1]
  expected = np.array([10 * i for i in range(N)] + [0] * 3)
  assert (images == expected[:, None, None, None]).all()


def test_training_shows_every_image_once_an_epoch_in_changing_order():
  found = take(
    make(make_split()), 13
  )  # Four epochs of 13 images in batches of 4.
  labels = np.concatenate([y for _, y in found]).reshape(4, N)
  assert (np.sort(labels) == np.arange(N)).all()
  assert len({tuple(epoch) for epoch in labels.tolist()}) == 4
  images = np.concatenate([x for x, _ in found])
  assert (images == 10 * labels.reshape(-1, 1, 1, 1)).all()


def test_seed_decides():
  split = noisy_split()
  a, b, c = (take(make(split, seed=s), 6) for s in (5, 5, 6))
  assert_same(a, b)
  assert any((x != y).any() for (x, _), (y, _) in zip(a, c, strict=True))


@pytest.mark.parametrize("train, total", [(True, 9), (False, 4)])
@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_stream_goes_on_bit_for_bit(train, total, workers):
  split = noisy_split()
  expected = take(make(split, train=train), total)
  for done in range(total):
    first = make(split, train=train, workers=workers)
    assert_same(take(first, done), expected[:done])
    state = json.loads(json.dumps(first.get_state()))
    second = make(split, train=train, workers=workers)
    second.set_state(state)
    assert_same(take(second, total - done), expected[done:])


def test_batch_larger_than_the_split():
  images, labels = next(make(make_split(), batch_size=20))
  assert images.shape == (20, 8, 8, 3)
  assert sorted(labels[:N]) == list(range(N)) and (labels >= 0).all()


def test_flip_mirrors_about_half():
  image = np.zeros((8, 8, 1), np.uint8)
  image[:, :4] = 255
  sides = {True: 0, False: 0}
  rng = np.random.default_rng(0)
  for _ in range(300):
    crop = resize_random_crop(image, (8, 8), rng, flip=True).astype(int)
    sides[bool(crop[:, 0].sum() < crop[:, -1].sum())] += 1
  # A crop within one half is the same mirrored, and counts as not mirrored.
  assert 60 < sides[True] < 150
  rng = np.random.default_rng(0)
  for _ in range(100):
    crop = resize_random_crop(image, (8, 8), rng, flip=False).astype(int)
    assert crop[:, 0].sum() >= crop[:, -1].sum()


def test_random_crops_cover_the_range_of_areas():
  height, width = 300, 400
  image = np.zeros((height, width, 2), np.uint8)
  image[..., 0] = np.linspace(0, 255, width)
  image[..., 1] = np.linspace(0, 255, height)[:, None]
  rng = np.random.default_rng(0)
  areas = []
  for _ in range(300):
    crop = resize_random_crop(image, (50, 50), rng, flip=False) / 255.0
    w = (crop[0, -1, 0] - crop[0, 0, 0]) * 50 / 49
    h = (crop[-1, 0, 1] - crop[0, 0, 1]) * 50 / 49
    areas.append(w * h)
    assert 0.7 < (w * width) / (h * height) < 1.43
  assert 0.06 < min(areas) < 0.15 and 0.8 < max(areas) < 1.05


@pytest.mark.parametrize("shape", [(200, 1, 3), (1, 200, 1), (1, 1, 3)])
def test_extreme_shapes(shape):
  image = np.full(shape, 77, np.uint8)
  rng = np.random.default_rng(0)
  random = resize_random_crop(image, (6, 6), rng, flip=True)
  centre = resize_centre_crop(image, (6, 6), 0.875)
  for found in (random, centre):
    assert found.shape == (6, 6, shape[2]) and (found == 77).all()


def test_centre_crop_is_the_centre_of_the_resized_image():
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (40, 80, 3), dtype=np.uint8)
  whole = resize_centre_crop(image, (40, 40), 1.0)
  np.testing.assert_array_equal(whole, image[:, 20:60])
  half = resize_centre_crop(image, (10, 10), 0.5)
  np.testing.assert_array_equal(half, resize(image, (20, 40))[5:15, 15:25])


@pytest.mark.parametrize(
  "key, value",
  [
    ("batch_size", 0),
    ("resolution", 0),
    ("workers", -1),
    ("seed", -1),
    ("seed", 2**32),
    ("crop_ratio", 0.0),
  ],
)
def test_arguments_out_of_range(key, value):
  with pytest.raises(ValueError, match=f"{key}={value}; legal"):
    make(make_split(), **{key: value})


def test_empty_split():
  with pytest.raises(ValueError, match=r"images=0"):
    make(make_split().take(np.arange(0)))


def unequal_split():
  """3 images of class 0, 9 of class 1, 1 of class 3; none of class 2."""
  split = make_split()
  labels = np.asarray([0] * 3 + [1] * 9 + [3], np.int32)
  return dataclasses.replace(split, labels=labels)


def shown(batches):
  """Numbers of the images of batches, told by their colour."""
  return np.concatenate([x[:, 0, 0, 0] for x, _ in batches]) // 10


def test_balanced_batches_have_each_class_equally_often():
  split = unequal_split()
  found = take(make(split, batch_size=6, balanced=True), 20)
  for _, labels in found:
    assert np.bincount(labels, minlength=4).tolist() == [2, 2, 0, 2]
  numbers = shown(found)
  assert (split.labels[numbers] == np.concatenate([y for _, y in found])).all()
  # Of 40 places of a class: all its images, equally often.
  times = np.bincount(numbers, minlength=N)
  assert set(times[:3]) == {13, 14} and set(times[3:12]) == {4, 5}
  assert times[12] == 40


def test_balanced_batches_follow_from_seed_and_place():
  split = unequal_split()
  whole = take(make(split, balanced=True), 9)
  assert_same(take(make(split, balanced=True, workers=2), 9), whole)
  assert (
    shown(take(make(split, balanced=True, seed=6), 9)) != shown(whole)
  ).any()
  part = make(split, balanced=True)
  take(part, 4)
  again = make(split, balanced=True)
  again.set_state(part.get_state())
  assert_same(take(again, 5), whole[4:])
  ours = take(make(split, balanced=True, rows=range(1, 3)), 9)
  assert_same(ours, [(x[1:3], y[1:3]) for x, y in whole])


def test_turned_images_are_the_others_turned():
  """Crops and flips stay as they were; turns are drawn after them."""
  (plain, _), *_ = take(make(noisy_split(), batch_size=13), 1)
  (turned, _), *_ = take(
    make(noisy_split(), batch_size=13, quarter_turns=True), 1
  )
  kinds = []
  for before, after in zip(plain, turned, strict=True):
    same = [np.array_equal(np.rot90(before, k), after) for k in range(4)]
    assert sum(same) == 1
    kinds.append(same.index(True))
  assert len(set(kinds)) == 4
  (upside, _), *_ = take(
    make(noisy_split(), batch_size=13, vertical_flip=True), 1
  )
  same = [np.array_equal(a, b) for a, b in zip(plain, upside, strict=True)]
  over = [
    np.array_equal(a[::-1], b) for a, b in zip(plain, upside, strict=True)
  ]
  assert all(a != b for a, b in zip(same, over, strict=True))
  assert any(same) and any(over)
