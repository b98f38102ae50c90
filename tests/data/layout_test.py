import os
import re
import unicodedata

import pytest
from PIL import Image

from fbnax.data import layout

PICTURE = Image.new("L", (4, 3), 90)


def place(root, *files):
  """Files below a root; those that end in an image's suffix are images."""
  for name in files:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in layout.SUFFIXES:
      PICTURE.save(path)
    else:
      path.write_text("x")


def classes(root, *splits, names=("cat", "dog")):
  for split in splits:
    place(root, *(f"{split}/{name}/1.png" for name in names))


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training"])
@pytest.mark.parametrize(
  "test",
  ["test", "Test", "testing", "val", "valid", "VALID", "Validation", "dev"],
)
def test_splits_are_known_by_all_their_names(tmp_path, train, test):
  classes(tmp_path, train, test)
  found = layout.read(tmp_path)
  assert list(found.train) == ["cat", "dog"]
  assert found.train["dog"] == [tmp_path / train / "dog" / "1.png"]
  assert found.test is not None
  assert found.test["cat"] == [tmp_path / test / "cat" / "1.png"]
  assert found.notes == (() if test == "test" else (f"tested on {test}",))


def test_what_is_not_used_is_said(tmp_path):
  classes(tmp_path, "train", "test", "val", "Extra")
  (tmp_path / "labels").mkdir()
  place(tmp_path, "read.me")
  found = layout.read(tmp_path)
  assert found.test is not None
  assert found.test["cat"][0].parts[-3] == "test"
  assert found.notes == ("Extra, labels, val not used",)


def test_a_numbered_split_beside_training_is_said(tmp_path):
  classes(tmp_path, "train")
  place(tmp_path, "test1/1.png")
  found = layout.read(tmp_path)
  assert found.test is None and found.notes == ("test1 not used",)


@pytest.mark.parametrize(
  "folders",
  [
    ("train", "Train"),
    ("train", "training"),
    ("train", "test", "TEST"),
    ("train", "val", "valid"),
  ],
)
def test_two_folders_for_one_split_are_refused(tmp_path, folders):
  classes(tmp_path, *folders)
  with pytest.raises(ValueError, match=r"all be the \w+ set; legal: one") as e:
    layout.read(tmp_path)
  assert all(name in str(e.value) for name in folders[-2:])


@pytest.mark.parametrize(
  "folders",
  [
    ("train", "test1"),
    ("train", "test"),
    ("Train", "VAL", "Test"),
    ("training_set", "test_set"),
    ("train2017", "val2017"),
    ("train", "dev", "more"),
    ("val", "test"),
  ],
)
def test_splits_without_class_folders_are_no_classes(tmp_path, folders):
  place(tmp_path, *(f"{name}/{i}.jpg" for name in folders for i in range(2)))
  with pytest.raises(ValueError, match="images without class folders in") as e:
    layout.read(tmp_path)
  assert folders[0] in str(e.value) and "\n" not in str(e.value)


def test_splits_without_a_training_split_are_refused(tmp_path):
  classes(tmp_path, "test", "val")
  with pytest.raises(ValueError, match=r"no training set among .* test, val"):
    layout.read(tmp_path)


def test_a_flat_training_split_is_named_beside_a_test_split_of_classes(
  tmp_path,
):
  classes(tmp_path, "test")
  place(tmp_path, "train/1.png")
  with pytest.raises(
    ValueError, match="images without class folders in train, where test, train"
  ):
    layout.read(tmp_path)


def test_a_test_split_without_images_is_refused(tmp_path):
  classes(tmp_path, "train")
  for name in ("cat", "dog"):
    (tmp_path / "test" / name).mkdir(parents=True)
  with pytest.raises(ValueError, match="test: no images in any class"):
    layout.read(tmp_path)
  place(tmp_path, "test/cat/1.png")
  assert layout.read(tmp_path).test == {
    "cat": [tmp_path / "test" / "cat" / "1.png"],
    "dog": [],
  }


def test_images_of_a_test_split_without_class_folders_are_refused(tmp_path):
  classes(tmp_path, "train")
  place(tmp_path, "test/1.png", "test/2.png")
  with pytest.raises(ValueError, match=r"test: images without class folders"):
    layout.read(tmp_path)
  place(tmp_path, "flat/1.png")
  with pytest.raises(ValueError, match=r"flat: images without class folders"):
    layout.read(tmp_path / "flat")


@pytest.mark.parametrize("name", ["train", "Test", "val"])
def test_a_class_may_have_the_name_of_a_split(tmp_path, name):
  place(tmp_path, f"{name}/1.png", "plane/1.png", "car/1.png")
  assert set(layout.read(tmp_path).train) == {name, "plane", "car"}
  classes(tmp_path / "splits", "train", "test", names=("plane", "train"))
  assert set(layout.read(tmp_path / "splits").train) == {"plane", "train"}


def test_a_folder_in_a_folder_is_named(tmp_path):
  classes(tmp_path, "photos/train", "photos/test")
  with pytest.raises(
    ValueError,
    match=r"holds 'photos' alone, which .*\(test, train\); legal: .*photos$",
  ):
    layout.read(tmp_path)
  assert layout.read(tmp_path / "photos").test is not None


def test_what_systems_and_archives_leave_is_passed_over(tmp_path):
  place(tmp_path, "a/1.png", "b/1.png", "README.txt", "LICENSE")
  left = (
    *("Thumbs.db", "ehthumbs.db", "DESKTOP.INI", ".DS_Store", "._1.png"),
    *("Icon\r", "1.png:Zone.Identifier", "@eaDir/1.png/SYNOPHOTO_THUMB.jpg"),
    *("$RECYCLE.BIN/a.png", ".ipynb_checkpoints/1.png", "#recycle/1.png"),
    *("Picasa.ini", "ZbThumbnail.info", "@__thumb/default1.png"),
  )
  for folder in ("", "a/", "b/"):
    place(tmp_path, *(folder + name for name in left))
  place(tmp_path, "__MACOSX/a/._1.png", "lost+found/x")
  place(tmp_path, "System Volume Information/IndexerVolumeGuid")
  found = layout.read(tmp_path)
  assert {k: [f.name for f in v] for k, v in found.train.items()} == {
    "a": ["1.png"],
    "b": ["1.png"],
  }
  splits = tmp_path / "splits"
  classes(splits, "train", "test")
  place(splits, "__MACOSX/train/cat/._1.png", "train/desktop.ini")
  assert layout.read(splits).notes == ()


def _pipe(path):
  os.mkfifo(path)


@pytest.mark.parametrize(
  ("name", "make", "problem"),
  [
    (
      "z.png",
      lambda p: p.symlink_to("/nowhere/a.png"),
      "is a link to /nowhere/a.png, which is not there",
    ),
    (
      "z.png",
      lambda p: p.symlink_to(p),
      "is a link to .*z.png, which leads back to itself",
    ),
    ("z.png", lambda p: p.mkdir(), "is a folder inside of a class's folder"),
    ("z", lambda p: p.mkdir(), "is a folder inside of a class's folder"),
    ("z.png", _pipe, "is no file, but a pipe"),
    ("z.png", lambda p: p.touch(), "is empty, 0 bytes"),
    ("z.txt", lambda p: p.write_text("x"), "is no image; .*.png"),
    ("z.txt", lambda p: p.touch(), "is no image; .*.png"),
    (
      "z.jfif",
      lambda p: PICTURE.save(p, "JPEG"),
      "ends in '.jfif', though it holds a JPEG image; .*.jpg",
    ),
    (
      "z.tif",
      lambda p: PICTURE.save(p),
      "ends in '.tif', though it holds a TIFF image",
    ),
    (
      "z",
      lambda p: PICTURE.save(p, "PNG"),
      "no ending, though it holds a PNG image",
    ),
  ],
)
def test_each_wrong_thing_has_a_message_of_its_own(
  tmp_path, name, make, problem
):
  place(tmp_path, "a/1.png", "b/1.png")
  make(tmp_path / "b" / name)
  with pytest.raises(ValueError, match=f"b/{re.escape(name)}: {problem}"):
    layout.read(tmp_path)


@pytest.mark.parametrize("name", ["b", "train", "test"])
def test_a_dead_link_in_the_place_of_a_folder_is_named(tmp_path, name):
  classes(tmp_path, "train")
  place(tmp_path / "plain", "a/1.png", "c/1.png")
  root = tmp_path / "plain" if name == "b" else tmp_path
  if name == "train":
    root = tmp_path / "other"
    classes(root, "test")
  (root / name).symlink_to(tmp_path / "gone")
  with pytest.raises(ValueError, match=f"{name}: is a link to .*gone, which"):
    layout.read(root)


def test_links_that_lead_somewhere_are_followed(tmp_path):
  place(tmp_path / "store", "x/1.png", "2.png")
  place(tmp_path / "root", "b/1.png")
  (tmp_path / "root" / "a").symlink_to(tmp_path / "store" / "x")
  (tmp_path / "root" / "b" / "2.png").symlink_to(tmp_path / "store" / "2.png")
  found = layout.read(tmp_path / "root").train
  assert [len(files) for files in found.values()] == [1, 2]


def test_what_may_not_be_read_is_named(tmp_path, monkeypatch):
  place(tmp_path, "a/1.png", "b/1.png")
  listed = type(tmp_path).iterdir

  def iterdir(path):
    if path.name == "b":
      raise PermissionError(13, "Permission denied", str(path))
    return listed(path)

  monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
  with pytest.raises(ValueError, match="b: cannot be read: Permission denied"):
    layout.read(tmp_path)


def test_names_are_compared_in_one_unicode_form(tmp_path):
  composed, split = (unicodedata.normalize(f, "forêt") for f in ("NFC", "NFD"))
  assert composed != split
  classes(tmp_path, "train", names=(split, "dog", "Ångström"))
  classes(tmp_path, "test", names=(composed, "dog"))
  found = layout.read(tmp_path)
  assert list(found.train) == ["dog", composed, "Ångström"]
  assert found.test is not None and list(found.test) == ["dog", composed]
  classes(tmp_path, "test", names=(split,))
  with pytest.raises(ValueError, match=r"'fore\\u0302t' and 'for\\xeat' are"):
    layout.read(tmp_path)


def test_class_names_of_the_test_split_differ_in_letter_case(tmp_path):
  classes(tmp_path, "train", names=("a", "A"))
  classes(tmp_path, "test", names=("a", "A"))
  assert list(layout.read(tmp_path).train) == ["A", "a"]
