"""Means and paired differences of the job `nbdt_tables`. NumPy alone.

Cells of one seed start alike, so a cell is compared with the plain network of
the same seed, and two cells with each other; intervals are Student's, 95%, over
the seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fbnax.base.intervals import interval

METRICS = ("network_accuracy", "soft_accuracy", "hard_accuracy")
# What the paper claims, as pairs of cells: better first.
Case = Mapping[str, Any]


def summarize(cases: Sequence[Case]) -> dict[str, Any]:
  """What `result.json` says under `summary`.

  Args:
    cases: as the job has them.

  Returns:
    `cells`, each with its means, differences to the plain network and number of
    seeds; `superclasses`, likewise; `claims`, differences between two cells;
    `said`, the main ones as lines of text.
  """
  keys = list(dict.fromkeys(_key(case) for case in cases))
  by_key = {key: [c for c in cases if _key(c) == key] for key in keys}
  plain = {
    (c["seed"], c["unseen"]): c["network_accuracy"]
    for c in cases
    if c["loss"] == "none"
  }
  cells, superclasses = [], []
  for mine in by_key.values():
    first = mine[0]
    named = {
      k: first[k]
      for k in ("hierarchy", "loss", "schedule", "updates", "unseen")
    }
    before = [plain.get((c["seed"], c["unseen"]), np.nan) for c in mine]
    row = named | {"seeds": len(mine)}
    for metric in METRICS:
      values = np.asarray([c[metric] for c in mine], float)
      row[metric] = _interval(values)
      row[f"{metric}_gain"] = _interval(values - np.asarray(before))
    cells.append(row)
    asked = [c["superclasses"] for c in mine if c["superclasses"]]
    if asked:
      superclasses.append(named | _asked(asked, by_key, mine))
  claims = _claims(by_key)
  return {
    "cells": cells,
    "superclasses": superclasses,
    "claims": claims,
    "said": [_said(claim) for claim in claims],
  }


def _asked(
  asked: Sequence[Mapping[str, Any]],
  by_key: Mapping[tuple, Sequence[Case]],
  mine: Sequence[Case],
) -> dict[str, Any]:
  """Means over seeds, and the gain over the plain network's answers."""
  baseline = {
    c["seed"]: c["superclasses"]["plain"]
    for cases in by_key.values()
    for c in cases
    if c["unseen"] and c["loss"] == "none" and c["superclasses"]
  }
  found: dict[str, Any] = {"seeds": len(asked), "images": asked[0]["images"]}
  for name in ("plain", "tree", "plain_sum", "tree_sum"):
    found[name] = _interval(np.asarray([a[name] for a in asked], float))
  gains = [
    c["superclasses"]["tree"] - baseline.get(c["seed"], np.nan) for c in mine
  ]
  found["gain"] = _interval(np.asarray(gains, float))
  found["divided"] = sum(a["node"] is not None for a in asked)
  return found


def _claims(by_key: Mapping[tuple, Sequence[Case]]) -> list[dict[str, Any]]:
  """The paper's orderings, each as a difference between two cells."""
  claims = []
  for name, table, one, other, (metric, other_metric) in _orderings(by_key):
    if one not in by_key or other not in by_key:
      continue
    theirs = {c["seed"]: c[other_metric] for c in by_key[other]}
    values = [
      c[metric] - theirs[c["seed"]] for c in by_key[one] if c["seed"] in theirs
    ]
    claims.append(
      {"name": name, "table": table}
      | _interval(np.asarray(values, float))
      | {"values": values}
    )
  return claims


def _orderings(
  by_key: Mapping[tuple, Sequence[Case]],
) -> Iterator[tuple[str, str, tuple, tuple, tuple[str, str]]]:
  """Each claim: its name, the paper's table, two cells, and their metrics."""
  trained = [k for k in by_key if k[1] != "none" and not k[4]]
  if not trained:
    return
  main = trained[0]
  kind, loss, schedule, _, _ = main
  none = (kind, "none", "", (), False)
  soft, network, hard = "soft_accuracy", "network_accuracy", "hard_accuracy"
  yield (
    f"soft tree of the network trained with the {loss} loss, less the plain "
    "network",
    "5.1",
    main,
    none,
    (soft, network),
  )
  for other in dict.fromkeys(k[0] for k in by_key if not k[4]):
    if other != kind:
      yield (
        f"{kind} less {other.replace('_', ' ')} hierarchy, soft tree, {loss} "
        "loss",
        "5.2",
        main,
        (other, loss, schedule, (), False),
        (soft, soft),
      )
  yield (
    f"{loss} loss less none, soft tree",
    "5.3, 5.8",
    main,
    none,
    (soft, soft),
  )
  for key in trained:
    if key[0] == kind and key[1] != loss and key[2] == schedule:
      yield (
        f"{loss} less {key[1]} loss, soft tree",
        "5.3, 5.8",
        main,
        key,
        (soft, soft),
      )
  yield (
    f"growing less constant weights, soft tree, {loss} loss",
    "5.3",
    (kind, loss, "growing", (), False),
    (kind, loss, "constant", (), False),
    (soft, soft),
  )
  for key in trained:
    if key[3]:
      yield (
        "hierarchy of the trained network less hierarchies made in training, "
        "soft tree",
        "5.4",
        main,
        key,
        (soft, soft),
      )
  yield (
    "network itself trained with the tree loss, less the plain network",
    "5.5",
    main,
    none,
    (network, network),
  )
  yield ("soft less hard inference", "5.7", main, main, (soft, hard))


def _said(claim: Mapping[str, Any]) -> str:
  low, high = claim["low"], claim["high"]
  told = ""
  if low is not None:
    told = f" ({100 * low:+.2f} to {100 * high:+.2f})"
  return (
    f"Table {claim['table']}: {claim['name']}: "
    f"{100 * claim['mean']:+.2f}{told} points, {claim['units']} seeds"
  )


def _key(case: Case) -> tuple:
  return (
    case["hierarchy"],
    case["loss"],
    case["schedule"],
    tuple(case["updates"]),
    case["unseen"],
  )


def _interval(values: np.ndarray) -> dict[str, Any]:
  found = interval(values[None])
  return {
    k: None if isinstance(v, float) and np.isnan(v) else v
    for k, v in found._asdict().items()
  }
