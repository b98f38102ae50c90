import io

import pytest

from fbnax.training.progress import duration, open_progress


class Clock:
  now = 0.0

  def __call__(self):
    return self.now


class Terminal(io.StringIO):
  def isatty(self):
    return True


def test_a_log_gets_few_lines():
  stream, clock = io.StringIO(), Clock()
  with (
    open_progress(stream, clock=clock) as progress,
    progress.phase("round 1", total=100) as advance,
  ):
    for _ in range(100):
      clock.now += 0.3
      advance(1, accuracy=0.912345, kind="small")
  assert stream.getvalue().splitlines() == [
    "round 1: starts",
    "round 1: 34 of 100, 10 s, 20 s left, accuracy 0.9123, kind small",
    "round 1: 68 of 100, 20 s, 10 s left, accuracy 0.9123, kind small",
    "round 1: done after 30 s, 100 of 100, accuracy 0.9123, kind small",
  ]


def test_what_was_done_before_took_no_time_now():
  stream, clock = io.StringIO(), Clock()
  with (
    open_progress(stream, clock=clock) as progress,
    progress.phase("final", total=100, done=80) as advance,
  ):
    clock.now = 50
    advance(10)
  assert stream.getvalue().splitlines()[:2] == [
    "final: goes on at 80 of 100",
    "final: 90 of 100, 50 s, 50 s left",
  ]


def test_unknown_total_and_an_error():
  stream, clock = io.StringIO(), Clock()
  with (
    pytest.raises(RuntimeError),
    open_progress(stream, clock=clock, interval=1) as progress,
    progress.phase("look") as advance,
  ):
    clock.now = 1
    advance()
    raise RuntimeError
  assert stream.getvalue().splitlines() == [
    "look: starts",
    "look: 1, 1 s",
    "look: stopped after 1 s, 1",
  ]


def test_a_terminal_gets_a_bar(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "120")
  stream = Terminal()
  with open_progress(stream) as progress:
    with progress.phase("round [1]", total=4) as advance:
      advance(3, accuracy=0.5)
    with progress.phase("unknown") as advance:
      advance()
  shown = stream.getvalue()
  assert "round [1]" in shown and "3/4" in shown and "accuracy 0.5" in shown
  assert "\x1b[" in shown and "starts" not in shown


@pytest.mark.parametrize(
  "seconds, words",
  [(0.2, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_duration(seconds, words):
  assert duration(seconds) == words


def test_names_are_shown_escaped():
  stream = io.StringIO()
  with (
    open_progress(stream, interval=0.0) as progress,
    progress.phase("train \x1b[2J", 2) as advance,
  ):
    advance(1, device="\u202epixel")
  shown = stream.getvalue()
  assert r"train \x1b[2J: 1 of 2" in shown
  assert r"device \u202epixel" in shown
  assert not {"\x1b", "\u202e"} & set(shown)
