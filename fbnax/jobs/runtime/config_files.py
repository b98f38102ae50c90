"""Where config files are: in a checkout, or in the installed package.

A checkout has them in `configs/`, an installed package in `fbnax/configs/`;
`configs/nars.py` names the one that there is, wherever it is run from.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import fbnax
from fbnax.base.names import nearest

_FLAG = "--config"
_FOLDER = "configs"


def folder() -> Path:
  """The directory of the configs."""
  package = Path(fbnax.__file__).parent
  inside = package / _FOLDER
  return inside if inside.is_dir() else package.parent / _FOLDER


def names() -> list[str]:
  """The configs by their names, such as `nars`."""
  return sorted(
    path.stem for path in folder().glob("*.py") if path.stem != "__init__"
  )


def path(name: str) -> str:
  """The file of a config's name.

  Raises:
    ValueError: there is none of that name; the nearest is told.
  """
  if name not in names():
    near = nearest(name, names())
    raise ValueError(
      f"there is no config {name!r}; "
      + (f"nearest: {', '.join(near)}" if near else f"legal: {names()}")
    )
  return str(folder() / f"{name}.py")


def docstring(name: str) -> str:
  """What a config's file says of itself; its code does not run.

  Raises:
    ValueError: there is none of that name.
  """
  return ast.get_docstring(ast.parse(Path(path(name)).read_text("utf-8"))) or ""


def located(argv: Sequence[str]) -> list[str]:
  """A command line whose `--config=configs/NAME.py` is a file that there is.

  A file at that path from here is taken; else that of the package.
  """
  found = []
  for i, argument in enumerate(argv):
    flag, equals, value = argument.partition("=")
    is_value = i > 0 and argv[i - 1] == _FLAG
    if is_value:
      flag, equals, value = "", "", argument
    if is_value or (flag == _FLAG and equals):
      argument = f"{flag}{equals}{_located(value)}"
    found.append(argument)
  return found


def _located(value: str) -> str:
  file, colon, preset = value.partition(":")
  given = Path(file)
  is_ours = given.parent == Path(_FOLDER) and given.stem in names()
  if given.exists() or not is_ours:
    return value
  return f"{folder() / given.name}{colon}{preset}"
