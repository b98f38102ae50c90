"""Runs many malformed cases; each ends well, or with an error that is told."""

import collections
import os
import signal
import unicodedata

from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from fbnax.jobs.runtime.messages import explain

SEED = int(os.environ.get("FBNAX_FUZZ_SEED", "0"))
# Cases of the long version, of all that `share` divides them among.
LONG = int(os.environ.get("FBNAX_FUZZ_CASES", "10000"))
# What ends a line, or changes how a terminal shows it.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # Parts of words, and of emoji.


class TooLongError(BaseException):
  """Not to be taken for an error of what is tested."""


def _stop(*_):
  raise TooLongError("a case took longer than its limit")


def is_told(error):
  """Whether the command line would tell it, and not by a traceback."""
  words = explain(error)
  return bool(words and words.strip())


def is_told_in_lines(error):
  """Whether the command line would tell it in lines that a terminal shows."""
  words = (explain(error) or "").replace("\n", "")
  return is_told(error) and not any(
    unicodedata.category(c) in _HIDDEN and c not in _JOINERS for c in words
  )


def is_told_in_a_line(error):
  """Whether the command line would tell it in one such line."""
  return is_told_in_lines(error) and "\n" not in explain(error)


def share(fraction):
  """So many cases of the long version, rounded up."""
  return -int(-LONG * fraction // 1)


def check(draw, read, cases, limit, told=is_told):
  """How many cases were `read` and `refused`.

  Args:
    draw: gives a case, of a `random.Random`.
    read: does with it what may raise.
    cases: how many.
    limit: CPU-seconds that one may take.
    told: whether an error is one of those that are documented.
  """
  seen = collections.Counter()

  @seed(SEED)
  @settings(
    max_examples=cases,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
  )
  @given(st.randoms(use_true_random=True))
  def case(random):
    drawn = draw(random)
    note(f"case: {drawn!r:.3000}")
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
      read(drawn)
    except Exception as error:
      if not told(error):
        raise
      seen["refused"] += 1
    else:
      seen["read"] += 1
    finally:
      signal.setitimer(signal.ITIMER_VIRTUAL, 0)

  before = signal.signal(signal.SIGVTALRM, _stop)
  try:
    case()
  finally:
    signal.signal(signal.SIGVTALRM, before)
  return seen
