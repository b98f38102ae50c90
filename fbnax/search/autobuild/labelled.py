"""Networks with labels: what predictors learn from, of files.

Three formats:

* CSV with a header, its cells parted by commas, semicolons or tabs: a column
  for every decision of the space, by its name, with values as they are printed
  (`stage1.depth`, `stage1.layer0.kernel`, …; a decision with one value may be
  left out), and columns of numbers. A decision that changes nothing, such as
  the kernel of a layer that is not there, may be empty.
* JSON: a list of objects with an `architecture`, as `to_json` of its kind
  (`Architecture`, `UNet`, …) has it, or decisions as in the CSV, and numbers.
* published .npz files: those of Once-for-All networks (`PUBLISHED`), and HELP's
  measurements of FBNet networks, a column for each device.

Symbols: `n` networks, `D` decisions.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax import spaces
from fbnax.base import text
from fbnax.base.arrays import open_npz, reading
from fbnax.base.json_values import shown
from fbnax.spaces import SearchSpace, mobilenetv3, proxylessnas
from fbnax.spaces.exchange import parsed

# Blocks of networks in the published files, and their space.
PUBLISHED = {20: mobilenetv3, 21: proxylessnas}


class Labelled(NamedTuple):
  """Networks of a space, and numbers that are known of each.

  Attributes:
    space: the space.
    genotypes: canonical, each once, `i32[n, D]`.
    columns: numbers by name, `f64[n]` each.
  """

  space: SearchSpace
  genotypes: np.ndarray
  columns: dict[str, np.ndarray]


def load(path: str | os.PathLike[str], space: SearchSpace | None) -> Labelled:
  """Reads networks with their labels.

  Args:
    path: of the file; its ending says what it is.
    space: of the networks; None is for the published files, which tell.

  Raises:
    ValueError: it cannot be read, a value is missing, is no number or not
      finite, a network is none of the space's or stands there twice; row and
      column are named.
  """
  ending = Path(path).suffix.lower()
  if ending == ".npz":
    with reading(path):
      return _published(path, space)
  if space is None:
    raise ValueError(f"{path}: the space is not given; only .npz files tell it")
  if ending == ".csv":
    return _of_rows(path, space, list(_csv_rows(path)))
  if ending == ".json":
    return _of_rows(path, space, list(_json_rows(path)))
  raise ValueError(f"{path} ends in {ending!r}; legal: .csv, .json, .npz")


class _Row(NamedTuple):
  """A row of a file: how messages name it, and its cells."""

  name: str
  cells: Mapping[str, Any]


def _csv_rows(path: str | os.PathLike[str]) -> Iterator[_Row]:
  document = _read(path)
  # Spreadsheets of countries with a decimal comma part cells by semicolons.
  first = document.lstrip().partition("\n")[0]
  delimiter = max(",;\t", key=first.count)
  reader = csv.reader(io.StringIO(document, newline=""), delimiter=delimiter)
  header: list[str] = []
  try:
    for row in reader:
      cells = [cell.strip() for cell in row]
      if not any(cells):
        continue
      if not header:
        header = _header(path, cells)
        continue
      # As editors count lines.
      name = f"row {reader.line_num}"
      if len(cells) != len(header):
        raise ValueError(
          f"{path}, {name} has {len(cells)} values; the header has "
          f"{len(header)}"
        )
      yield _Row(name, dict(zip(header, cells, strict=True)))
  except csv.Error as error:
    raise ValueError(
      f"{path}, row {reader.line_num} cannot be read as CSV: {error}"
    ) from error


def _header(path: str | os.PathLike[str], names: list[str]) -> list[str]:
  twice = sorted({n for n in names if names.count(n) > 1})
  if twice or "" in names:
    raise ValueError(
      f"{path}: the header has {twice or 'an empty name'}; legal: every "
      "column under a name of its own"
    )
  return names


def _json_rows(path: str | os.PathLike[str]) -> Iterator[_Row]:
  rows = parsed(_read(path), str(path))
  if not isinstance(rows, list):
    raise ValueError(f"{path} holds {type(rows).__name__}; legal: a list")
  for i, row in enumerate(rows):
    if not isinstance(row, dict):
      raise ValueError(f"{path}, item {i} is {shown(row)}; legal: an object")
    yield _Row(f"item {i}", row)


def _read(path: str | os.PathLike[str]) -> str:
  try:
    return text.read(path)
  except OSError as error:
    raise ValueError(error.strerror) from error


def _of_rows(
  path: str | os.PathLike[str], space: SearchSpace, rows: Sequence[_Row]
) -> Labelled:
  if not rows:
    raise ValueError(f"{path} has no networks")
  named = {d.name for d in space.decisions} | {"architecture"}
  labels = [name for name in rows[0].cells if name not in named]
  genotypes, numbers = [], []
  for row in rows:
    where = f"{path}, {row.name}"
    extra = sorted(set(row.cells) - named - set(labels))
    if extra:
      raise ValueError(
        f"{where} has {extra[0]!r}, which the first row has not; legal: the "
        "same labels in every row"
      )
    genotypes.append(_genotype(where, space, row.cells))
    numbers.append([_number(where, n, row.cells.get(n)) for n in labels])
  canonical = np.asarray(
    space.canonical(jnp.asarray(np.stack(genotypes), jnp.int32))
  )
  # What changes nothing may be empty, what does may not.
  active = np.asarray(space.active(jnp.asarray(canonical)))
  empty = np.argwhere(active & (np.stack(genotypes) < 0))
  if len(empty):
    row_index, column = empty[0]
    raise ValueError(
      f"{path}, {rows[row_index].name}: column "
      f"{space.decisions[column].name!r} is empty"
    )
  _check_once(path, [r.name for r in rows], canonical)
  values = np.asarray(numbers, np.float64).reshape(len(rows), len(labels))
  return Labelled(space, canonical, dict(zip(labels, values.T, strict=True)))


def _genotype(
  where: str, space: SearchSpace, cells: Mapping[str, Any]
) -> np.ndarray:
  """Choices, -1 where the cell is empty, `i32[D]`."""
  if cells.get("architecture") not in (None, ""):
    stated = cells["architecture"]
    document = stated if isinstance(stated, str) else json.dumps(stated)
    try:
      # A space's table is a network of its kind.
      network = type(space.table).from_json(document)
      return np.asarray(space.genotype(network))
    except (ValueError, TypeError) as error:
      raise ValueError(f"{where}: column 'architecture': {error}") from error
  choices = []
  for decision in space.decisions:
    cell = cells.get(decision.name, "")
    if cell in ("", None):
      missing = decision.name not in cells and len(decision.values) > 1
      if missing:
        raise ValueError(f"{where} has no column {decision.name!r}")
      choices.append(0 if len(decision.values) == 1 else -1)
      continue
    choices.append(_choice(where, decision.name, decision.values, cell))
  return np.asarray(choices, np.int32)


def _choice(where: str, name: str, values: tuple[Any, ...], cell: Any) -> int:
  """The place of a value, as it is or as it is printed."""
  for i, value in enumerate(values):
    if str(cell) == str(value):
      return i
    if isinstance(value, bool) or isinstance(cell, bool):
      continue
    if isinstance(value, int | float):
      try:
        if float(cell) == value:
          return i
      except (TypeError, ValueError, OverflowError):
        pass
  raise ValueError(
    f"{where}: column {name!r} has {shown(cell)}; legal: {values}"
  )


def _number(where: str, name: str, cell: Any) -> float:
  if cell in ("", None):
    raise ValueError(f"{where}: column {name!r} is empty")
  try:
    number = float(cell)
  except (TypeError, ValueError, OverflowError):
    number = math.nan
  if isinstance(cell, bool) or not math.isfinite(number):
    raise ValueError(
      f"{where}: column {name!r} has {shown(cell)}; legal: a finite number, "
      "its decimals after a point"
    )
  return number


def _check_once(
  path: str | os.PathLike[str], names: Sequence[str], genotypes: np.ndarray
) -> None:
  seen: dict[tuple[int, ...], str] = {}
  for name, genotype in zip(names, genotypes.tolist(), strict=True):
    first = seen.setdefault(tuple(genotype), name)
    if first != name:
      raise ValueError(
        f"{path}, {name} is the network of {first}; legal: each network once"
      )


def _published(
  path: str | os.PathLike[str], space: SearchSpace | None
) -> Labelled:
  """`s_*` of the files of Once-for-All networks: networks and labels."""
  try:
    with open_npz(path) as file:
      if {"arch", "devices", "latency_ms"} <= set(file):
        return _measured(path, space, file)
      arrays = {k: file[k] for k in file if k.startswith("s_")}
  except (OSError, ValueError) as error:
    raise ValueError(f"{path} cannot be read as .npz: {error}") from error
  shape = arrays.get("s_ks", np.zeros((0, 0))).shape
  module = PUBLISHED.get(shape[1] if len(shape) == 2 else 0)
  if module is None:
    raise ValueError(
      f"{path} has {sorted(arrays)}; legal: the .npz files of Once-for-All "
      "networks, with s_ks of 20 or 21 columns, or .csv and .json"
    )
  file_space = module.space()
  _check_space(path, space, file_space)
  names = ("ks", "expand", "depth", "resolution")
  genotypes = np.asarray(
    module.genotypes_from_ofa(*(arrays[f"s_{name}"] for name in names))
  )
  columns = {
    name.removeprefix("s_"): np.asarray(values, np.float64)
    for name, values in arrays.items()
    if name.removeprefix("s_") not in names
  }
  kept = _first_of_each(genotypes)
  resolutions = sorted(set(arrays["s_resolution"].tolist()))
  cut = file_space.fix(resolution=resolutions)
  genotypes = genotypes[kept]
  place = [d.name for d in file_space.decisions].index("resolution")
  values = np.asarray(file_space.decisions[place].values)[genotypes[:, place]]
  genotypes[:, place] = np.searchsorted(resolutions, values)
  return Labelled(
    spaces.get(file_space.name) if cut == file_space else cut,
    genotypes,
    {name: values[kept] for name, values in columns.items()},
  )


def _measured(
  path: str | os.PathLike[str], space: SearchSpace | None, file: Any
) -> Labelled:
  """FBNet networks at 32 pixels and their latency on devices, ms."""
  file_space = spaces.get("fbnet_cifar")
  _check_space(path, space, file_space)
  arch, devices, latency = file["arch"], file["devices"], file["latency_ms"]
  shape = len(devices) if devices.ndim else 0, len(arch) if arch.ndim else 0
  if arch.shape[1:] != (len(file_space.decisions),) or latency.shape != shape:
    raise ValueError(
      f"arch has shape {list(arch.shape)}, devices {list(devices.shape)} and"
      f" latency_ms {list(latency.shape)}; legal: [n,"
      f" {len(file_space.decisions)}], [k] and [k, n]"
    )
  genotypes = np.asarray(file_space.canonical(jnp.asarray(arch, jnp.int32)))
  kept = _first_of_each(genotypes)
  latency = np.asarray(latency, np.float64)
  return Labelled(
    file_space,
    genotypes[kept],
    {
      str(name): values[kept]
      for name, values in zip(devices, latency, strict=True)
    },
  )


def _check_space(
  path: str | os.PathLike[str], space: SearchSpace | None, of_file: SearchSpace
) -> None:
  if space is not None and space.name != of_file.name:
    raise ValueError(
      f"{path} holds networks of {of_file.name!r}, the space is {space.name!r}"
    )


def _first_of_each(genotypes: np.ndarray) -> np.ndarray:
  """Rows to keep: a network's second labels say nothing new, `i64[k]`."""
  return np.sort(np.unique(genotypes, axis=0, return_index=True)[1])
