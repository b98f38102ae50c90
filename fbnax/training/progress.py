"""Progress on a terminal, with the time left; plain lines in a log.

On a terminal each phase is a bar (rich). Where the output is a file or a pipe a
phase prints a line as it starts, one at most every ten seconds, and one as it
ends, so that a log can be read.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from fbnax.base.names import escaped


class Advance(Protocol):
  """Tells that `count` more units are done, and how things stand."""

  def __call__(self, count: float = 1, **values: Any) -> None:
    """Values are shown beside the progress: `advance(1, accuracy=0.9)`."""


@dataclasses.dataclass(frozen=True)
class Progress:
  """Shows phases; `open_progress` makes it.

  Attributes:
    bars: rich's display, or None where there is no terminal.
    stream: where lines go.
    interval: seconds between the lines of a phase.
    clock: seconds since whenever.
  """

  bars: Any
  stream: TextIO
  interval: float
  clock: Callable[[], float]

  @contextmanager
  def phase(
    self, name: str, total: float | None = None, done: float = 0
  ) -> Iterator[Advance]:
    """A phase of `total` units, `done` of them before this start.

    Args:
      name: what is being done.
      total: None if not known; then no time left is given.
      done: units of an earlier run; they took no time in this one.

    Yields:
      What to call as units are done.
    """
    show = self._bar if self.bars is not None else self._lines
    with show(escaped(name), total, done) as advance:
      yield advance

  @contextmanager
  def _bar(
    self, name: str, total: float | None, done: float
  ) -> Iterator[Advance]:
    task = self.bars.add_task(name, total=total, completed=done, values="")

    def advance(count: float = 1, **values: Any) -> None:
      shown = {"values": _words(values)} if values else {}
      self.bars.update(task, advance=count, **shown)

    try:
      yield advance
    finally:
      self.bars.stop_task(task)

  @contextmanager
  def _lines(
    self, name: str, total: float | None, done: float
  ) -> Iterator[Advance]:
    start = last = self.clock()
    now = done
    latest = ""

    def say(*parts: str) -> None:
      text = ", ".join(part for part in parts if part)
      print(f"{name}: {text}", file=self.stream, flush=True)

    def count_of() -> str:
      if total is not None:
        return f"{now:g} of {total:g}"
      return f"{now:g}" if now else ""

    def advance(count: float = 1, **values: Any) -> None:
      nonlocal now, last, latest
      now += count
      latest = _words(values) or latest
      moment = self.clock()
      if moment - last < self.interval:
        return
      last = moment
      left = ""
      if total is not None and now > done:
        seconds = (moment - start) * (total - now) / (now - done)
        left = f"{duration(max(seconds, 0))} left"
      say(count_of(), duration(moment - start), left, latest)

    say("starts" if not done else f"goes on at {count_of()}")
    ended = "stopped"
    try:
      yield advance
      ended = "done"
    finally:
      say(f"{ended} after {duration(self.clock() - start)}", count_of(), latest)


@contextmanager
def open_progress(
  stream: TextIO | None = None,
  *,
  interval: float = 10.0,
  clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
  """Shows progress while the context lasts.

  Args:
    stream: where; standard error if None.
    interval: least seconds between two lines of a phase in a log.
    clock: for tests.
  """
  stream = sys.stderr if stream is None else stream
  if not stream.isatty():
    yield Progress(None, stream, interval, clock)
    return
  from rich import progress as rich_progress  # Slow; a log needs none of it.
  from rich.console import Console

  console = Console(file=stream)
  columns = (
    rich_progress.TextColumn("{task.description}", markup=False),
    rich_progress.BarColumn(),
    rich_progress.MofNCompleteColumn(),
    rich_progress.TimeElapsedColumn(),
    rich_progress.TimeRemainingColumn(elapsed_when_finished=False),
    rich_progress.TextColumn("{task.fields[values]}", markup=False),
  )
  with rich_progress.Progress(*columns, console=console) as bars:
    yield Progress(bars, stream, interval, clock)


def duration(seconds: float) -> str:
  """Seconds in words: `8 s`, `3 min 20 s`, `2 h 5 min`."""
  whole = round(seconds)
  if whole < 60:
    return f"{whole} s"
  if whole < 3600:
    return f"{whole // 60} min {whole % 60} s"
  return f"{whole // 3600} h {whole % 3600 // 60} min"


def _words(values: dict[str, Any]) -> str:
  words = []
  for name, value in values.items():
    shown = value if isinstance(value, str | int) else f"{float(value):.4g}"
    words.append(escaped(f"{name} {shown}"))
  return ", ".join(words)
