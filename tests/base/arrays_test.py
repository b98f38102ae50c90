import io
import zipfile

import numpy as np
import pytest

from fbnax.base import arrays

X = np.arange(12, dtype=">f4").reshape(3, 4)
NAMES = np.array(["a", "b\u00fc"])


def test_same_as_numpy(tmp_path):
  path = tmp_path / "a.npz"
  columns = np.asfortranarray(X)
  np.savez_compressed(path, x=X, f=columns, names=NAMES, none=X[:0], one=3)
  with np.load(path) as wanted, arrays.open_npz(path) as found:
    assert list(found) == list(wanted) and len(found) == 5
    assert "x" in found and "y" not in found
    for name in wanted:
      np.testing.assert_array_equal(found[name], wanted[name])
      assert found[name].dtype == wanted[name].dtype


def header(shape, dtype="<f8"):
  content = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    content, {"descr": dtype, "fortran_order": False, "shape": shape}
  )
  return content.getvalue()


def zipped(path, **members):
  with zipfile.ZipFile(path, "w") as archive:
    for name, content in members.items():
      archive.writestr(f"{name}.npy", content)
  return path


@pytest.mark.parametrize(
  "content, message",
  [
    (header((10**13,)) + b"12345678", "x: damaged: .*takes 80,000,000,000,000"),
    (header((-1,)), "x: damaged"),
    (header((2,)) + b"12345678", "x: damaged or truncated: 8 of 16"),
    (header((1,), "|O"), "x: an object array"),
    (b"no array", "x: damaged or truncated"),
    (b"", "x: damaged or truncated"),
  ],
)
def test_what_is_no_array_is_refused_before_it_is_read(
  tmp_path, content, message
):
  path = zipped(tmp_path / "a.npz", x=content)
  with (
    arrays.open_npz(path) as found,
    pytest.raises(ValueError, match=message),
  ):
    found["x"]


def test_expanded_size_is_limited(tmp_path):
  path = tmp_path / "a.npz"
  np.savez_compressed(path, x=np.zeros(10**6))
  assert path.stat().st_size < 20_000
  with (
    pytest.raises(ValueError, match="8,000,128 bytes; legal: at most 1,000"),
    arrays.open_npz(path, 1000),
  ):
    pass


def test_a_flipped_byte_is_told(tmp_path):
  path = zipped(tmp_path / "a.npz", x=header((1,)) + b"12345678")
  content = bytearray(path.read_bytes())
  content[content.index(b"12345678")] ^= 1
  path.write_bytes(content)
  with (
    arrays.open_npz(path) as found,
    pytest.raises(ValueError, match=r"x: damaged or truncated: .*CRC"),
  ):
    found["x"]


def test_other_files(tmp_path):
  path = tmp_path / "a.npz"
  path.write_bytes(b"PK\x03\x04")
  with pytest.raises(ValueError, match=r"no \.npz file"), arrays.open_npz(path):
    pass
  with path.open("wb") as file:
    np.save(file, X)
  with pytest.raises(ValueError, match="a single array"), arrays.open_npz(path):
    pass
  with path.open("rb") as file:
    found = arrays.read_array(file, path.stat().st_size, path)
  np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize(
  ("array", "kind", "words"),
  [
    (
      np.ones((2, 3)),
      "strings",
      r"a.npz: x is float64\[2, 3\]; legal: str",
    ),
    (np.asarray("x"), "numbers", r"x is <U1\[\]; legal: numbers"),
    (np.ones(2, bool), "numbers", r"x is bool\[2\]; legal: numbers"),
    (np.ones(2, complex), "numbers", "x is complex128"),
    (np.full(2, 0.5), "whole numbers", r"x is float64\[2\]; legal: whole"),
    (np.full(2, np.inf), "whole numbers", "x is float64"),
    (np.zeros(2, "datetime64[s]"), "whole numbers", "x is datetime64"),
  ],
)
def test_an_array_of_another_kind(array, kind, words):
  with pytest.raises(ValueError, match=words):
    arrays.of_kind(array, kind, "a.npz: x")


def test_an_array_of_its_kind():
  for array, kind in (
    (np.asarray(["x"]), "strings"),
    (np.ones(2, np.uint8), "whole numbers"),
    (np.full(2, 3.0), "whole numbers"),
    (np.full(2, np.nan), "numbers"),
  ):
    assert arrays.of_kind(array, kind, "x") is array


@pytest.mark.parametrize(
  ("use", "words"),
  [
    (lambda a: a["b"], "a.npz lacks the array 'b'"),
    (lambda a: a["a"][:, 0], "a.npz: too many indices"),
    (lambda a: a["a"] + np.ones(3), "a.npz: operands could not be"),
  ],
)
def test_what_fails_with_arrays_names_their_file(use, words):
  with pytest.raises(ValueError, match=words), arrays.reading("a.npz"):
    use({"a": np.ones(2)})


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "?"])
def test_finite_numbers(dtype):
  arrays.check_finite(np.ones((2, 3), dtype), "w")
  arrays.check_finite(np.ones((0, 3), dtype), "w")


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.asarray([[1, 2], [np.nan, np.inf]]), r"w\[1, 0\] is nan, and 2 of 4 n"),
    (np.asarray(-np.inf, np.float16), "w is -inf, and 1 of 1 numbers"),
    (np.asarray([0, 1e39]), r"w\[1\] is 1e\+39, and 1 of 2 numbers"),
  ],
)
def test_numbers_that_are_not_finite(array, message):
  with pytest.raises(ValueError, match=message):
    arrays.check_finite(array, "w")
