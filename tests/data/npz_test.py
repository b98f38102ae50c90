import numpy as np
import pytest

from fbnax.data import Split, load

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 6, 9, 3), dtype=np.uint8)
Y = np.arange(12) % 3


def pixels(split):
  assert isinstance(split, Split)
  return split.images


def save(tmp_path, **arrays):
  path = tmp_path / "set.npz"
  np.savez(path, **arrays)
  return path


def test_given_test_set_and_class_names(tmp_path):
  path = save(
    tmp_path,
    train_x=X,
    train_y=Y,
    test_x=X[:4] // 2,
    test_y=Y[:4],
    class_names=np.array(["ant", "bee", "kühe"]),
  )
  found = load("npz", path=path)
  assert found.class_names == ("ant", "bee", "kühe")
  assert isinstance(found.train, Split) and found.image_shape == (6, 9, 3)
  np.testing.assert_array_equal(pixels(found.train), X)
  np.testing.assert_array_equal(pixels(found.test), X[:4] // 2)
  assert found.train.labels.tolist() == Y.tolist()
  assert found.train.labels.dtype == np.int32
  assert found.source == str(path) and found.name == "npz"
  assert (found.flip, found.crop_padding) == (False, 0)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", ">i2"])
def test_any_integer_labels_and_a_held_out_test_set(tmp_path, dtype):
  path = save(tmp_path, train_x=X[..., 0], train_y=Y.astype(dtype))
  found = load("npz", path=path, test_fraction=0.25)
  assert found.image_shape == (6, 9, 1)
  assert sorted(found.test.labels.tolist()) == [0, 1, 2]
  assert len(found.train) == 9 and found.class_names == ("0", "1", "2")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats_become_bytes(tmp_path, dtype):
  path = save(
    tmp_path,
    train_x=(X / 255).astype(dtype),
    train_y=Y,
    test_x=(X / 255).astype(dtype),
    test_y=Y,
  )
  np.testing.assert_array_equal(pixels(load("npz", path=path).train), X)


def test_very_unequal_classes(tmp_path):
  labels = np.array([0] * 9 + [1] * 2 + [2])
  found = load("npz", path=save(tmp_path, train_x=X, train_y=labels))
  assert set(found.train.labels.tolist()) == {0, 1, 2}
  assert set(found.test.labels.tolist()) == {0, 1}


def test_colour_images_of_28_pixels_are_flipped_unless_told_otherwise(tmp_path):
  images = np.zeros((12, 28, 30, 3), np.uint8)
  path = save(tmp_path, train_x=images, train_y=Y)
  found = load("npz", path=path)
  assert (found.flip, found.crop_padding) == (True, 4)
  found = load("npz", path=path, flip=False, crop_padding=2)
  assert (found.flip, found.crop_padding) == (False, 2)
  path = save(tmp_path, train_x=images[..., 0], train_y=Y)
  assert not load("npz", path=path).flip


def test_names_may_be_bytes_and_of_any_unicode_form(tmp_path):
  given = ["ant", "k\xfche", "fore\u0302t"]
  for names in (np.array(given), np.array([n.encode() for n in given])):
    path = save(tmp_path, train_x=X, train_y=Y, class_names=names)
    found = load("npz", path=path)
    assert found.class_names == ("ant", "k\xfche", "for\xeat")


NAMED = {"class_names": np.array(["a", "b", "c", "d"])}
FLOATS = X.astype("f4") / 255
PLANES = np.zeros((12, 3, 32, 32), "u1")
RAGGED = np.array([X[0], X[1, :3]], object)
NAMES = r"legal: an array of K strings, as class_names.astype\(str\)"
TESTS = {"test_x": X[:3], "test_y": Y[:3]}


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"train_y": Y - 1}, "train_y: found -1 at index 0 .*legal: 0 to "),
    ({"train_y": Y * 2}, "train: found no image of class '1', '3'"),
    ({"train_y": Y * 10**9}, "train_y: found 2000000000"),
    ({"train_y": (Y * 2**33).astype("u8")}, "train_y: found 17179869184"),
    ({"train_y": Y * 1.0}, r"train_y: float64\[12\]"),
    ({"train_y": Y[:5]}, "train_y: 5 labels; legal: 12"),
    ({"train_y": Y[:, None]}, r"train_y: int64\[12, 1\]"),
    ({"train_x": X.astype("i4")}, "train_x: int32; legal: uint8 or float"),
    ({"train_x": FLOATS * 255}, "train_x: float32 from 0.0 to 255.0"),
    ({"train_x": FLOATS * np.nan}, "train_x: float32 from nan"),
    ({"train_x": X[..., :2]}, r"train_x: shape \[12, 6, 9, 2\]"),
    ({"train_x": PLANES}, r"train_x: shape .*transpose\(0, 2, 3, 1\)"),
    ({"train_x": X[:0]}, r"train_x: shape \[0, 6, 9, 3\]"),
    ({"train_x": RAGGED}, "train_x: an object array; legal: numbers"),
    ({"train_y": Y.astype(object)}, "train_y: an object array; legal: numbers"),
    ({"train_x": None}, r"train_x: missing; found \['train_y'\]"),
    ({"test_x": X}, "test_y: missing; found"),
    ({"test_y": Y}, "test_x: missing; found"),
    (
      TESTS | {"test_x": X[:3, :5]},
      r"test_x: images of shape \[5, 9, 3\]; .*6",
    ),
    (TESTS | {"test_y": Y[:3] + 1}, "test_y: found 3 at index 2 .*0 to 2"),
    ({"class_names": np.array([], "U1")}, "class_names: found 0 classes"),
    (NAMED, "train: found no image of class 'd'"),
    ({"class_names": np.array([1, 2, 3])}, f"class_names: int64.*{NAMES}"),
    ({"class_names": np.array([0.5, 1])}, f"class_names: float64.*{NAMES}"),
    (
      {"class_names": np.array(["a", "b", "c"], object)},
      f"class_names: an object array; {NAMES}",
    ),
    (
      {"class_names": np.array(["a", 2, None], object)},
      f"class_names: an object array; {NAMES}",
    ),
    ({"class_names": np.array([["a"], ["b"]])}, f"class_names: <U1.*{NAMES}"),
    ({"class_names": np.array("a")}, f"class_names: <U1.*{NAMES}"),
    (
      {"class_names": np.array([b"a", b"caf\xe9", b"c"])},
      r"class_names\[1\] is not UTF-8: byte 0xe9",
    ),
    (
      {"class_names": np.array(["a", "b\udce9", "c"])},
      r"class_names: found 'b\\udce9'",
    ),
    (
      {"class_names": np.array(["\xe9", "e\u0301", "c"])},
      "class_names: found .*one name",
    ),
    ({"class_names": np.array(["a", "b"])}, "train_y: found 2 at index 2"),
    ({"class_names": np.array(["a", "b", "a"])}, "class_names: found .*'a'"),
  ],
)
def test_names_file_key_and_finding(tmp_path, changes, message):
  arrays = {"train_x": X, "train_y": Y} | changes
  path = save(tmp_path, **{k: v for k, v in arrays.items() if v is not None})
  with pytest.raises(ValueError, match=f"set.npz: {message}"):
    load("npz", path=path)


@pytest.mark.parametrize("kept", [0, 3, 30, 0.5, 0.999])
def test_truncated_file_is_named(tmp_path, kept):
  path = save(tmp_path, train_x=X, train_y=Y)
  content = path.read_bytes()
  size = kept if isinstance(kept, int) else int(kept * len(content))
  path.write_bytes(content[:size])
  with pytest.raises(ValueError, match=r"set.npz: is no .npz file, or a trunc"):
    load("npz", path=path)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_damaged_array_is_named(tmp_path, compress):
  path = tmp_path / "set.npz"
  compress(path, train_x=X, train_y=Y)
  content = bytearray(path.read_bytes())
  content[400:420] = bytes(20)
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r"set.npz: train_x: damaged"):
    load("npz", path=path)


def test_other_files_are_named(tmp_path):
  np.save(tmp_path / "one.npy", X)
  (tmp_path / "text.npz").write_text("hello")
  with pytest.raises(ValueError, match=r"one.npy: a single array"):
    load("npz", path=tmp_path / "one.npy")
  with pytest.raises(ValueError, match=r"text.npz: is no .npz file"):
    load("npz", path=tmp_path / "text.npz")
  with pytest.raises(ValueError, match=r"none.npz': there is no such file"):
    load("npz", path=tmp_path / "none.npz")
  with pytest.raises(ValueError, match=r"path=None"):
    load("npz")


def test_pickles_are_refused(tmp_path):
  pickled = f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR."
  (tmp_path / "evil.npz").write_text(pickled)
  with pytest.raises(ValueError, match=r"evil.npz"):
    load("npz", path=tmp_path / "evil.npz")
  assert not (tmp_path / "ran").exists()
