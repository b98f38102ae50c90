"""WordNet's nouns, read by nltk from a dictionary that is on this machine.

Nothing is downloaded and nothing is written. The dictionary is version 3.0, in
whose offsets ImageNet's ids are; Debian has it as the package `wordnet-base`.
That package lacks the file `lexnames`, which nltk wants and which therefore
comes from memory. nltk is imported where it is used: it is an extra, `wordnet`,
and slow to start.

Symbols: a WordNet id is `n` and the eight digits of a noun's offset.
"""

from __future__ import annotations

import functools
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

VERSION = "3.0"
_HOW = (
  "install nltk (pip install 'fbnax[wordnet]') and the dictionary (on Debian "
  "and Ubuntu: apt-get install wordnet-base; elsewhere WordNet 3.0, with "
  "WNSEARCHDIR naming its folder dict)"
)
_FILES = ("data.noun", "index.noun", "noun.exc")
# WordNet's own table of its 45 lexicographer files, which a release numbers by
# their order, and the parts of speech that they hold.
_NOUNS = (
  "Tops act animal artifact attribute body cognition communication event "
  "feeling food group location motive object person phenomenon plant "
  "possession process quantity relation shape state substance time"
)
_VERBS = (
  "body change cognition communication competition consumption contact "
  "creation emotion motion perception possession social stative weather"
)
_LEXNAMES = (
  *(("adj.all", 3), ("adj.pert", 3), ("adv.all", 4)),
  *((f"noun.{name}", 1) for name in _NOUNS.split()),
  *((f"verb.{name}", 2) for name in _VERBS.split()),
  ("adj.ppl", 3),
)


class MissingWordNetError(ValueError):
  """There is no nltk or no dictionary; the message says how to get them."""


def wordnet(path: str | os.PathLike[str] | None = None) -> Any:
  """The dictionary's reader, nltk's `WordNetCorpusReader`.

  Args:
    path: the folder of the dictionary; by default the first with one of the
      environment's `WNSEARCHDIR` and `WNHOME/dict`, `/usr/share/wordnet`, the
      folders that WordNet itself installs into, and nltk's data.

  Raises:
    MissingWordNetError: no nltk, or no dictionary there.
    ValueError: a dictionary of another version.
  """
  tried = [Path(path)] if path is not None else list(_places())
  for folder in tried:
    if all((folder / name).is_file() for name in _FILES):
      return _read(str(folder.resolve()))
  places = ", ".join(map(str, tried))
  raise MissingWordNetError(f"no WordNet dictionary in {places}; {_HOW}")


def synset(reader: Any, wnid: str) -> Any:
  """The noun of a WordNet id.

  Raises:
    ValueError: it is none of the dictionary's.
  """
  try:
    if not re.fullmatch(r"n\d{8}", wnid):
      raise ValueError(wnid)
    return reader.synset_from_pos_and_offset("n", int(wnid[1:]))
  except Exception:  # nltk raises whatever the bytes at an offset lead to.
    raise ValueError(
      f"{wnid!r} is no noun of WordNet {VERSION}; legal: an id such as "
      f"'n02121620'"
    ) from None


def wnid(noun: Any) -> str:
  """The id of a noun."""
  return f"n{noun.offset():08d}"


def name(noun: Any) -> str:
  """The first word of a noun, as one writes it."""
  return noun.lemma_names()[0].replace("_", " ")


def names(found: Sequence[Any]) -> list[str]:
  """Names of nouns, each once: `crane (wading bird)` where words repeat."""
  plain = [name(noun) for noun in found]
  repeats = Counter(plain)
  return [
    f"{word} ({name(above(noun)[0])})" if repeats[word] > 1 else word
    for word, noun in zip(plain, found, strict=True)
  ]


def above(noun: Any) -> list[Any]:
  """What a noun is a kind or an instance of, by name.

  Versions of nltk differ in the order; published hierarchies have this one.
  """
  nouns = noun.hypernyms() or noun.instance_hypernyms()
  return sorted(nouns, key=lambda noun: noun.name())


def _places() -> Iterator[Path]:
  if os.environ.get("WNSEARCHDIR"):
    yield Path(os.environ["WNSEARCHDIR"])
  if os.environ.get("WNHOME"):
    yield Path(os.environ["WNHOME"], "dict")
  yield Path("/usr/share/wordnet")
  yield Path("/usr/local/WordNet-3.0/dict")
  yield Path("/usr/local/share/wordnet")
  data = os.environ.get("NLTK_DATA", "").split(os.pathsep)
  for folder in [*data, os.path.expanduser("~/nltk_data")]:
    if folder:
      yield Path(folder, "corpora", "wordnet")


@functools.cache
def _read(folder: str) -> Any:
  try:
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
  except ImportError:
    raise MissingWordNetError(f"nltk is not installed; {_HOW}") from None

  class Reader(WordNetCorpusReader):
    """A reader of English alone, which needs no table of file names."""

    def __init__(self, root: str) -> None:
      # In place of a warning that there are no other languages.
      super().__init__(root, omw_reader=False)

    def open(self, file: str) -> Any:
      if file != "lexnames":
        return super().open(file)
      lines = (f"{i:02d}\t{n}\t{p}\n" for i, (n, p) in enumerate(_LEXNAMES))
      return io.StringIO("".join(lines))

    def map_wn(self, version: str = "wordnet") -> dict:
      # Offsets of other languages' dictionaries, which would want nltk's own.
      return {}

  # nltk reads nothing outside of the folders that this list names.
  if folder not in nltk.data.path:
    nltk.data.path.append(folder)
  try:
    reader = Reader(folder)
    version = reader.get_version()
  except Exception as error:  # nltk's or Python's, by the damage.
    raise MissingWordNetError(
      f"the dictionary in {folder} cannot be read ({error}); {_HOW}"
    ) from None
  if version != VERSION:
    raise ValueError(
      f"the dictionary in {folder} is WordNet {version}; legal: {VERSION}, in "
      f"whose offsets ids of classes are"
    )
  return reader
