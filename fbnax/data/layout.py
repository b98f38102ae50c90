"""Which files of a folder are images of which class, in which split.

Either `train/<class>/*` beside `test/<class>/*`, or `<class>/*`. Splits have
the names that people give them, in any letter case; what is left unused is
said, and a folder whose splits would pass for classes is refused. What
operating systems and archives leave behind is passed over. Nothing is decoded.
"""

import dataclasses
import errno
import os
import re
import stat
from pathlib import Path

from fbnax.base.names import escaped, normalized
from fbnax.data import decoding

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")

_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_VALIDATION = ("validation", "val", "valid", "dev", "eval", "evaluation")
# How else splits are called, as test1 and training_set; a group is a kind.
_KINDS = "|".join(f"({'|'.join(n)})" for n in (_TRAIN, _TEST, _VALIDATION))
_SPLIT = re.compile(rf"(?:{_KINDS})[ _-]?(?:\d*|set|data|images)")
_SYSTEM = (
  "#recycle",
  "#snapshot",
  "$recycle.bin",
  "@__thumb",
  "@eadir",
  "__macosx",
  "desktop.ini",
  "ehthumbs.db",
  "ehthumbs_vista.db",
  "icon\r",
  "lost+found",
  "network trash folder",
  "picasa.ini",
  "system volume information",
  "temporary items",
  "thumbs.db",
  "zbthumbnail.info",
)
# Streams of Windows' files, as Linux shows them.
_STREAMS = (":zone.identifier", ":encryptable")


@dataclasses.dataclass(frozen=True)
class Layout:
  """The files of a folder.

  Attributes:
    train: files of each class, sorted; classes are sorted by name (NFC).
    test: likewise; None where the folder has no test set.
    notes: what else should be known of the folder.
  """

  train: dict[str, list[Path]]
  test: dict[str, list[Path]] | None
  notes: tuple[str, ...]


def read(root: Path) -> Layout:
  """Lists the images under a folder.

  Raises:
    ValueError: naming the folder or file, what was found and what is legal.
  """
  folders = _folders(root)
  trains = [f for f in folders if f.name.casefold() in _TRAIN]
  if not any(_folders(folder) for folder in trains):
    _refuse_splits(root, folders)
    return Layout(_nonempty(root, _files_by_class(root)), None, ())
  train = _only(root, trains, "training")
  _refuse_splits(train, _folders(train))
  tests = [f for f in folders if f.name.casefold() in _TEST] or [
    f for f in folders if f.name.casefold() in _VALIDATION
  ]
  test = _only(root, tests, "test") if tests else None
  notes = []
  if test and test.name != _TEST[0]:
    notes.append(f"tested on {escaped(test.name)}")
  if unused := [escaped(f.name) for f in folders if f not in (train, test)]:
    notes.append(f"{', '.join(unused)} not used")
  train_files = _nonempty(train, _files_by_class(train))
  test_files = _files_by_class(test) if test else None
  if unknown := sorted(set(test_files or ()) - set(train_files)):
    name = escaped(unknown[0])
    raise ValueError(
      f"{_shown(test or root)}/{name}: class {name!r} is not among the training"
      f" set's classes; legal: {', '.join(map(escaped, train_files))}"
    )
  if test and not any((test_files or {}).values()):
    raise ValueError(
      f"{_shown(test)}: no images in any class; legal: one at least"
    )
  return Layout(train_files, test_files, tuple(notes))


def _only(root: Path, folders: list[Path], split: str) -> Path:
  if len(folders) > 1:
    raise ValueError(
      f"{_shown(root)}: the folders {_listed(folders)} would all be the {split}"
      " set; legal: one of them"
    )
  return folders[0]


def _refuse_splits(root: Path, folders: list[Path]) -> None:
  """Refuses folders whose names are those of splits, and not of classes.

  A class may be called "train" among others that are no splits.
  """
  legal = "legal: train/<class>/ and test/<class>/, or <class>/"
  if len(folders) == 1 and (inner := _folders(folders[0])):
    raise ValueError(
      f"{_shown(root)}: holds {escaped(folders[0].name)!r} alone, which holds"
      f" folders ({_listed(inner[:3])}); legal: the path {_shown(folders[0])}"
    )
  matches = [(f, _SPLIT.fullmatch(f.name.casefold())) for f in folders]
  splits = [folder for folder, match in matches if match]
  kinds = {match.lastindex for _, match in matches if match}
  if not splits or (len(splits) < len(folders) and len(kinds) == 1):
    return
  if flat := [folder for folder in splits if not _folders(folder)]:
    raise ValueError(
      f"{_shown(root)}: images without class folders in {_listed(flat)}, where"
      f" {_listed(splits)} are names of splits and not of classes; {legal}"
    )
  raise ValueError(
    f"{_shown(root)}: no training set among the splits {_listed(splits)};"
    f" {legal}"
  )


def _files_by_class(path: Path) -> dict[str, list[Path]]:
  """The image files of each class, all sorted by name."""
  entries = _visible(path)
  folders = [p for p in entries if p.is_dir()]
  strays = [
    p for p in entries if p.suffix.lower() in SUFFIXES and not p.is_dir()
  ]
  if not folders:
    problem = "images without class folders" if strays else "no folders"
    raise ValueError(f"{_shown(path)}: {problem}; legal: one folder per class")
  if strays:
    raise ValueError(
      f"{_shown(strays[0])}: an image outside the folders of the classes"
    )
  by_class: dict[str, Path] = {}
  for folder in folders:
    other = by_class.setdefault(normalized(folder.name), folder)
    if other is not folder:
      raise ValueError(
        f"{_shown(path)}: the folders {other.name!a} and"
        f" {folder.name!a} are one name in two Unicode forms; legal: one"
        " folder for each class"
      )
  return {name: _image_files(by_class[name]) for name in sorted(by_class)}


def _nonempty(
  path: Path, by_class: dict[str, list[Path]]
) -> dict[str, list[Path]]:
  if empty := [name for name, files in by_class.items() if not files]:
    raise ValueError(
      f"{_shown(path)}: class {escaped(empty[0])!r}: no images; legal: at least"
      f" one of {', '.join(SUFFIXES)}"
    )
  return by_class


def _image_files(folder: Path) -> list[Path]:
  files = _visible(folder)
  for file in files:
    if problem := _problem(file):
      raise ValueError(
        f"{_shown(file)}: {problem}; legal in a class's folder:"
        f" {', '.join(SUFFIXES)}"
      )
  return files


def _problem(file: Path) -> str:
  """What is wrong with a file of a class, "" if nothing is to be seen."""
  status = file.stat()
  if stat.S_ISDIR(status.st_mode):
    return "is a folder inside of a class's folder"
  if not stat.S_ISREG(status.st_mode):
    return "is no file, but a pipe, a socket or a device"
  if file.suffix.lower() not in SUFFIXES:
    try:
      with decoding.opened(file) as image:
        content = image.format
    except Exception:  # Whatever Pillow raises where there is no image.
      return "is no image"
    ending = f"ends in {escaped(file.suffix)!r}" if file.suffix else "no ending"
    return f"{ending}, though it holds a {content} image"
  return "" if status.st_size else "is empty, 0 bytes"


def _folders(path: Path) -> list[Path]:
  return [p for p in _visible(path) if p.is_dir()]


def _visible(path: Path) -> list[Path]:
  """What a folder holds, sorted, without what a system left there.

  Raises:
    ValueError: something in it cannot be reached: a dead link, no permission.
  """
  try:
    entries = sorted(p for p in path.iterdir() if not _is_system(p.name))
  except OSError as error:
    raise ValueError(
      f"{_shown(path)}: cannot be read: {error.strerror}"
    ) from error
  for entry in entries:
    try:
      entry.stat()
    except OSError as error:
      raise ValueError(f"{_shown(entry)}: {_unreachable(entry, error)}") from (
        error
      )
  return entries


def _unreachable(path: Path, error: OSError) -> str:
  if not path.is_symlink():
    return f"cannot be read: {error.strerror}"
  target = _shown(Path(os.readlink(path)))
  if error.errno == errno.ELOOP:
    return f"is a link to {target}, which leads back to itself"
  if error.errno == errno.ENOENT:
    return f"is a link to {target}, which is not there"
  return f"is a link to {target}, which cannot be read: {error.strerror}"


def _is_system(name: str) -> bool:
  small = name.casefold()
  return small.startswith(".") or small in _SYSTEM or small.endswith(_STREAMS)


def _listed(folders: list[Path]) -> str:
  return ", ".join(escaped(folder.name) for folder in folders)


def _shown(path: Path) -> str:
  return escaped(str(path))
