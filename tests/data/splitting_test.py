import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fbnax.data import Dataset, Split, StreamedSplit, fold, hold_out, subset


def numbered(labels):
  """A split whose image number i shows i in its first two pixels."""
  n = len(labels)
  images = np.zeros((n, 1, 2, 1), np.uint8)
  images[:, 0, 0, 0], images[:, 0, 1, 0] = divmod(np.arange(n), 256)
  return Split(images, np.asarray(labels, np.int32))


def streamed(split):
  return StreamedSplit(
    labels=split.labels,
    reader=lambda i: split.images[i],
    records=np.arange(len(split)),
    channels=1,
    describe=str,
    size=split.size,
  )


def numbers(split):
  if isinstance(split, StreamedSplit):
    images = np.array([split.read(i) for i in range(len(split))])
  else:
    images = split.images
  return (images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 1, 0]).tolist()


LABELS = st.lists(st.integers(0, 6), min_size=2, max_size=80)


@settings(max_examples=150, deadline=None)
@given(LABELS, st.floats(0.01, 0.99), st.integers(0, 2**31), st.booleans())
def test_hold_out_is_a_stratified_partition(labels, fraction, seed, stream):
  split = numbered(labels)
  counts = np.bincount(labels, minlength=7)
  if (counts < 2).all():
    with pytest.raises(ValueError, match=r"nothing can be held out"):
      hold_out(split, fraction, seed=seed)
    return
  whole = streamed(split) if stream else split
  kept, held = hold_out(whole, fraction, seed=seed)
  assert type(kept) is type(held) is type(whole)
  assert sorted(numbers(kept) + numbers(held)) == list(range(len(labels)))
  for part in (kept, held):
    assert part.labels.tolist() == [labels[i] for i in numbers(part)]
  in_kept = np.bincount(kept.labels, minlength=7)
  in_held = np.bincount(held.labels, minlength=7)
  assert ((in_kept > 0) == (counts > 0)).all()
  assert ((in_held > 0) == (counts > 1)).all()


@settings(max_examples=150, deadline=None)
@given(LABELS, st.data())
def test_hold_out_of_a_count_is_exact(labels, data):
  counts = np.bincount(labels)
  least, most = (counts >= 2).sum(), (counts[counts >= 2] - 1).sum()
  if not least:
    return
  count = data.draw(st.integers(int(least), int(most)))
  assert len(hold_out(numbered(labels), count, seed=0)[1]) == count
  for wrong in (int(least) - 1, int(most) + 1):
    with pytest.raises(ValueError, match=f"legal counts: {least} to {most}"):
      hold_out(numbered(labels), wrong, seed=0)


def test_shares_are_proportional():
  labels = [0] * 1000 + [1] * 100 + [2] * 10 + [3] * 2 + [4]
  kept, held = hold_out(numbered(labels), 0.2, seed=3)
  assert np.bincount(held.labels, minlength=5).tolist() == [200, 20, 2, 1, 0]
  assert np.bincount(kept.labels).tolist() == [800, 80, 8, 1, 1]


def test_same_seed_same_parts_other_seed_other_parts():
  split = numbered([0, 1] * 50)
  held = [numbers(hold_out(split, 0.3, seed=s)[1]) for s in (1, 1, 2)]
  assert held[0] == held[1] != held[2]


def test_every_image_is_held_out_by_some_seed_about_as_often():
  split = numbered([0] * 10 + [1] * 10)
  times = np.zeros(20)
  for seed in range(400):
    times[numbers(hold_out(split, 0.5, seed=seed)[1])] += 1
  assert (abs(times - 200) < 50).all()


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 1.5, True, float("nan")])
def test_fraction_out_of_range(wrong):
  with pytest.raises(ValueError, match=r"fraction_or_count"):
    hold_out(numbered([0, 0, 1, 1]), wrong, seed=0)


@pytest.mark.parametrize(
  ("labels", "amount", "message"),
  [
    (
      [0, 1, 2],
      0.2,
      "data.x=0.2: nothing .* 3 images, one .* 3 classes;",
    ),
    ([0, 0, 1, 1], 3, "data.x=3 of 4 images .*legal counts: 2 to 2"),
    ([0, 0, 1, 1], 1.5, "data.x=1.5; legal: a fraction"),
    ([0, 0, 1, 1], True, "data.x=True is no number"),
  ],
)
def test_messages_call_the_amount_by_its_key(labels, amount, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    hold_out(numbered(labels), amount, seed=0, key="data.x")


@settings(max_examples=100, deadline=None)
@given(LABELS, st.integers(7, 100), st.integers(0, 100))
def test_subset_shows_every_class(labels, count, seed):
  part = subset(numbered(labels), count, seed=seed)
  assert len(part) == min(count, len(labels))
  assert set(part.labels.tolist()) == set(labels)
  assert len(set(numbers(part))) == len(part)


def test_subset_smaller_than_the_classes():
  with pytest.raises(ValueError, match=r"count=2 .* each of 3 classes"):
    subset(numbered([0, 1, 2, 2]), 2, seed=0)


def dataset(labels, test):
  """A data set whose last `test` images are its test split."""
  whole = numbered(labels)
  places = np.arange(len(labels))
  return Dataset(
    name="numbered",
    class_names=tuple("abcdefg"),
    train=whole.take(places[:-test]),
    test=whole.take(places[-test:]),
    flip=False,
    crop_padding=1,
    source="made up",
  )


MANY = st.lists(st.integers(0, 6), min_size=40, max_size=120)


@settings(max_examples=60, deadline=None)
@given(MANY, st.integers(2, 6), st.integers(0, 9))
def test_folds_are_disjoint_whole_and_stratified(labels, folds, seed):
  whole = dataset(labels, 7)
  counts = np.bincount(labels, minlength=7)
  smallest = counts[counts > 0].min()
  if smallest < folds:
    with pytest.raises(ValueError, match=rf"folds={folds}; legal: 2 to "):
      fold(whole, folds, 0, seed)
    return
  found = [fold(whole, folds, i, seed) for i in range(folds)]
  tests = [numbers(f.test) for f in found]
  assert sorted(i for test in tests for i in test) == list(range(len(labels)))
  for one, test in zip(found, tests, strict=True):
    assert sorted(numbers(one.train) + test) == list(range(len(labels)))
    for part in (one.train, one.test):
      assert part.labels.tolist() == [labels[i] for i in numbers(part)]
  by_class = np.stack([np.bincount(f.test.labels, minlength=7) for f in found])
  assert (np.ptp(by_class, axis=0) <= 1).all()
  assert np.ptp(by_class.sum(1)) <= 1


def test_a_fold_depends_on_seed_and_images_alone():
  labels = [0, 1, 2] * 20
  one = dataset(labels, 10)
  order = np.random.default_rng(0).permutation(60)
  shuffled = numbered(labels).take(order)
  other = dataclasses.replace(
    one,
    train=shuffled.take(np.arange(33)),
    test=shuffled.take(np.arange(33, 60)),
  )
  first, again = (fold(d, 3, 1, 0) for d in (one, other))
  assert numbers(first.test) == numbers(again.test)
  assert numbers(first.train) == numbers(again.train)
  assert numbers(fold(one, 3, 1, 1).test) != numbers(first.test)


def test_a_fold_changes_the_splits_alone():
  one = dataset([0, 1] * 20, 10)
  found = fold(one, 4, 3, 0)
  assert found.source == "made up, fold 3 of 4"
  kept = {f.name for f in dataclasses.fields(Dataset)} - {
    "train",
    "test",
    "source",
  }
  for name in kept:
    assert getattr(found, name) == getattr(one, name)


@pytest.mark.parametrize(
  ("folds", "index", "message"),
  [
    (1, 0, "data.folds=1; legal: 2 to 20"),
    (21, 0, "data.folds=21; legal: 2 to 20"),
    (True, 0, "data.folds=True"),
    (5, 5, "data.fold=5; legal: 0 to 4"),
    (5, -1, "data.fold=-1; legal: 0 to 4"),
  ],
)
def test_folds_that_cannot_be(folds, index, message):
  with pytest.raises(ValueError, match=message):
    fold(dataset([0, 1] * 20, 10), folds, index, 0)


def test_streamed_sets_have_no_folds():
  one = dataset([0, 1] * 20, 10)
  one = dataclasses.replace(one, train=streamed(one.train))
  with pytest.raises(ValueError, match=r"folds=4: made up is streamed"):
    fold(one, 4, 0, 0)
