"""Which errors are the user's to mend, and how they and others are told.

Names of classes, files and devices are anybody's: what a terminal would act on
is shown escaped.
"""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

from absl import flags

from fbnax.base import names


def explain(error: Exception) -> str | None:
  """What to tell the user, escaped; None for a fault of the program.

  A fault of the input is an error of the command line (absl), of the config's
  keys (ml_collections), a file that the system refuses, or a ValueError or
  OSError that this package raised itself: it says what was found and what is
  legal. What else a library raises of its own accord deep in a run means
  nothing to a user, and needs its traceback.
  """
  message = _message(error)
  return None if message is None else names.escaped_lines(message)


@contextlib.contextmanager
def escaping() -> Iterator[None]:
  """Lets all that is printed reach the terminal escaped."""
  with contextlib.redirect_stdout(_Escaped(sys.stdout)):
    yield


class _Escaped:
  """A stream of text, each piece of which is escaped but for line ends."""

  def __init__(self, stream: TextIO):
    self._stream = stream

  def write(self, words: str) -> int:
    self._stream.write(names.escaped_lines(words))
    return len(words)

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)


def _message(error: Exception) -> str | None:
  if isinstance(error, flags.Error):
    return str(error)
  *_, (frame, _) = traceback.walk_tb(error.__traceback__)
  module = frame.f_globals.get("__name__", "").split(".")[0]
  if module == "ml_collections":
    if isinstance(error, KeyError | AttributeError):
      return f"the config has no key {_innermost(error)}"
    return _innermost(error)
  # The program itself is `__main__`.
  own = module in ("fbnax", "__main__")
  if isinstance(error, OSError) and error.strerror:
    if error.filename:
      return f"{error.filename}: {error.strerror}"
    # Where this package raised it, the path is named already.
    return error.strerror if own else None
  if own and isinstance(error, ValueError | OSError):
    return str(error)
  return None


def _innermost(error: BaseException) -> str:
  """The first error's text: ml_collections wraps it, and a KeyError quotes."""
  while error.args and isinstance(error.args[0], BaseException):
    error = error.args[0]
  is_key = isinstance(error, KeyError) and error.args
  return str(error.args[0] if is_key else error)
