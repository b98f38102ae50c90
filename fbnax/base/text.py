"""Text that other people wrote, read as UTF-8.

A byte-order mark at the beginning is dropped, since Windows' editors write one.
Any other encoding is refused by name: guessing would change names silently. So
is a NUL, which no text has, but UTF-16 without a mark and binary files do.
"""

from __future__ import annotations

import io
import os

from fbnax.base.files import naming

LARGEST_TEXT = 2**28  # Bytes; what is parsed takes twenty times its size.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read(path: str | os.PathLike[str], where: str = "") -> str:
  """The text of a file, without a byte-order mark.

  Args:
    path: of the file.
    where: what an error about the content calls it; by default its path.

  Raises:
    ValueError: it is not UTF-8 (what it may be, and where that shows), or
      larger than `LARGEST_TEXT`.
    OSError: it cannot be read; FileNotFoundError where there is none.
  """
  with naming(path, "cannot be read"), open(path, "rb") as file:
    content = file.read(LARGEST_TEXT + 1)
  if len(content) > LARGEST_TEXT:
    raise ValueError(
      f"{where or path} has more than {LARGEST_TEXT:,} bytes; legal: at most"
      " that many"
    )
  return decode(content, where or str(path))


def decode(content: bytes, where: str) -> str:
  """Bytes as text, without a byte-order mark.

  Raises:
    ValueError: they are not UTF-8; what they may be, and where that shows.
  """
  if content.startswith(_UTF_16):
    raise ValueError(f"{where} is UTF-16, not UTF-8; save it as UTF-8")
  nul = content.find(b"\0")
  if nul >= 0:
    line = content.count(b"\n", 0, nul) + 1
    raise ValueError(
      f"{where} is no text: byte 0x00 in line {line} (UTF-16, or a binary"
      " file); save it as UTF-8"
    )
  try:
    return content.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = content.count(b"\n", 0, error.start) + 1
    raise ValueError(
      f"{where} is not UTF-8: byte 0x{content[error.start]:02x} in line {line};"
      " save it as UTF-8"
    ) from None


def read_names(path: str | os.PathLike[str]) -> list[str]:
  """One name a line; lines may end as on any system, the last ones be empty.

  Raises:
    ValueError: as `read`, or there is an empty line between names, where it
      cannot be known whether a name is missing.
    OSError: as `read`.
  """
  document = io.StringIO(read(path), newline=None).read()
  names = [line.strip() for line in document.split("\n")]
  while names and not names[-1]:
    names.pop()
  if "" in names:
    raise ValueError(
      f"{path}: line {names.index('') + 1} is empty; legal: a name in each line"
    )
  return names
