"""Reads and writes safetensors files: named arrays, and nothing that runs.

The format (https://github.com/huggingface/safetensors): eight bytes with the
length of a header, little-endian; the header, a JSON object from names to
`dtype`, `shape` and `data_offsets`, with strings under `__metadata__`; then the
arrays, one after the other without gaps, little-endian, in C order.

Large files are cut into parts (`NAME-00001-of-00002.safetensors`) with an index
beside them (`NAME.safetensors.index.json`), whose `weight_map` says which part
each array is in.

It is written here and not taken from a library because the models need JAX
alone (see the design). What else a file may be is told by its first bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax.base import json_values
from fbnax.base.files import writing
from fbnax.base.names import escaped
from fbnax.models import torch_files

DTYPES: dict[str, Any] = {
  "F64": np.float64,
  "F32": np.float32,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
  "I64": np.int64,
  "I32": np.int32,
  "I16": np.int16,
  "I8": np.int8,
  "U64": np.uint64,
  "U32": np.uint32,
  "U16": np.uint16,
  "U8": np.uint8,
  "BOOL": np.bool_,
}
_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
_METADATA = "__metadata__"
_PART = re.compile(r"(?P<name>.+)[-_.](?P<number>\d+)-of-(?P<parts>\d+)\.\w+")
_FILE = re.compile(r"[^/\\:\0]*[^/\\:\0.]")  # Of no other folder.
_LONGEST_HEADER = 100_000_000  # Bytes, as in the format's own reader.
_PICKLE = (
  "it is not read here; in PyTorch: safetensors.torch.save_file(torch.load("
  "PATH, weights_only=True), NEW_PATH), of the dict of tensors in it"
)


def read(path: str | Path) -> dict[str, np.ndarray]:
  """The arrays of a file by name, in the order of the file.

  Args:
    path: of the file, or of the index of a file in parts.

  Raises:
    ValueError: there is no such file, it is no safetensors file (what it is
      instead, where that can be told), it is one part of several, or it or a
      part is missing, damaged or cut off.
  """
  path = Path(path)
  if path.suffix == ".json":
    return _joined(path)
  if (part := _PART.fullmatch(path.name)) and int(part["parts"]) > 1:
    raise ValueError(
      f"{path} is part {int(part['number'])} of {int(part['parts'])}; legal:"
      f" the index of the parts, {part['name']}.safetensors.index.json, or one"
      " file of all arrays"
    )
  return _read_file(path)


def _joined(path: Path) -> dict[str, np.ndarray]:
  """The arrays of all parts that an index names."""
  try:
    index = json_values.read_object(path)
  except FileNotFoundError:
    raise ValueError(f"{path}: no such file") from None
  places = index.get("weight_map")
  if not isinstance(places, dict) or not places:
    raise ValueError(
      f"{path}: weight_map is {json_values.shown(places)}; legal: an object"
      " from the names of arrays to files, as an index of safetensors has"
    )
  for name, file in places.items():
    # Parts lie beside their index: a name that leads elsewhere is refused.
    if not isinstance(file, str) or not _FILE.fullmatch(file):
      raise ValueError(
        f"{path}: weight_map has {json_values.shown(file)} for"
        f" {escaped(name)}; legal: the name of a file beside it"
      )
  parts = {}
  for file in dict.fromkeys(places.values()):
    if not path.with_name(file).exists():
      raise ValueError(f"{path}: the part {escaped(file)} is missing")
    parts[file] = _read_file(path.with_name(file))
  listed = {(file, name) for name, file in places.items()}
  there = {(file, name) for file, arrays in parts.items() for name in arrays}
  for pairs, what in (
    (listed - there, "is not in {}, where the index has it"),
    (there - listed, "is in {}, where the index does not have it"),
  ):
    if pairs:
      file, name = map(escaped, min(pairs))
      more = f" ({len(pairs):,} such arrays)" if len(pairs) > 1 else ""
      raise ValueError(f"{path}: {name} {what.format(file)}{more}")
  return {name: parts[file][name] for name, file in places.items()}


def _read_file(path: Path) -> dict[str, np.ndarray]:
  try:
    content = path.read_bytes()
  except FileNotFoundError:
    raise ValueError(f"{path}: no such file") from None
  except IsADirectoryError:
    raise ValueError(f"{path} is a directory; legal: a file") from None
  header, data = _split(path, content)
  found, end = {}, 0
  entries = [(n, e) for n, e in header.items() if n != _METADATA]
  for name, entry in sorted(entries, key=lambda item: _start(path, *item)):
    dtype, shape, start = _described(path, name, entry)
    stop = start + dtype.itemsize * math.prod(shape)
    if start != end or entry["data_offsets"][1] != stop:
      raise ValueError(
        f"{path} is damaged: {escaped(name)} lies at {entry['data_offsets']},"
        f" where {dtype.name} of shape {list(shape)} would lie at {[end, stop]}"
      )
    if stop > len(data):
      raise ValueError(
        f"{path} is cut off: {escaped(name)} ends at byte {stop} of the arrays,"
        f" of which {len(data)} are there"
      )
    try:
      found[name] = np.frombuffer(data[start:stop], dtype).reshape(shape)
    except ValueError as error:  # Too many axes, or too long ones beside a 0.
      raise ValueError(
        f"{path} is damaged: {escaped(name)}: {error}"
      ) from error
    end = stop
  if end != len(data):
    raise ValueError(
      f"{path} is damaged: {len(data) - end} bytes after the last array"
    )
  return {name: found[name] for name, _ in entries}


def write(
  path: str | Path,
  arrays: Mapping[str, Any],
  metadata: Mapping[str, str] | None = None,
) -> None:
  """Writes arrays; the file is whole or not there.

  Args:
    path: of the file.
    arrays: by name.
    metadata: texts beside them.

  Raises:
    ValueError: an array is of a type that the format does not have.
  """
  header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
  parts, end = [], 0
  for name, value in arrays.items():
    array = np.asarray(value)
    if array.dtype not in _NAMES:
      raise ValueError(f"{name} is {array.dtype}; legal: {', '.join(DTYPES)}")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    parts.append(little.tobytes())
    header[name] = {
      "dtype": _NAMES[array.dtype],
      "shape": list(array.shape),
      "data_offsets": [end, end := end + len(parts[-1])],
    }
  text = json.dumps(header, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)  # The arrays are aligned.
  with writing(path) as file:
    file.write(len(text).to_bytes(8, "little") + text)
    file.writelines(parts)


def _split(path: Path, content: bytes) -> tuple[dict[str, Any], memoryview]:
  """The header and the bytes of the arrays."""
  if torch_files.is_torch(content[: torch_files.START]):
    kind = "zip archive" if content[:1] == b"P" else "pickle"
    raise ValueError(f"{path} is a {kind}, as torch.save writes; {_PICKLE}")
  length = int.from_bytes(content[:8], "little")
  if len(content) < 8 or content[8:9] != b"{" or length > _LONGEST_HEADER:
    raise ValueError(
      f"{path} is no safetensors file: it begins with {content[:12]!r}"
    )
  if len(content) < 8 + length:
    raise ValueError(
      f"{path} is cut off: its header has {length} bytes, of which"
      f" {len(content) - 8} are there"
    )
  try:
    header = json.loads(content[8 : 8 + length].decode())
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is damaged: its header: {error}") from error
  return header, memoryview(content)[8 + length :]


def _start(path: Path, name: str, entry: Any) -> int:
  """The first byte of an array, if its entry is one."""
  found = entry if isinstance(entry, dict) else {}
  shape: Any = found.get("shape")
  places: Any = found.get("data_offsets")
  if not (_counts(shape) and _counts(places) and len(places) == 2):
    raise ValueError(
      f"{path} is damaged: the header has {json_values.shown(entry)} of"
      f" {escaped(name)}"
    )
  return places[0]


def _counts(value: Any) -> bool:
  return isinstance(value, list) and all(
    type(n) is int and n >= 0 for n in value
  )


def _described(
  path: Path, name: str, entry: dict[str, Any]
) -> tuple[np.dtype, tuple[int, ...], int]:
  """Type, shape, and first byte of an array."""
  kind = entry.get("dtype")
  if not isinstance(kind, str) or kind not in DTYPES:
    raise ValueError(
      f"{path}: {escaped(name)} is of type {kind!r}; legal: {', '.join(DTYPES)}"
    )
  dtype = np.dtype(DTYPES[kind])
  return (
    dtype.newbyteorder("<"),
    tuple(entry["shape"]),
    entry["data_offsets"][0],
  )
