"""Published latency tables of FBNet blocks at 32 pixels, converted.

HW-NAS-Bench's geometry on 27 devices, and a Raspberry Pi 4. In both the types
are nine: kernels of 3 and 5 with expansions of 1, 1 in two groups, 3 and 6, and
a skip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fbnax.base.json_values import shown
from fbnax.costs.latency import CONST_PARTS, LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key
from fbnax.costs.latency_merge import mean_by_key, one_of

_HWNAS = re.compile(
  r"(?P<op>ConvBlock|Skip)_H(?P<size>\d+)_W\d+_Cin(?P<c_in>\d+)"
  r"_Cout(?P<c_out>\d+)(_exp(?P<expansion>\d+)_kernel(?P<kernel>\d+))?"
  r"_stride(?P<stride>\d+)(_group(?P<groups>\d+))?"
)


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
  chosen = one_of(devices, table)
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
  found = [
    (key, Entry(float(us) / 1000))
    for keys, row in zip(places, layers, strict=True)
    for key, us in zip(keys, row, strict=True)
  ]
  return LatencyTable(
    mean_by_key(found),
    const_parts=CONST_PARTS,
    device="Raspberry Pi 4B",
    note="FBNet blocks at 32 pixels, TensorFlow 2 eager; without stem and "
    "head; a block of expansion 1 has the expanding convolution",
  )


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
