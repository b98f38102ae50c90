import dataclasses

import numpy as np
import pytest

from fbnax.data import Dataset, Split, check

IMAGES = np.zeros((6, 4, 5, 3), np.uint8)
GOOD = Dataset(
  name="made",
  class_names=("ant", "bee", "cow"),
  train=Split(
    np.zeros((6, 4, 5, 3), np.uint8), np.array([0, 1, 2, 0, 1, 2], np.int32)
  ),
  test=Split(np.zeros((2, 4, 5, 3), np.uint8), np.array([0, 1], np.int32)),
  flip=True,
  crop_padding=0,
  source="/some/file",
)


def test_non_square_images_and_a_test_set_without_a_class_are_legal():
  check(GOOD)


def train(images=IMAGES, labels=GOOD.train.labels):
  return {"train": Split(images, labels)}


@pytest.mark.parametrize(
  "changes, key, found",
  [
    (
      train(labels=np.array([0, 1, 2, 0, 3, 2], np.int32)),
      "train.labels",
      "3 at index 4",
    ),
    (
      train(labels=np.array([0, -1, 2, 0, 1, 2], np.int32)),
      "train.labels",
      "-1 at ind",
    ),
    (train(labels=np.arange(6) % 3), "train.labels", r"int64\[6\]"),
    (
      train(labels=np.array([0, 1, 0, 0, 1, 1], np.int32)),
      "train",
      "class 'cow'",
    ),
    (
      train(images=np.zeros((5, 4, 5, 3), np.uint8)),
      "train.images",
      "5 images",
    ),
    (train(images=np.zeros((6, 4, 5), np.uint8)), "train.images", "uint8"),
    (train(images=np.zeros((6, 4, 5, 3))), "train.images", "float64"),
    (
      train(images=np.zeros((6, 5, 4, 3), np.uint8)),
      "test.images",
      r"\(4, 5\)",
    ),
    (
      train(images=np.zeros((6, 4, 5, 1), np.uint8)),
      "test.images",
      "3 channels",
    ),
    ({"test": GOOD.test.take(np.arange(0))}, "test.labels", r"int32\[0\]"),
    ({"class_names": ("ant", "bee", "ant")}, "class_names", "ant"),
    ({"class_names": ("ant",)}, "class_names", "1 classes"),
    ({"class_names": ("ant", "", "cow")}, "class_names", "''"),
    ({"class_names": ("ant", " \t", "cow")}, "class_names", r"' \\t'"),
    ({"class_names": ("ant", 3, "cow")}, "class_names", "3"),
    ({"class_names": ("ant", "b\udce9", "c")}, "class_names", r"'b\\udce9'"),
    (
      {"class_names": ("\xe9", "b", "e\u0301")},
      "class_names",
      r"'\\xe9', 'e\\u0301', which are one name",
    ),
    ({"crop_padding": -1}, "crop_padding", "-1"),
  ],
)
def test_names_source_key_and_finding(changes, key, found):
  with pytest.raises(ValueError, match=f"^/some/file: {key}: found .*{found}"):
    check(dataclasses.replace(GOOD, **changes))


def test_control_characters_are_legal_in_names():
  names = ("size one = 1", "a\x1b[2J", "javascript: the good parts")
  check(dataclasses.replace(GOOD, class_names=names))


def test_label_equal_to_the_number_of_classes_is_the_first_illegal_one():
  labels = np.array([0, 1, 2, 0, 1, 3], np.int32)
  with pytest.raises(ValueError, match=r"legal: 0 to 2"):
    check(dataclasses.replace(GOOD, **train(labels=labels)))
