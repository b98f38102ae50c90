import dataclasses

import numpy as np
import pytest
from ml_collections import config_dict
from PIL import Image

from fbnax import data
from fbnax.jobs.runtime import inputs, sections


def config(seed=0, **changes):
  data = {
    "name": "digits",
    "path": "",
    "tfds_name": "",
    "test_fraction": 0.2,
    "max_images": 0,
    "decode_resolution": 0,
    "validation_fraction": 0.25,
    "folds": 0,
    "fold": 0,
    "groups": "",
    "pictures": True,
  }
  return config_dict.ConfigDict({"seed": seed, "data": data | changes})


def images(split):
  return {image.tobytes() for image in split.images}


def test_a_fold_is_the_same_for_every_seed_and_fraction():
  first = inputs.dataset(config(folds=5, fold=2))
  again = inputs.dataset(config(seed=3, folds=5, fold=2, test_fraction=0.4))
  assert np.array_equal(first.test.images, again.test.images)
  assert np.array_equal(first.train.images, again.train.images)
  assert "fold 2 of 5" in first.source


def test_the_folds_of_digits_share_no_image_with_their_training():
  tests = []
  for i in range(5):
    found = inputs.dataset(config(folds=5, fold=i))
    assert len(found.train) + len(found.test) == 1797
    assert not images(found.train) & images(found.test)
    tests.append(images(found.test))
  assert len(set.union(*tests)) == sum(len(t) for t in tests) == 1797


def test_max_images_cuts_down_what_the_fold_made():
  whole = inputs.dataset(config(folds=5, fold=1))
  cut = inputs.dataset(config(folds=5, fold=1, max_images=100))
  assert (len(cut.train), len(cut.test)) == (100, 100)
  assert images(cut.train) <= images(whole.train)
  assert images(cut.test) <= images(whole.test)


def test_a_fold_without_folds_is_refused():
  with pytest.raises(ValueError, match=r"data\.fold=2 without data\.folds"):
    inputs.dataset(config(fold=2))


def folder(root, counts, value=90, dtype=np.uint8):
  for name, count in counts.items():
    (root / name).mkdir(parents=True)
    for i in range(count):
      image = np.full((8, 8), value + i, dtype)
      Image.fromarray(image).save(root / name / f"{i}.png")
  return config(name="folder", path=str(root))


def test_classes_without_images_are_named_before_training(tmp_path, capsys):
  given = folder(tmp_path, {"cat": 9, "dog": 1, "emu": 2})
  found = inputs.dataset(given)
  train, validation = inputs.hold_out(given, found)
  facts = inputs.facts(found, train, validation)
  assert facts.untested == ("dog",)
  assert facts.unvalidated == ("dog", "emu")
  said = capsys.readouterr().out
  assert f"{tmp_path}: no test image of 1 of 3 classes: dog\n" in said
  assert "no validation image of 2 of 3 classes: dog, emu\n" in said


def test_whole_splits_and_splits_that_are_not_there_lack_no_class(capsys):
  found = inputs.dataset(config())
  train, validation = inputs.hold_out(config(), found)
  facts = inputs.facts(found, train, validation)
  none = inputs.facts(found, found.train, found.train.take(np.arange(0)))
  for each in (facts, none):
    assert each.untested == each.unvalidated == ()
  assert capsys.readouterr().out == ""


def test_many_absent_classes_are_counted_and_escaped():
  names = ("a", "b\x1b[2J", *(f"c{i}" for i in range(20)))
  images = np.zeros((len(names), 4, 4, 1), np.uint8)
  whole = data.Split(images, np.arange(len(names), dtype=np.int32))
  one = whole.take(np.arange(1))
  made = data.Dataset("made", names, whole, one, False, 0, "there")
  (line,) = inputs.absences(dataclasses.replace(made), whole)
  assert line.startswith("there: no test image of 21 of 22 classes: b\\x1b[2J")
  assert line.endswith("c8 and 11 more")


@pytest.mark.parametrize(
  ("counts", "changes", "message"),
  [
    ({"a": 1, "b": 1}, {}, "data.test_fraction=0.2: nothing can be held out"),
    ({"a": 9, "b": 9}, {"max_images": 1}, "data.max_images: count=1 cannot"),
  ],
)
def test_sets_that_are_too_small_name_the_configs_key(
  tmp_path, counts, changes, message
):
  given = folder(tmp_path, counts)
  given.data.update(changes)
  with pytest.raises(ValueError, match=f"^{tmp_path}: {message}"):
    inputs.dataset(given)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({}, "data.validation_fraction=0.25: nothing can be held out of 2 images"),
    ({"validation_fraction": 2.5}, "data.validation_fraction=2.5"),
    ({"validation_images": 50}, "data.validation_images=50 of"),
  ],
)
def test_what_cannot_be_held_out_for_validation_names_its_key(
  tmp_path, changes, message
):
  count = 9 if changes else 2
  given = folder(tmp_path, {"a": count, "b": count})
  given.data.update(changes)
  found = inputs.dataset(given)
  with pytest.raises(ValueError, match=f"^{tmp_path}: {message}"):
    inputs.hold_out(given, found)


def test_what_is_said_of_a_folder_is_printed(tmp_path, capsys):
  given = folder(tmp_path / "deep", {"a": 9, "b": 9}, 900, np.uint16)
  found = inputs.dataset(given)
  said = capsys.readouterr().out
  deep = tmp_path / "deep"
  line = f"data: {deep} (16-bit images: 0 to 1,023 become 0 to 255)\n"
  assert said == line and found.bits == 10
  assert inputs.dataset(given, bits=12).bits == 12
  for split in ("train", "test", "val"):
    given = folder(tmp_path / "splits" / split, {"a": 2, "b": 2})
  given.data.path = str(tmp_path / "splits")
  capsys.readouterr()
  inputs.dataset(given)
  assert "splits (val not used)" in capsys.readouterr().out
  inputs.dataset(config())
  assert capsys.readouterr().out == ""


LABELS = np.asarray([0] * 30 + [1] * 10, np.int32)


@pytest.mark.parametrize(
  ("text", "ratio"), [("balanced", 3.0), ("1,2.5", 2.5), ("4, 0", 0.0)]
)
def test_class_weights_have_a_mean_of_one(text, ratio):
  weights = inputs.class_weights(text, LABELS, ("a", "b"))
  assert np.asarray(weights)[LABELS].mean() == pytest.approx(1.0)
  assert weights[1] == pytest.approx(ratio * weights[0])


def test_no_class_weights_are_none():
  assert inputs.class_weights("", LABELS, ("a", "b")) == ()


@pytest.mark.parametrize(
  "text", ["1", "1,2,3", "1,x", "-1,2", "0,0", "nan,1", "inf,1", "even"]
)
def test_class_weights_that_are_none_are_refused(text):
  with pytest.raises(ValueError, match="legal: balanced, or 2 numbers") as told:
    inputs.class_weights(text, LABELS, ("a", "b"))
  assert repr(text) in str(told.value) and "for a, b" in str(told.value)


def test_numbers_for_all_classes_are_refused_where_some_are_searched():
  with pytest.raises(ValueError, match="legal: balanced, or all classes"):
    inputs.weights_of_some("1,2,3", LABELS, 2)
  assert inputs.weights_of_some("balanced", LABELS, 2) == pytest.approx(
    (2 / 3, 2.0)
  )


def _training(**changes):
  keys = sections.TrainingKeys(**changes)
  return config_dict.ConfigDict({"training": vars(keys)})


@pytest.mark.parametrize(
  ("flips", "expected"),
  [
    ("auto", (True, False)),
    ("none", (False, False)),
    ("horizontal", (True, False)),
    ("vertical", (False, True)),
    ("both", (True, True)),
  ],
)
def test_flips_by_their_names(flips, expected):
  colour = dataclasses.replace(data.load("digits"), flip=True)
  found = inputs.settings(_training(flips=flips), colour, 8)
  assert (found.flip, found.vertical_flip) == expected


def test_quarter_turns_of_oblongs_are_refused_before_anything_is_trained():
  digits = data.load("digits")
  assert inputs.settings(_training(quarter_turns=True), digits, 8).quarter_turns
  split = data.Split(digits.train.images[:, :6], digits.train.labels)
  oblong = dataclasses.replace(digits, train=split)
  with pytest.raises(ValueError, match=r"quarter_turns is True with .*6 x 8"):
    inputs.settings(_training(quarter_turns=True), oblong, 8)


def test_settings_say_the_weights_of_the_classes():
  digits = data.load("digits")
  found = inputs.settings(_training(class_weights="balanced"), digits, 8)
  assert len(found.class_weights) == 10
  assert inputs.settings(_training(), digits, 8).class_weights == ()


def test_pictures_that_must_not_be_seen():
  assert inputs.dataset(config()).pictures
  assert not inputs.dataset(config(pictures=False)).pictures
