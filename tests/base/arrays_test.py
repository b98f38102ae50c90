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
