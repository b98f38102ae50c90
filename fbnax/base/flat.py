"""Nested dicts as dotted keys, as a config's flags spell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """The leaves of nested mappings by their dotted keys, in their order.

  An empty mapping is a leaf.

  >>> flat({"a": {"b": 1, "c": {}}, "d": 2})
  {'a.b': 1, 'a.c': {}, 'd': 2}
  """
  leaves: dict[str, Any] = {}
  for key, value in tree.items():
    if isinstance(value, Mapping) and value:
      leaves |= flat(value, f"{prefix}{key}.")
    else:
      leaves[f"{prefix}{key}"] = value
  return leaves
