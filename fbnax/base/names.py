"""Names that other people gave: compared, shown, and guessed when misspelt."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
# Joiners are part of words in some scripts, and of emoji.
_JOINERS = "\u200c\u200d"


def normalized(name: str) -> str:
  """The composed form (NFC), in which names that look the same are the same."""
  return unicodedata.normalize("NFC", name)


def is_encodable(name: str) -> bool:
  """Whether UTF-8 can say it, as not all names of other encodings."""
  try:
    name.encode()
  except UnicodeEncodeError:
    return False
  return True


def escaped(words: str) -> str:
  r"""Words for a terminal or a page, with what would not be seen escaped.

  Control characters, marks of writing direction, line separators and lone
  surrogates become `\x1b`, `\u202e` and the like; they could hide the rest of a
  line, or change what it seems to say.
  """
  if words.isascii() and words.isprintable():
    return words
  return "".join(
    repr(c)[1:-1]
    if unicodedata.category(c) in _HIDDEN and c not in _JOINERS
    else c
    for c in words
  )


def escaped_lines(words: str) -> str:
  """As `escaped`, of text in lines: their ends stay."""
  return "\n".join(map(escaped, words.split("\n")))


def nearest(name: str, legal: Iterable[str], cutoff: float = 0.4) -> list[str]:
  """Up to three legal names that a misspelt one may mean, the likest first.

  Args:
    name: what was asked for.
    legal: the names there are.
    cutoff: the least likeness, in 0 .. 1.
  """
  return difflib.get_close_matches(name, list(legal), 3, cutoff)
