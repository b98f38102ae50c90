import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fbnax.base.intervals import interval

NUMBERS = hnp.arrays(
  np.float64,
  st.tuples(st.integers(1, 5), st.integers(1, 4)),
  elements=st.floats(-3, 3).map(lambda v: round(v, 3)),
)


@settings(max_examples=60, deadline=None)
@given(NUMBERS)
def test_interval_is_students(values):
  found = interval(values)
  runs = values.shape[0]
  units = values.mean(axis=1) if runs >= 2 else values[0]
  assert found.over == ("runs" if runs >= 2 else "seeds")
  assert found.units == len(units)
  assert found.mean == pytest.approx(units.mean())
  if len(units) < 2:
    assert np.isnan(found.low)
    return
  error = scipy.stats.sem(units)
  if error < 1e-12:
    assert found.low == pytest.approx(found.high, abs=1e-9)
    return
  low, high = scipy.stats.t.interval(
    0.95, len(units) - 1, loc=units.mean(), scale=error
  )
  assert (found.low, found.high) == pytest.approx((low, high))
