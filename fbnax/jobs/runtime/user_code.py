"""Code of the user's own: found by its name in a config, and called.

A config names it as `path/to/file.py:name` or `package.module:name`. Whatever
goes wrong inside it is told as a ValueError with the line of the user's file.
What it may be is the affair of `fbnax.jobs.runtime.parts`, which also says
whose names may come here: naming a part runs its file.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fbnax.base.names import nearest

_PART = re.compile(r"(.+):([^\W\d]\w*)")
_FORMS = "path/to/file.py:name or package.module:name"


def is_part(text: str) -> bool:
  """Whether a config's value names a part: it ends in `:name`."""
  return _PART.fullmatch(text) is not None


def load(text: str, key: str) -> Any:
  """What a part's name stands for. Runs its file, once per path.

  Args:
    text: `path/to/file.py:name` or `package.module:name`.
    key: of the config, for messages, such as "config.space".

  Raises:
    ValueError: no such file, module or name (the nearest ones are given), or
      what was raised inside it, with the line.
  """
  match = _PART.fullmatch(text)
  if match is None:
    raise ValueError(f"{key}={text!r}; legal: {_FORMS}")
  where, name = match.groups()
  if where.endswith(".py") or "/" in where:
    module = _from_file(Path(where).expanduser(), f"{key}={text!r}")
  else:
    module = _from_package(where, f"{key}={text!r}")
  if not hasattr(module, name):
    there = [n for n in vars(module) if not n.startswith("_")]
    near = nearest(name, there) or sorted(there)[:8]
    raise ValueError(
      f"{key}={text!r}: {where} has no {name!r}; nearest: {near}"
    )
  return getattr(module, name)


def call(function: Any, named: str, **arguments: Any) -> Any:
  """Calls what a part's name stands for, with the arguments in their order.

  Args:
    function: what the user gave.
    named: how messages call it: the key and its value.
    **arguments: their names are for messages alone.

  Raises:
    ValueError: it cannot be called so, or fails.
  """
  form = f"a function of ({', '.join(arguments)})"
  if not callable(function):
    raise wrong(named, function, form)
  try:
    inspect.signature(function).bind(*arguments.values())
  except TypeError as error:
    raise ValueError(f"{named}: {error}; legal: {form}") from error
  except ValueError:
    pass  # Some callables of C have no signature; the call will tell.
  with told(named):
    return function(*arguments.values())


@contextmanager
def told(named: str) -> Iterator[None]:
  """Makes an error of the user's code, or its exit, a message with its line."""
  try:
    yield
  except (Exception, SystemExit) as error:
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
      what = f"{type(error).__name__}: {error.msg}"
      # Of bytes that are no text, the file is not told.
      place = f"{error.filename}, line {error.lineno}: " * bool(error.filename)
    else:
      place = _place(error)
    raise ValueError(f"{named}: {place}{what}") from error


@contextmanager
def told_config() -> Iterator[None]:
  """As `told`, of the file that `--config` names, while flags are read.

  What absl and ml_collections say of flags and of keys stays as it is; they
  wrap what is wrong with the file in words of their own, with its traceback.
  """
  try:
    yield
  except (Exception, SystemExit) as error:
    origin: BaseException = error
    while inner := origin.__cause__ or origin.__context__:
      origin = inner
    if isinstance(origin, OSError):
      line = str(origin).splitlines()[-1].strip()
      raise ValueError(f"--config: {line}") from error
    *_, (frame, _) = traceback.walk_tb(origin.__traceback__)
    library = frame.f_globals.get("__name__", "").split(".")[0]
    wrapped = "parsing config file" in str(error)  # By ml_collections.
    if wrapped or library not in ("absl", "ml_collections"):
      with told("--config"):
        raise origin from None
    if getattr(origin, "name", None) == "get_config":
      raise ValueError("--config: its file has no get_config()") from error
    raise


def wrong(where: str, found: Any, wanted: str) -> ValueError:
  """The error for something of another type than it should be."""
  shown = repr(found)
  shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
  kind = type(found).__name__
  return ValueError(f"{where}: found a {kind}, {shown}; legal: {wanted}")


def _from_file(path: Path, named: str) -> ModuleType:
  if not path.is_file():
    raise ValueError(f"{named}: no such file: {path}")
  path = path.resolve()
  digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
  # Under a name of its own: two files called space.py do not meet.
  name = f"_fbnax_part_{digest}_{path.stem}"
  if name in sys.modules:
    return sys.modules[name]
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None or spec.loader is None:
    raise ValueError(f"{named}: {path} is no Python file; legal: {_FORMS}")
  module = importlib.util.module_from_spec(spec)
  before = list(sys.path)
  # As in a script, a file's neighbours can be imported; not afterwards.
  sys.path.insert(0, str(path.parent))
  sys.modules[name] = module
  try:
    with told(named):
      spec.loader.exec_module(module)
  except BaseException:
    del sys.modules[name]
    raise
  finally:
    sys.path[:] = before
  return module


def _from_package(where: str, named: str) -> ModuleType:
  try:
    with told(named):
      return importlib.import_module(where)
  except ValueError as error:
    cause = error.__cause__
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if missing is None or not f"{where}.".startswith(f"{missing}."):
      raise
    raise ValueError(
      f"{named}: no module {missing!r} can be imported; legal: {_FORMS}"
    ) from None


def _place(error: BaseException) -> str:
  """The last line outside libraries, and this package, that an error passed."""
  package = str(Path(__file__).parents[1])
  others = (package, sysconfig.get_paths()["stdlib"], "<frozen")
  for frame in reversed(traceback.extract_tb(error.__traceback__)):
    library = "site-packages" in Path(frame.filename).parts
    if not library and not frame.filename.startswith(others):
      return f"{frame.filename}, line {frame.lineno}, `{frame.line}`: "
  return ""
