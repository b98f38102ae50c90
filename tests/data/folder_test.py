import os

import numpy as np
import pytest
from PIL import Image

from fbnax.data import Split, StreamedSplit, load, shared_images, stream

RNG = np.random.default_rng(0)


def pixels(split):
  assert isinstance(split, Split)
  return split.images


def write(path, shape=(6, 9, 3), suffix=".png"):
  """A random image, as it must be read."""
  path = path.with_suffix(suffix)
  path.parent.mkdir(parents=True, exist_ok=True)
  image = RNG.integers(0, 256, shape, dtype=np.uint8)
  Image.fromarray(image).save(path)
  return image if image.ndim == 3 else image[..., None]


def write_classes(root, counts, shape=(6, 9, 3)):
  return {
    name: [write(root / name / f"{i:03}", shape) for i in range(count)]
    for name, count in counts.items()
  }


def test_train_and_test_folders(tmp_path):
  train = write_classes(tmp_path / "train", {"bee": 3, "ant": 2, "cow": 1})
  test = write_classes(tmp_path / "test", {"cow": 2})
  found = load("folder", path=tmp_path)
  assert found.class_names == ("ant", "bee", "cow")
  assert isinstance(found.train, Split) and found.image_shape == (6, 9, 3)
  assert found.train.labels.tolist() == [0, 0, 1, 1, 1, 2]
  expected = np.stack(train["ant"] + train["bee"] + train["cow"])
  np.testing.assert_array_equal(pixels(found.train), expected)
  np.testing.assert_array_equal(pixels(found.test), np.stack(test["cow"]))
  assert found.test.labels.tolist() == [2, 2]


@pytest.mark.parametrize("name", ["validation", "val"])
def test_validation_serves_as_test_set_and_says_so(tmp_path, name):
  write_classes(tmp_path / "train", {"a": 2, "b": 2})
  write_classes(tmp_path / name, {"a": 1, "b": 2})
  found = load("folder", path=tmp_path)
  assert len(found.test) == 3 and f"tested on {name}" in found.source


def test_classes_alone_hold_out_a_test_set(tmp_path):
  # A class may be called "train": it holds images, not classes.
  images = write_classes(tmp_path, {"train": 8, "bus": 4}, (6, 6))
  (tmp_path / "README.txt").write_text("read me")
  (tmp_path / ".hidden").mkdir()
  (tmp_path / "bus" / ".DS_Store").write_text("")
  found = load("folder", path=tmp_path, test_fraction=0.25)
  assert found.class_names == ("bus", "train") and found.channels == 1
  assert sorted(found.test.labels.tolist()) == [0, 1, 1]
  assert sorted(found.train.labels.tolist()) == [0] * 3 + [1] * 6
  assert shared_images(found.train, found.test) == 0
  known = {x.tobytes(): y for y, k in enumerate(images) for x in images[k]}
  for split in (found.train, found.test):
    for image, label in zip(pixels(split), split.labels, strict=True):
      assert known[image.tobytes()] == 1 - label


def test_one_colour_image_makes_the_set_colour(tmp_path):
  write_classes(tmp_path, {"a": 3, "b": 2}, (6, 9))
  write(tmp_path / "b" / "colour", (6, 9, 3))
  assert load("folder", path=tmp_path).image_shape == (6, 9, 3)


def test_all_suffixes_are_read(tmp_path):
  for i, suffix in enumerate([".png", ".jpg", ".JPEG", ".bmp", ".webp"]):
    for name in "ab":
      write(tmp_path / name / str(i), suffix=suffix)
  found = load("folder", path=tmp_path)
  assert len(found.train) + len(found.test) == 10


def write_mixed(root):
  for i, name in enumerate("aabbbb"):
    write(root / name / str(i), (6 + i, 9, 3))


def test_images_of_different_sizes_are_streamed(tmp_path):
  write_mixed(tmp_path)
  found = load("folder", path=tmp_path)
  assert isinstance(found.train, StreamedSplit)
  shapes = {found.train.read(i).shape for i in range(len(found.train))}
  assert len(shapes) == len(found.train) and found.channels == 3
  assert found.flip and found.crop_padding == 0
  with pytest.raises(
    ValueError, match=r"0.png is .*\(6, 9\), .*1.png.*\(7, 9\)"
  ):
    _ = found.image_shape
  batches = stream(
    found.train, batch_size=2, resolution=8, seed=0, train=True, workers=2
  )
  images, labels = next(batches)
  assert images.shape == (2, 8, 8, 3) and set(labels) <= {0, 1}


def test_decode_resolution_brings_them_into_memory_if_they_fit(tmp_path):
  write_mixed(tmp_path)
  found = load("folder", path=tmp_path, decode_resolution=5)
  assert isinstance(found.train, Split) and found.image_shape == (5, 5, 3)
  size = 6 * 5 * 5 * 3
  for limit, kind in ((size, Split), (size - 1, StreamedSplit)):
    found = load(
      "folder", path=tmp_path, decode_resolution=5, in_memory_bytes=limit
    )
    assert type(found.train) is type(found.test) is kind


def test_too_large_sets_of_one_size_are_streamed(tmp_path):
  images = write_classes(tmp_path / "train", {"a": 3, "b": 3})
  write_classes(tmp_path / "test", {"a": 3, "b": 3})
  found = load("folder", path=tmp_path, in_memory_bytes=12 * 6 * 9 * 3 - 1)
  assert isinstance(found.train, StreamedSplit)
  assert found.image_shape == (6, 9, 3)
  np.testing.assert_array_equal(found.train.read(4), images["b"][1])


def test_max_images(tmp_path):
  write_classes(tmp_path, {"a": 20, "b": 4})
  found = load("folder", path=tmp_path, max_images=3)
  assert len(found.train) == len(found.test) == 3
  assert set(found.train.labels.tolist()) == {0, 1}


def test_images_in_two_splits_are_counted(tmp_path):
  write_classes(tmp_path / "train", {"a": 3, "b": 3})
  write_classes(tmp_path / "test", {"a": 2, "b": 2})
  for source, target in (("a/000", "a/000"), ("a/002", "b/001")):
    content = (tmp_path / "train" / f"{source}.png").read_bytes()
    (tmp_path / "test" / f"{target}.png").write_bytes(content)
  for limit in (0, 2**20):
    found = load("folder", path=tmp_path, in_memory_bytes=limit)
    assert shared_images(found.train, found.test) == 2


def test_file_that_is_no_image_is_named(tmp_path):
  write_classes(tmp_path, {"a": 2, "b": 2})
  (tmp_path / "b" / "notes.txt").write_text("hello")
  with pytest.raises(ValueError, match=r"b/notes.txt: is no image; .*\.png"):
    load("folder", path=tmp_path)
  (tmp_path / "b" / "notes.txt").rename(tmp_path / "b" / "notes.png")
  with pytest.raises(ValueError, match=r"b/notes.png: is no image"):
    load("folder", path=tmp_path)


def test_truncated_image_is_named_before_training_or_when_read(tmp_path):
  write_classes(tmp_path, {"a": 2, "b": 2}, (64, 64, 3))
  path = tmp_path / "b" / "001.png"
  path.write_bytes(path.read_bytes()[:3000])
  with pytest.raises(ValueError, match=r"b/001.png: cannot be decoded"):
    load("folder", path=tmp_path)
  found = load("folder", path=tmp_path, in_memory_bytes=0)
  with pytest.raises(ValueError, match=r"b/001.png: cannot be decoded"):
    for split in (found.train, found.test):
      for i in range(len(split)):
        split.read(i)


def test_empty_class_is_named(tmp_path):
  write_classes(tmp_path / "train", {"a": 2, "b": 2})
  (tmp_path / "train" / "c").mkdir()
  with pytest.raises(ValueError, match=r"class 'c': no images"):
    load("folder", path=tmp_path)


def test_test_class_unknown_to_training_is_named(tmp_path):
  write_classes(tmp_path / "train", {"a": 2, "b": 2})
  write_classes(tmp_path / "test", {"a": 2, "B": 2})
  with pytest.raises(ValueError, match=r"test/B: class 'B' .*legal: a, b"):
    load("folder", path=tmp_path)


def test_folders_of_no_use_are_named(tmp_path):
  with pytest.raises(ValueError, match=r"path=None"):
    load("folder")
  with pytest.raises(ValueError, match=r"none': there is no such folder"):
    load("folder", path=tmp_path / "none")
  with pytest.raises(ValueError, match=r"no folders; legal: one folder per"):
    load("folder", path=tmp_path)
  write_classes(tmp_path, {"a": 2, "b": 2})
  write(tmp_path / "stray")
  with pytest.raises(ValueError, match=r"stray.png: an image outside"):
    load("folder", path=tmp_path)


def write_deep(root, largest, counts=(8, 8), **options):
  """Images of 16 bits by class, the last one with the largest value."""
  values = {}
  for name, count in zip("ab", counts, strict=True):
    (root / name).mkdir(parents=True)
    for i in range(count):
      image = RNG.integers(0, largest // 2 + 1, (6, 9), dtype=np.uint16)
      image[0, 0] = largest
      Image.fromarray(image).save(root / name / f"{i:02}.png", **options)
      values[name, i] = image
  return values


@pytest.mark.parametrize(
  ("largest", "bits"),
  [
    (255, 8),
    (3, 8),
    (256, 9),
    (1023, 10),
    (4000, 12),
    (16383, 14),
    (65535, 16),
  ],
)
def test_the_range_of_sixteen_bits_is_that_of_the_set(tmp_path, largest, bits):
  values = write_deep(tmp_path, largest)
  found = load("folder", path=tmp_path, test_fraction=0.25)
  assert found.bits == bits
  assert f"16-bit images: 0 to {2**bits - 1:,} become" in found.source
  known = {(v >> (bits - 8)).astype("u1").tobytes() for v in values.values()}
  for split in (found.train, found.test):
    assert {image.tobytes() for image in pixels(split)} <= known
  assert pixels(found.train).max() >= min(largest, 128)
  streamed = load("folder", path=tmp_path, in_memory_bytes=0)
  assert streamed.train.read(0).tobytes() in known


def test_the_range_is_that_of_the_training_images(tmp_path):
  write_deep(tmp_path / "train", 1000)
  test = write_deep(tmp_path / "test", 5000)
  found = load("folder", path=tmp_path)
  assert found.bits == 10
  expected = np.minimum(test["a", 0] >> 2, 255)
  np.testing.assert_array_equal(pixels(found.test)[0, ..., 0], expected)
  # A model's own range counts more than the set's.
  again = load("folder", path=tmp_path, bits=14)
  assert again.bits == 14
  np.testing.assert_array_equal(
    pixels(again.test)[0, ..., 0], test["a", 0] >> 6
  )


def test_images_of_eight_bits_stay_beside_those_of_sixteen(tmp_path):
  values = write_deep(tmp_path, 200, (3, 3))
  grey = write(tmp_path / "a" / "zz", (6, 9))
  black = np.zeros((6, 9), np.uint8)
  Image.fromarray(black).save(tmp_path / "b" / "zz.png")
  found = load("folder", path=tmp_path, test_fraction=0.25)
  seen = {i.tobytes() for s in (found.train, found.test) for i in pixels(s)}
  assert found.bits == 8
  assert seen == {
    grey.tobytes(),
    black.tobytes(),
    *(v.astype("u1").tobytes() for v in values.values()),
  }


def test_sets_of_eight_bits_alone_have_no_range(tmp_path):
  write_classes(tmp_path, {"a": 3, "b": 2}, (6, 9))
  found = load("folder", path=tmp_path, bits=12)
  assert found.bits is None and found.source == str(tmp_path)
  with pytest.raises(ValueError, match="bits=7; legal: 8 to 16"):
    load("folder", path=tmp_path, bits=7)


def test_sets_of_black_images_of_sixteen_bits_are_refused(tmp_path):
  write_deep(tmp_path, 0, (2, 2))
  with pytest.raises(ValueError, match="have 16 bits and are black; legal"):
    load("folder", path=tmp_path)


def test_a_split_that_is_not_used_is_said_in_the_source(tmp_path):
  for split in ("train", "test", "valid"):
    write_classes(tmp_path / split, {"a": 2, "b": 2})
  found = load("folder", path=tmp_path)
  assert found.source == f"{tmp_path} (valid not used)"
  assert found.notes == ("valid not used",)


def test_names_that_are_not_utf_8_are_refused_before_anything_is_decoded(
  tmp_path,
):
  for name in (b"caf\xe9", b"tea"):
    folder = os.path.join(os.fsencode(tmp_path), name)
    os.makedirs(folder)
    for i in range(3):
      file = os.path.join(folder, b"%d.png" % i)
      Image.new("L", (8, 8), i).save(os.fsdecode(file))
  with pytest.raises(ValueError, match=r"found 'caf\\udce9'; legal: .*UTF-8"):
    load("folder", path=tmp_path)


def test_files_that_are_not_utf_8_are_read_and_named_in_ascii(tmp_path):
  write_classes(tmp_path, {"a": 3, "b": 3})
  name = os.path.join(os.fsencode(tmp_path), b"b", b"0\xe9.png")
  os.rename(tmp_path / "b" / "000.png", name)
  found = load("folder", path=tmp_path)
  assert len(found.train) + len(found.test) == 6
  with open(name, "wb") as file:
    file.write(b"no image")
  with pytest.raises(ValueError, match=r"0\\udce9.png: is no image") as told:
    load("folder", path=tmp_path)
  str(told.value).encode()


def test_classes_of_one_image_name_the_key_and_the_folder(tmp_path):
  write_classes(tmp_path, {"a": 1, "b": 1, "c": 1})
  with pytest.raises(
    ValueError,
    match=rf"^{tmp_path}: data.test_fraction=0.2: .* 3 images, one .*3 classes",
  ):
    load("folder", path=tmp_path)
  write_classes(tmp_path, {"a": 4, "b": 4, "c": 4})
  with pytest.raises(
    ValueError, match=rf"^{tmp_path}: data.max_images: count=2 .* 3 classes"
  ):
    load("folder", path=tmp_path, max_images=2)
