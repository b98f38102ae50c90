"""Published latency tables in the format of `fbnax.costs.LatencyTable`.

    python -m fbnax.costs.latency_convert IN.json OUT.json --table pixel3

Four formats are known by what stands in them: FBNet blocks in the CIFAR
geometry for 27 devices (solved from HW-NAS-Bench's sums; `--table` names the
device), the tables of Once-for-All on a Samsung Note10 (`--table` names a
resolution; all of them without it) and of ProxylessNAS on a Pixel 1 (`--table`
names one of two measurements), and FBNet blocks on a Raspberry Pi 4. A single
table of Once-for-All or ProxylessNAS, as these are published, is known by the
names of its rows. Files are JSON or YAML.

What is converted stays whole blocks; each function of `FORMATS` says what it
takes for what. FBNet's types are nine: kernels of 3 and 5 with expansions of 1,
1 in two groups, 3 and 6, and a skip. A row of Once-for-All is named
`type-input:HxWxC-output:HxWxC-expand:E-kernel:K-stride:S-…` and holds mean,
deviation or variance (ms), and count; a head is the sum of its rows.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fbnax.base import json_values, names, text
from fbnax.base.json_values import shown
from fbnax.costs.latency import CONST_PARTS, LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key

# Characters; published tables have a hundredth of them.
LARGEST_YAML = 2**24
_DEEPEST_YAML = 20
_HWNAS = re.compile(
  r"(?P<op>ConvBlock|Skip)_H(?P<size>\d+)_W\d+_Cin(?P<c_in>\d+)"
  r"_Cout(?P<c_out>\d+)(_exp(?P<expansion>\d+)_kernel(?P<kernel>\d+))?"
  r"_stride(?P<stride>\d+)(_group(?P<groups>\d+))?"
)
_ROW = re.compile(
  r"(?P<op>\w+)-input:(?P<size>\d+)x\d+x(?P<c_in>\d+)"
  r"-output:(?:\d+x\d+x)?(?P<c_out>\d+)"
  r"(?:-expand:(?P<expand>\d+)-kernel:(?P<kernel>\d+)-stride:(?P<stride>\d+)"
  r"-idskip:(?P<idskip>[01])(?:-se:(?P<se>[01])-hs:(?P<hs>[01]))?)?"
)


def convert(path: str | pathlib.Path, table: str | None = None) -> LatencyTable:
  """Reads a published table of any known format.

  Args:
    path: of the JSON or YAML file.
    table: which of the file's tables, see above.

  Raises:
    ValueError: it is of no known format, or as the converters; the file is
      named.
    OSError: it cannot be read.
  """
  path = pathlib.Path(path)
  data, where = _read(path)
  try:
    if isinstance(data, dict):
      for name, converter in FORMATS:
        if name in data:
          return converter(data, table)
      if any(map(_ROW.fullmatch, data)):
        return from_rows(data, table, path.stem)
    legal = tuple(dict.fromkeys(name for name, _ in FORMATS))
    raise ValueError(
      f"of no known format; legal: a JSON object with one of {legal}, or the "
      "rows of a table of Once-for-All or ProxylessNAS, in YAML too"
    )
  except KeyError as error:
    raise ValueError(f"{where}: a table of it has no {error}") from error
  except (AttributeError, IndexError, OverflowError, TypeError) as error:
    raise ValueError(
      f"{where}: is not of the format that it looks like: {error}"
    ) from error
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error


def from_hwnas(data: Mapping[str, Any], table: str | None) -> LatencyTable:
  """A device's FBNet blocks; entries are differences to a skip.

  Stem, head and what the skips take are in `const`.

  Args:
    data: `exact_lut` and `fitted_lut`, a table of `const` and `ops` by device.
    table: the device.

  Raises:
    ValueError: no such device, or a key that cannot be read.
  """
  devices = {**data["exact_lut"], **data.get("fitted_lut", {})}
  chosen = _one_of(devices, table)
  entries = {
    _hwnas_key(name): Entry(float(ms)) for name, ms in chosen["ops"].items()
  }
  return LatencyTable(
    entries,
    const=float(chosen["const"]),
    const_parts=CONST_PARTS,
    device=str(table),
    note="FBNet blocks at 32 pixels, solved from sums over whole networks",
    relative=True,
  )


def from_raspi4(data: Mapping[str, Any], table: str | None) -> LatencyTable:
  """FBNet blocks at 32 pixels on a Raspberry Pi 4, in microseconds.

  Rows are layers, columns the nine types; null is a layer that was not
  measured (stem and head). The strides are those the table was made with: the
  stem and the later stages keep the size, the stages of 24 and 32 halve it.

  Args:
    data: `table`, a list of layers.
    table: None; there is one.

  Raises:
    ValueError: another table was asked for, or layers do not fit the space.
  """
  if table is not None:
    raise ValueError(f"--table is {table!r}; legal: none, there is one table")
  layers = [row for row in data["table"] if row is not None]
  stages = (
    # Channels, layers, stride of the first.
    (16, 1, 1),
    (24, 4, 2),
    (32, 4, 2),
    (64, 4, 1),
    (112, 4, 1),
    (184, 4, 1),
    (352, 1, 1),
  )
  types = [
    (k, e, g) for k in (3, 5) for e, g in ((1, 1), (1, 2), (3, 1), (6, 1))
  ]
  places: list[list[Key]] = []
  size, c_in = 32, 16
  for c_out, count, first in stages:
    for i in range(count):
      stride = first if i == 0 else 1
      row = [
        Key(
          "inverted_residual",
          size,
          c_in,
          c_mid=c_in * expansion,
          c_out=c_out,
          kernel=kernel,
          stride=stride,
          groups=groups,
          activation="relu",
        )
        for kernel, expansion, groups in types
      ]
      if stride == 1 and c_in == c_out:
        row.append(Key("skip", size, c_in, c_out=c_out))
      places.append(row)
      size, c_in = -(-size // stride), c_out
  if [len(row) for row in layers] != [len(row) for row in places]:
    raise ValueError(
      f"table has layers of {[len(row) for row in layers]} types; legal: "
      f"{[len(row) for row in places]}"
    )
  entries = [
    (key, Entry(float(us) / 1000))
    for keys, row in zip(places, layers, strict=True)
    for key, us in zip(keys, row, strict=True)
  ]
  return LatencyTable(
    _mean_by_key(entries),
    const_parts=CONST_PARTS,
    device="Raspberry Pi 4B",
    note="FBNet blocks at 32 pixels, TensorFlow 2 eager; without stem and "
    "head; a block of expansion 1 has the expanding convolution",
  )


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
  resolutions = list(tables) if table is None else [table]
  entries: list[tuple[Key, Entry]] = []
  for resolution in resolutions:
    rows = dict(_measured(_one_of(tables, resolution)))
    entries += [(_row_key(m, 1, "hswish"), e) for m, e in _blocks(rows)]
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
    entries.append((head, _total(measured)))
  return LatencyTable(
    _mean_by_key(entries),
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
  rows = dict(_measured(_one_of(measurements, table)))
  entries = [(_row_key(m, int(m["c_in"]), "relu"), e) for m, e in _blocks(rows)]
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
  entries.append((head, _total((expand[1], logits[1]))))
  return LatencyTable(
    _mean_by_key(entries), device="Pixel 1", note=f"ProxylessNAS, {table}"
  )


# What stands in a file of each format, and its converter.
FORMATS: tuple[
  tuple[str, Callable[[Mapping[str, Any], str | None], LatencyTable]], ...
] = (
  ("exact_lut", from_hwnas),
  ("resolution", from_ofa),
  ("mobile_trim", from_proxyless),
  ("pixel_trim", from_proxyless),
  ("table", from_raspi4),
)


def _read(path: pathlib.Path) -> tuple[Any, str]:
  """What a file says, and how errors call the file."""
  document = text.read(path)
  try:
    return json_values.parse(document, str(path)), str(path)
  except ValueError:
    # YAML has the braces of JSON, too, but nobody publishes it so.
    if document.lstrip().startswith(("{", "[")):
      raise
  where = f"{path}, read as YAML"
  if len(document) > LARGEST_YAML:
    raise ValueError(
      f"{where}: has {len(document):,} characters; legal: up to"
      f" {LARGEST_YAML:,}"
    )
  return _parse_yaml(document, where), where


def _parse_yaml(document: str, where: str) -> Any:
  """What YAML says, without what could make a small file a large object.

  Raises:
    ValueError: it is no YAML, has aliases or tags of objects, or is nested too
      deeply.
  """
  import yaml  # Which nothing else here needs.

  loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
  depth = 0
  try:
    for event in yaml.parse(document, loader):
      if isinstance(event, yaml.AliasEvent):
        raise ValueError(
          f"has the alias *{event.anchor}; legal: every value in its place"
        )
      depth += isinstance(event, yaml.CollectionStartEvent)
      depth -= isinstance(event, yaml.CollectionEndEvent)
      if depth > _DEEPEST_YAML:
        raise ValueError(f"is nested deeper than {_DEEPEST_YAML}; legal: less")
    return _with_names(yaml.load(document, loader))
  except yaml.MarkedYAMLError as error:
    mark = error.problem_mark or error.context_mark
    line = f" in line {mark.line + 1}" if mark else ""
    problem = " ".join(filter(None, (error.context, error.problem)))
    raise ValueError(f"{where}: {problem}{line}") from error
  except (ValueError, yaml.YAMLError) as error:
    raise ValueError(f"{where}: {' '.join(str(error).split())}") from error


def _with_names(value: Any) -> Any:
  """The keys as JSON has them: YAML takes `224:` for a number."""
  if isinstance(value, dict):
    return {str(k): _with_names(v) for k, v in value.items()}
  return [_with_names(v) for v in value] if isinstance(value, list) else value


def _hwnas_key(name: str) -> Key:
  match = _HWNAS.fullmatch(name)
  if match is None:
    raise ValueError(f"{shown(name)} is no key of this format")
  number = {k: int(v) for k, v in match.groupdict().items() if v and k != "op"}
  size, c_in, c_out = number["size"], number["c_in"], number["c_out"]
  if match["op"] == "Skip":
    return Key("skip", size, c_in, c_out=c_out, stride=number["stride"])
  if "expansion" not in number or "groups" not in number:
    raise ValueError(f"{shown(name)} is no key of this format")
  return Key(
    "inverted_residual",
    size,
    c_in,
    c_mid=c_in * number["expansion"],
    c_out=c_out,
    kernel=number["kernel"],
    stride=number["stride"],
    groups=number["groups"],
    activation="relu",
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
  rows: Mapping[re.Match[str], Entry], *ops: str
) -> list[tuple[re.Match[str], Entry]]:
  """One row of each type."""
  by_name = {match["op"]: (match, entry) for match, entry in rows.items()}
  missing = [op for op in ops if op not in by_name]
  if missing:
    raise ValueError(
      f"the table lacks the rows {missing}; legal: a whole table, with the "
      "head's rows"
    )
  return [by_name[op] for op in ops]


def _total(entries: Iterable[Entry]) -> Entry:
  """Parts one after the other; their deviations are independent."""
  parts = list(entries)
  return Entry(
    math.fsum(e.ms for e in parts),
    math.hypot(*(e.spread or 0.0 for e in parts)),
    min(e.repeats or 1 for e in parts),
  )


def _mean_by_key(entries: Iterable[tuple[Key, Entry]]) -> dict[Key, Entry]:
  """One entry for each key.

  That of repeated ones is their mean, weighted by the calls where all know
  them; the deviation is that of all calls together.
  """
  groups: dict[Key, list[Entry]] = {}
  for key, entry in entries:
    groups.setdefault(key, []).append(entry)
  return {key: _mean(group) for key, group in groups.items()}


def _one_of(tables: Mapping[str, Any], name: str | None) -> Any:
  """The table of that name; a ValueError that names all where there is none."""
  if name is None or name not in tables:
    raise ValueError(f"--table is {name!r}; legal: {', '.join(tables)}")
  return tables[name]


def _mean(group: list[Entry]) -> Entry:
  if len(group) == 1:
    return group[0]
  calls = [e.repeats or 1 for e in group]
  every = sum(calls)
  mean = math.fsum(e.ms * n for e, n in zip(group, calls, strict=True)) / every
  if not all(e.spread is not None and e.repeats for e in group):
    return Entry(mean)
  # Within the measurements and between them.
  square = sum(
    n * ((e.spread or 0.0) ** 2 + (e.ms - mean) ** 2)
    for e, n in zip(group, calls, strict=True)
  )
  return Entry(mean, math.sqrt(square / every), every)


def main(arguments: list[str]) -> int:
  """Converts a file; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m fbnax.costs.latency_convert",
    description="Converts a published latency table.",
  )
  parser.add_argument("input", help="the published table, JSON or YAML")
  parser.add_argument("output", help="where the latency table goes")
  parser.add_argument("--table", help="which of the file's tables")
  flags = parser.parse_args(arguments)
  try:
    table = convert(flags.input, flags.table)
    table.save(flags.output)
  except (ValueError, OSError) as error:
    print(f"error: {names.escaped(str(error))}", file=sys.stderr)
    return 2
  line = f"{flags.output}: {len(table.entries)} entries of {table.device}"
  print(names.escaped(line))
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
