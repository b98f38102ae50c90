"""Reads and writes safetensors files: named arrays, and nothing that runs.

The format (https://github.com/huggingface/safetensors): eight bytes with the
length of a header, little-endian; the header, a JSON object from names to
`dtype`, `shape` and `data_offsets`, with strings under `__metadata__`; then the
arrays, one after the other without gaps, little-endian, in C order.

It is written here and not taken from a library because the models need JAX
alone (see the design). What else a file may be is told by its first bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from fbnax.base.files import writing

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
_LONGEST_HEADER = 100_000_000  # Bytes, as in the format's own reader.
_PICKLE = (
  "pickles run code and are not read; in PyTorch: safetensors.torch.save_file("
  "torch.load(PATH, weights_only=True), NEW_PATH), of the dict of tensors in it"
)


def read(path: str | Path) -> dict[str, np.ndarray]:
  """The arrays of a file by name, in the order of the file.

  Raises:
    ValueError: there is no such file, it is no safetensors file (what it is
      instead, where that can be told), or it is damaged or cut off.
  """
  path = Path(path)
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
        f"{path} is damaged: {name} lies at {entry['data_offsets']}, where"
        f" {dtype.name} of shape {list(shape)} would lie at {[end, stop]}"
      )
    if stop > len(data):
      raise ValueError(
        f"{path} is cut off: {name} ends at byte {stop} of the arrays, of which"
        f" {len(data)} are there"
      )
    found[name] = np.frombuffer(data[start:stop], dtype).reshape(shape)
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
  if content[:4] == b"PK\x03\x04":
    raise ValueError(
      f"{path} is a zip archive, as torch.save writes; {_PICKLE}"
    )
  if content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05":
    raise ValueError(f"{path} is a pickle; {_PICKLE}")
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
    raise ValueError(f"{path} is damaged: the header has {entry!r} of {name}")
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
      f"{path}: {name} is of type {kind!r}; legal: {', '.join(DTYPES)}"
    )
  dtype = np.dtype(DTYPES[kind])
  return (
    dtype.newbyteorder("<"),
    tuple(entry["shape"]),
    entry["data_offsets"][0],
  )
