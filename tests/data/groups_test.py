"""Images of a group are never on two sides, however the data is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fbnax.data import Split, fold, hold_out, load, subset
from fbnax.data.dataset import Dataset

# Thirty groups of one to nine images of two classes.
RANDOM = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(30), RANDOM.integers(1, 10, 30)).astype(np.int32)
GROUPS = RANDOM.permutation(GROUPS)
LABELS = (RANDOM.random(len(GROUPS)) < 0.3).astype(np.int32)


def _split(groups=GROUPS, labels=LABELS):
  images = np.zeros((len(labels), 1, 2, 1), np.uint8)
  images[:, 0, 0, 0], images[:, 0, 1, 0] = divmod(np.arange(len(labels)), 256)
  return Split(images, labels, groups)


def _apart(one, other):
  return not set(one.groups.tolist()) & set(other.groups.tolist())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 40])
def test_groups_are_held_out_whole(fraction, seed):
  split = _split()
  kept, held = hold_out(split, fraction, seed=seed)
  assert _apart(kept, held) and len(kept) + len(held) == len(split)
  wanted = fraction if isinstance(fraction, int) else fraction * len(split)
  assert abs(len(held) - wanted) <= 3
  share = held.labels.mean() - split.labels.mean()
  assert abs(share) < 0.08
  again = hold_out(split, fraction, seed=seed)[1]
  np.testing.assert_array_equal(held.images, again.images)


def test_another_seed_holds_other_groups_out():
  parts = [hold_out(_split(), 0.25, seed=seed)[1] for seed in (0, 1)]
  assert set(parts[0].groups.tolist()) != set(parts[1].groups.tolist())


@settings(max_examples=60, deadline=None)
@given(
  st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=4, max_size=40
  ),
  st.floats(0.05, 0.9),
)
def test_a_class_of_two_groups_is_on_both_sides_or_no_cut_can(pairs, fraction):
  groups, labels = np.asarray(pairs, np.int32).T
  split = _split(groups, labels)
  try:
    kept, held = hold_out(split, fraction, seed=0)
  except ValueError as error:
    assert "can be held out" in str(error)
    return
  assert _apart(kept, held) and len(kept) and len(held)
  # A class is never held out whole, so that it can be trained on.
  assert set(kept.labels.tolist()) == set(labels.tolist())


def _dataset(split):
  train, test = (
    split.take(np.arange(100)),
    split.take(np.arange(100, len(split))),
  )
  return Dataset("own", ("a", "b"), train, test, False, 0, "here")


def test_folds_are_of_whole_groups():
  parts = [fold(_dataset(_split()), 4, i, 0) for i in range(4)]
  for i, part in enumerate(parts):
    assert _apart(part.train, part.test)
    assert abs(len(part.test) - len(LABELS) / 4) <= 5
    assert abs(part.test.labels.mean() - LABELS.mean()) < 0.1
    for other in parts[i + 1 :]:
      assert _apart(part.test, other.test)
  assert sum(len(part.test) for part in parts) == len(LABELS)


def test_more_folds_than_groups_are_refused():
  few = _split(np.asarray(GROUPS % 3))
  with pytest.raises(ValueError, match=r"data\.folds=4 of 3 groups"):
    fold(_dataset(few), 4, 0, 0)


def test_one_group_cannot_be_cut():
  whole = _split(np.zeros_like(GROUPS))
  with pytest.raises(ValueError, match="of 1 groups of"):
    hold_out(whole, 0.2, seed=0, key="data.test_fraction")


def test_a_subset_keeps_the_groups_of_its_images():
  split = _split()
  part = subset(split, 50, seed=0)
  places = part.images[:, 0, 0, 0].astype(int) * 256 + part.images[:, 0, 1, 0]
  np.testing.assert_array_equal(part.groups, split.groups[places])


@pytest.fixture
def folder(tmp_path):
  """Two classes of 12 images; image i of both is of group i // 3."""
  lines = ["image,group"]
  for label in ("cat", "dog"):
    (tmp_path / "data" / label).mkdir(parents=True)
    for i in range(12):
      image = RANDOM.integers(0, 256, (4, 4), np.uint8)
      Image.fromarray(image).save(tmp_path / "data" / label / f"{i:02}.png")
      lines.append(f"{label}/{i:02}.png, day {i // 3}")
  (tmp_path / "groups.csv").write_text("\n".join(lines))
  return tmp_path


def _load(folder, **changes):
  return load(
    "folder",
    path=folder / "data",
    groups=folder / "groups.csv",
    **{"test_fraction": 0.25, "seed": 1} | changes,
  )


@pytest.mark.parametrize("in_memory_bytes", [0, 2**20])
def test_a_folder_with_groups(folder, in_memory_bytes):
  found = _load(folder, in_memory_bytes=in_memory_bytes)
  assert len(found.test) == 6 and _apart(found.train, found.test)
  assert found.test.labels.tolist() == [0] * 3 + [1] * 3
  days = {int(name[-6:-4]) // 3 for name in found.test.names}
  assert len(days) == 1 and found.test.names[0].startswith("cat/")
  assert len(set(found.test.groups.tolist())) == 1
  kept, held = hold_out(found.train, 0.3, seed=0)
  assert _apart(kept, held) and len(held) == 6


@pytest.mark.parametrize(
  ("lines", "message"),
  [
    ("cat/00.png", r"line 26 is 'cat/00\.png'; legal: image,group"),
    ("cat/00.png,a,b", r"line 26 is .* legal: image,group"),
    ("cat/00.png,", r"line 26 is .* legal: image,group"),
    (
      "cat/00.png,a",
      r"line 26 is the image 'cat/00\.png' once more, after.* 2",
    ),
    ("cat/99.png,a", r"line 26: there is no image 'cat/99\.png'; legal"),
    ('"cat/00.png,a', r"line 26: .*; legal: image,group"),
  ],
)
def test_lines_that_are_none_are_named(folder, lines, message):
  with (folder / "groups.csv").open("a") as file:
    file.write(f"\n{lines}")
  with pytest.raises(ValueError, match=rf"groups\.csv: {message}"):
    _load(folder)


def test_an_image_without_a_group_is_named(folder):
  text = (folder / "groups.csv").read_text()
  (folder / "groups.csv").write_text(text.rpartition("\n")[0])
  with pytest.raises(ValueError, match=r"no line for the image 'dog/11\.png'"):
    _load(folder)


def test_a_file_that_is_none_is_refused(folder):
  (folder / "groups.csv").unlink()
  with pytest.raises(ValueError, match=r"groups=.*legal: a CSV file"):
    _load(folder)
  with pytest.raises(ValueError, match="only 'folder' takes them"):
    load("digits", groups=folder / "groups.csv")


def test_splits_of_the_folder_that_share_a_group_are_refused(folder):
  (folder / "data" / "train").mkdir()
  for label in ("cat", "dog"):
    (folder / "data" / label).rename(folder / "data" / "train" / label)
    (folder / "data" / "test" / label).mkdir(parents=True)
    (folder / "data" / "train" / label / "00.png").rename(
      folder / "data" / "test" / label / "00.png"
    )
  text = (folder / "groups.csv").read_text()
  text = text.replace("cat/", "train/cat/").replace("dog/", "train/dog/")
  text = text.replace("train/cat/00", r"test\cat\00")  # Of Windows.
  text = text.replace("train/dog/00", "test/dog/00")
  (folder / "groups.csv").write_text(text)
  with pytest.raises(
    ValueError, match=r"1 groups are on both sides, .*01\.png"
  ):
    _load(folder)
  lines = text.splitlines()
  lines = [line + "t" if line.startswith("test") else line for line in lines]
  (folder / "groups.csv").write_text("\n".join(lines))
  found = _load(folder)
  assert len(found.test) == 2 and _apart(found.train, found.test)
