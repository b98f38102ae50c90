"""The first value that is not legal is named, with what would be."""

import types

import pytest

from fbnax.base.checks import check_section


def test_the_first_value_that_is_not_legal_is_named():
  values = types.SimpleNamespace(epochs=0, schedule="sine")
  legal = {"epochs": (True, "at least 0"), "schedule": (True, "cosine")}
  check_section("training", values, legal)
  wrong = {"epochs": (False, "at least 1"), "schedule": (False, "cosine")}
  with pytest.raises(
    ValueError, match=r"^training\.epochs is 0; legal: at least 1$"
  ):
    check_section("training", values, wrong)
  with pytest.raises(
    ValueError, match=r"training\.schedule is 'sine'; legal: c"
  ):
    check_section("training", values, wrong | {"epochs": (True, "")})
