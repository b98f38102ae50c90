import pytest

from fbnax.base import text


@pytest.mark.parametrize(
  "content",
  [
    b"cat\ndog\n",
    b"cat\r\ndog\r\n\r\n",
    b"cat\rdog",
    b"\xef\xbb\xbfcat\n dog \n\n\n",
  ],
)
def test_names_of_any_system(tmp_path, content):
  path = tmp_path / "names.txt"
  path.write_bytes(content)
  assert text.read_names(path) == ["cat", "dog"]


@pytest.mark.parametrize(
  "content, message",
  [
    ("caf\u00e9\n".encode("latin-1"), "not UTF-8: byte 0xe9 in line 1"),
    ("a\nb\n\u732b\n".encode("shift_jis"), "not UTF-8: .* in line 3"),
    ("cat\n".encode("utf-16"), "is UTF-16, not UTF-8"),
    ("cat\n".encode("utf-16-le"), "is no text: byte 0x00 in line 1"),
    (b"cat\nd\0g\n", "is no text: byte 0x00 in line 2"),
    (b"cat\n\ndog\n", "line 2 is empty"),
  ],
)
def test_other_files_are_refused_in_a_line(tmp_path, content, message):
  path = tmp_path / "names.txt"
  path.write_bytes(content)
  with pytest.raises(ValueError, match=message) as told:
    text.read_names(path)
  assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_too_large_a_file_is_not_read(tmp_path, monkeypatch):
  path = tmp_path / "names.txt"
  path.write_bytes(b"1234567")
  monkeypatch.setattr(text, "LARGEST_TEXT", 6)
  with pytest.raises(ValueError, match="more than 6 bytes; legal: at most"):
    text.read(path)
