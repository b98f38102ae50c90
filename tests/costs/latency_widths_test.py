"""Times between measured widths, against times that a formula gives."""

import itertools

import numpy as np
import pytest

from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key


def block(c_in, c_mid, c_out, **changes):
  fields = {"kernel": 3, "activation": "relu"} | changes
  return Key("inverted_residual", 8, c_in, c_mid, c_out, **fields)


def formula(key):
  """Work of both 1x1 convolutions and what passes through, microseconds."""
  expand = key.c_in * key.c_mid if key.c_mid != key.c_in else 0
  work = 5 + 0.3 * key.c_mid + 0.02 * expand + 0.01 * key.c_mid * key.c_out
  return work / 1000


def table_of(keys, **fields):
  entries = {key: Entry(formula(key)) for key in keys}
  return LatencyTable(entries, interpolate=True, **fields)


MEASURED = [
  block(i, int(e * i), o)
  for i, e, o in itertools.product((16, 32), (1.5, 4.5), (16, 48))
]


@pytest.mark.parametrize(
  "widths", [(16, 48, 32), (24, 36, 48), (32, 72, 16), (20, 60, 40)]
)
def test_between_the_widths(widths):
  found = table_of(MEASURED).time(block(*widths))
  assert found == pytest.approx(formula(block(*widths)), rel=1e-6)


def test_widths_that_move_together():
  """A residual block's input and output follow one decision."""
  measured = [block(i, e * i, i) for i in (16, 32) for e in (2, 4)]
  found = table_of(measured).time(block(24, 72, 24))
  assert found == pytest.approx(formula(block(24, 72, 24)), rel=1e-6)


def test_a_measured_time_stays():
  entries = {key: Entry(formula(key)) for key in MEASURED}
  entries[MEASURED[0]] = Entry(1.0)
  found = LatencyTable(entries, interpolate=True)
  assert found.time(MEASURED[0]) == 1.0


@pytest.mark.parametrize(
  "key",
  [
    block(8, 48, 32),
    block(16, 48, 64),
    block(16, 200, 32),
    block(16, 48, 32, kernel=5),
    block(16, 48, 32, stride=2),
    block(16, 48, 32, squeeze_excite=True),
    block(16, 48, 32, activation="hswish"),
    block(16, 48, 32, groups=2),
    block(16, 48, 32)._replace(size=16),
  ],
)
def test_nothing_is_said_beyond_what_was_measured(key):
  assert table_of(MEASURED).time(key) is None


def test_only_where_the_table_says_so():
  entries = {key: Entry(formula(key)) for key in MEASURED}
  assert LatencyTable(entries).time(block(24, 72, 24)) is None


def test_identities_do_not_count():
  """They take no time, which says nothing of skips that change the shape."""

  def ms(i, o):
    return 0.001 * i * o

  entries = {
    Key("skip", 8, i, c_out=o): Entry(ms(i, o) if i != o else 0.0)
    for i in (16, 32, 48)
    for o in (16, 32, 48)
  }
  found = LatencyTable(entries, interpolate=True)
  between = found.time(Key("skip", 8, 16, c_out=24))
  assert between == pytest.approx(ms(16, 24), rel=0.2)


def test_times_are_never_negative():
  random = np.random.default_rng(0)
  entries = {key: Entry(float(random.exponential())) for key in MEASURED}
  found = LatencyTable(entries, interpolate=True)
  for i, o in itertools.product(range(16, 33, 4), range(16, 49, 4)):
    for mid in range(24, 145, 8):
      assert found.time(block(i, mid, o)) >= 0
