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
takes for what.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from fbnax.base import json_values, names, text
from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_fbnet import from_hwnas, from_raspi4
from fbnax.costs.latency_rows import from_ofa, from_proxyless, from_rows, is_row

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
# Characters; published tables have a hundredth of them.
LARGEST_YAML = 2**24
_DEEPEST_YAML = 20


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
      if any(map(is_row, data)):
        return from_rows(data, table, path.stem)
    known = tuple(dict.fromkeys(name for name, _ in FORMATS))
    raise ValueError(
      f"of no known format; legal: a JSON object with one of {known}, or the "
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


def main(arguments: list[str]) -> int:
  """Converts a file; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m fbnax.costs.latency_convert",
    description="Converts a published latency table.",
  )
  parser.add_argument("input", help="the published table, JSON or YAML")
  parser.add_argument("output", help="where the latency table goes")
  parser.add_argument("--table", help="which of the file's tables")
  given = parser.parse_args(arguments)
  try:
    found = convert(given.input, given.table)
    found.save(given.output)
  except (ValueError, OSError) as error:
    print(f"error: {names.escaped(str(error))}", file=sys.stderr)
    return 2
  said = f"{given.output}: {len(found.entries)} entries of {found.device}"
  print(names.escaped(said))
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
