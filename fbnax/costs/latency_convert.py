"""Published latency tables in the format of `fbnax.costs.LatencyTable`.

    python -m fbnax.costs.latency_convert IN.json OUT.json --table pixel3

Four formats are known by what stands in them: FBNet blocks in the CIFAR
geometry for 27 devices (solved from HW-NAS-Bench's sums; `--table` names the
device), the tables of Once-for-All on a Samsung Note10 (`--table` names a
resolution; all of them without it) and of ProxylessNAS on a Pixel 1 (`--table`
names one of two measurements), and FBNet blocks on a Raspberry Pi 4.

What is converted stays whole blocks; each function of `FORMATS` says what it
takes for what.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from fbnax.costs.latency import LatencyTable
from fbnax.costs.latency_fbnet import from_hwnas, from_raspi4
from fbnax.costs.latency_rows import from_ofa, from_proxyless

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


def convert(path: str | pathlib.Path, table: str | None = None) -> LatencyTable:
  """Reads a published table of any known format.

  Args:
    path: of the JSON file.
    table: which of the file's tables, see above.

  Raises:
    ValueError: it is of no known format, or as the converters; the file is
      named.
    OSError: it cannot be read.
  """
  path = pathlib.Path(path)
  try:
    data = json.loads(path.read_text("utf-8"))
    if isinstance(data, dict):
      for name, converter in FORMATS:
        if name in data:
          return converter(data, table)
    names = tuple(dict.fromkeys(name for name, _ in FORMATS))
    raise ValueError(f"of no known format; legal: a JSON object with {names}")
  except KeyError as error:
    raise ValueError(f"{path}: a table of it has no {error}") from error
  except (AttributeError, IndexError, TypeError) as error:
    raise ValueError(
      f"{path}: is not of the format that it looks like: {error}"
    ) from error
  except ValueError as error:
    raise ValueError(f"{path}: {error}") from error


def main(arguments: list[str]) -> int:
  """Converts a file; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m fbnax.costs.latency_convert",
    description="Converts a published latency table.",
  )
  parser.add_argument("input", help="the published table, JSON")
  parser.add_argument("output", help="where the latency table goes")
  parser.add_argument("--table", help="which of the file's tables")
  given = parser.parse_args(arguments)
  try:
    found = convert(given.input, given.table)
    found.save(given.output)
  except (ValueError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  print(f"{given.output}: {len(found.entries)} entries of {found.device}")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
