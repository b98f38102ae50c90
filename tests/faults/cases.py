"""Runs many malformed cases; each ends well, or with an error that is told."""

import collections
import os
import signal

from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from fbnax.jobs.messages import explain

SEED = int(os.environ.get("FBNAX_FUZZ_SEED", "0"))


class TooLongError(BaseException):
  """Not to be taken for an error of what is tested."""


def _stop(*_):
  raise TooLongError("a case took longer than its limit")


def is_told(error):
  """Whether the command line would tell it, and not by a traceback."""
  words = explain(error)
  return bool(words and words.strip())


def check(draw, read, cases, limit):
  """How many cases were `read` and `refused`.

  Args:
    draw: gives a case, of a `random.Random`.
    read: does with it what may raise.
    cases: how many.
    limit: CPU-seconds that one may take.
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
      if not is_told(error):
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
