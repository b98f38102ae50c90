"""The words for costs, and fields that follow their table."""

import dataclasses
import typing

from fbnax.base import cost_kinds
from fbnax.base.cost_kinds import COST_KINDS


def test_a_sentence_lists_all_costs():
  sentence = cost_kinds.listed()
  assert sentence.startswith("`macs`, `params`, `latency`")
  assert "`memory`, the peak of activations in elements" in sentence
  assert f" or `{list(COST_KINDS)[-1]}`" in sentence


def test_a_dataclass_has_a_field_for_each_cost():
  @dataclasses.dataclass(frozen=True)
  @cost_kinds.fields(("macs", "memory"), "str", lambda kind: kind.unit)
  class Units:
    first: int = 1

  assert dataclasses.astuple(Units()) == (1, "MACs", "elements")
  assert Units(memory="bytes").memory == "bytes"
  assert typing.get_type_hints(Units)["memory"] is str


def test_what_is_measured_is_no_count():
  assert cost_kinds.measured("latency") is COST_KINDS["latency"]
  assert cost_kinds.measured("memory") is None
  assert cost_kinds.measured("of another version") is None


def test_no_two_costs_share_a_word_that_tells_them_apart():
  for word in ("suffix", "column", "source"):
    words = {getattr(kind, word) for kind in COST_KINDS.values()}
    assert len(words) == len(COST_KINDS)
