"""Published latency tables in Once-for-All's notation, converted.

A row is named `type-input:HxWxC-output:HxWxC-expand:E-kernel:K-stride:S-…` and
holds mean, deviation or variance (ms), and count. A head is the sum of the rows
that it is made of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fbnax.base.json_values import shown
from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key
from fbnax.costs.latency_merge import mean_by_key, one_of, total

_ROW = re.compile(
  r"(?P<op>\w+)-input:(?P<size>\d+)x\d+x(?P<c_in>\d+)"
  r"-output:(?:\d+x\d+x)?(?P<c_out>\d+)"
  r"(?:-expand:(?P<expand>\d+)-kernel:(?P<kernel>\d+)-stride:(?P<stride>\d+)"
  r"-idskip:(?P<idskip>[01])(?:-se:(?P<se>[01])-hs:(?P<hs>[01]))?)?"
)


def is_row(name: str) -> bool:
  """Whether a key of a file is a row's name."""
  return _ROW.fullmatch(name) is not None


def from_rows(
  rows: Mapping[str, Any], table: str | None, name: str
) -> LatencyTable:
  """One table alone, as both are published.

  It is Once-for-All's where rows know squeeze-excite, else ProxylessNAS's. A
  table of Once-for-All is that of the resolution its stem sees.

  Args:
    rows: by their names.
    table: None; there is one.
    name: of a measurement of ProxylessNAS.

  Raises:
    ValueError: another table was asked for, or as of a file of several.
  """
  if table is not None:
    raise ValueError(f"--table is {table!r}; legal: none, there is one table")
  matches = [m for m in map(_ROW.fullmatch, rows) if m is not None]
  if all(m["se"] is None for m in matches):
    return from_proxyless({name: rows}, name)
  stems = [m["size"] for m in matches if m["op"] == "Conv"]
  if len(stems) != 1:
    raise ValueError(f"the table has {len(stems)} rows of a stem; legal: 1")
  return from_ofa({"resolution": {stems[0]: rows}}, stems[0])


def from_ofa(data: Mapping[str, Any], table: str | None) -> LatencyTable:
  """MobileNetV3 blocks of Once-for-All by resolution; `expand` is the width.

  Tables of different resolutions share some geometries; together they give the
  mean of both.

  Args:
    data: `resolution`, a table of rows by resolution.
    table: the resolution; None for all.

  Raises:
    ValueError: no such resolution, or a key that cannot be read.
  """
  tables = data["resolution"]
  wanted = list(tables) if table is None else [table]
  found: list[tuple[Key, Entry]] = []
  for resolution in wanted:
    rows = dict(_measured(one_of(tables, resolution)))
    found += [(_row_key(m, 1, "hswish"), e) for m, e in _blocks(rows)]
    expand, pool, project, logits = _named(
      rows, "Conv_1", "AvgPool2D", "Conv_2", "Logits"
    )
    head = Key(
      "head",
      int(expand[0]["size"]),
      int(expand[0]["c_in"]),
      c_mid=int(expand[0]["c_out"]),
      c_out=int(project[0]["c_out"]),
      activation="hswish",
    )
    measured = (expand[1], pool[1], project[1], logits[1])
    found.append((head, total(measured)))
  return LatencyTable(
    mean_by_key(found),
    device="Samsung Note10",
    note="Once-for-All, MobileNetV3 of width 1.2, "
    + (f"{table} pixels" if table else "all resolutions"),
  )


def from_proxyless(data: Mapping[str, Any], table: str | None) -> LatencyTable:
  """ProxylessNAS blocks; `expand` is the expansion, the activation relu6.

  Args:
    data: one or two measurements by name.
    table: its name.

  Raises:
    ValueError: no such measurement, or a key that cannot be read.
  """
  measurements = {k: v for k, v in data.items() if not k.startswith("_")}
  rows = dict(_measured(one_of(measurements, table)))
  found = [(_row_key(m, int(m["c_in"]), "relu"), e) for m, e in _blocks(rows)]
  expand, logits = _named(rows, "Conv_1", "Logits")
  width = int(expand[0]["c_out"])
  head = Key(
    "head",
    int(expand[0]["size"]),
    int(expand[0]["c_in"]),
    c_mid=width,
    c_out=width,
    activation="relu",
  )
  found.append((head, total((expand[1], logits[1]))))
  return LatencyTable(
    mean_by_key(found), device="Pixel 1", note=f"ProxylessNAS, {table}"
  )


def _measured(
  rows: Mapping[str, Mapping[str, float]],
) -> Iterable[tuple[re.Match[str], Entry]]:
  """Rows of mean, deviation or variance, and count, with their parsed names."""
  for name, row in rows.items():
    match = _ROW.fullmatch(name)
    if match is None:
      raise ValueError(f"{shown(name)} is no key of this format")
    spread = row["std"] if "std" in row else math.sqrt(row["var"])
    yield match, Entry(float(row["mean"]), float(spread), int(row["count"]))


def _blocks(
  rows: Mapping[re.Match[str], Entry],
) -> Iterable[tuple[re.Match[str], Entry]]:
  """The rows that are a key of their own: the stem and the blocks."""
  return [
    (m, e) for m, e in rows.items() if m["op"] in ("Conv", "expanded_conv")
  ]


def _row_key(match: re.Match[str], factor: int, stem: str) -> Key:
  """The key of a row; `factor` times `expand` are the mid channels."""
  size, c_in, c_out = (int(match[n]) for n in ("size", "c_in", "c_out"))
  if match["op"] == "Conv":
    return Key(
      "stem", size, c_in, c_out=c_out, kernel=3, stride=2, activation=stem
    )
  if match["expand"] is None:
    raise ValueError(f"{match[0]!r} is no key of this format")
  return Key(
    "inverted_residual",
    size,
    c_in,
    c_mid=factor * int(match["expand"]),
    c_out=c_out,
    kernel=int(match["kernel"]),
    stride=int(match["stride"]),
    squeeze_excite=match["se"] == "1",
    activation="hswish" if match["hs"] == "1" else "relu",
  )


def _named(
  rows: Mapping[re.Match[str], Entry], *names: str
) -> list[tuple[re.Match[str], Entry]]:
  """One row of each name."""
  by_name = {match["op"]: (match, entry) for match, entry in rows.items()}
  missing = [name for name in names if name not in by_name]
  if missing:
    raise ValueError(
      f"the table lacks the rows {missing}; legal: a whole table, with the "
      "head's rows"
    )
  return [by_name[name] for name in names]
