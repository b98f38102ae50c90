"""Reads files of `torch.save`: the tensors of a state dict, and nothing else.

Two forms. The one of today is a zip archive: `NAME/data.pkl`, a pickle;
`NAME/data/KEY`, the bytes of a storage, not compressed; `NAME/byteorder`. The
one before PyTorch 1.6 has pickles in a row: a magic number, the version of the
form, facts of the machine, the object, the keys of its storages; then for each
of those its length, eight bytes, and its numbers, all little-endian.

PyTorch is not needed, and nothing in a file is run (`fbnax.models.pickled`).
Tensors are views of the file's bytes, so a small file cannot take much memory.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from fbnax.base.arrays import LARGEST_EXPANDED
from fbnax.base.names import escaped
from fbnax.models import pickled
from fbnax.models.pickled import Storage, StoredTensor

START = 9  # Bytes of a file that tell what it is.
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001  # Of the form in pickles.
# Where programs put the state dict, the first that is there. Of a network and
# the average of its weights the average is the better one.
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_WRAPPERS = (
  *("state_dict", "model_state_dict", "model", "module", "net", "network"),
  *("weights", "params"),
)
_DEEPEST = 4  # Wrappers around a state dict.
# Bytes of all tensors for each of the file; more than one where they share.
_SHARED = 16
_LOCAL = 30  # Bytes of a zip member's local header, without name and extras.
_SHOWN = 8  # Keys in a message.
Order = Literal["<", ">"]  # Of bytes, as NumPy says it.


def is_torch(start: bytes) -> bool:
  """Whether a file that begins so is a zip archive or a pickle.

  Args:
    start: its first `START` bytes. Those of a safetensors file may look like a
      pickle's, where they are the length of its header.
  """
  if start[4:9] == b"\0\0\0\0{":
    return False
  pickle = start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"
  return pickle or start[:4] == b"PK\x03\x04"


def read(path: str | Path) -> dict[str, np.ndarray]:
  """The tensors of a state dict by name, in the order of the file.

  A line is printed where the average of a network's weights is taken, and not
  the weights beside it.

  Args:
    path: of a file of `torch.save`: of a state dict, or of a dictionary that
      has one under a usual name.

  Raises:
    ValueError: there is no such file, it is larger than any network's,
      something else stands in it, which is named, it has no state dict, or it
      is damaged or cut off.
  """
  path = Path(path)
  try:
    size = path.stat().st_size
    if size > LARGEST_EXPANDED:
      raise ValueError(
        f"{path} has {size:,} bytes; legal: at most {LARGEST_EXPANDED:,}"
      )
    content = path.read_bytes()
  except FileNotFoundError:
    raise ValueError(f"{path}: no such file") from None
  if content[:1] == b"P":
    value, storages, order = _zip(path, content)
  else:
    value, storages, order = _pickles(path, content)
  tensors = _state_dict(path, value)
  for name, tensor in tensors.items():
    if math.prod(tensor.shape) > tensor.storage.total:
      raise ValueError(
        f"{path}: {escaped(name)} repeats its numbers, as torch.expand does;"
        " legal: a tensor that is .contiguous()"
      )
  claimed = sum(
    math.prod(t.shape) * _itemsize(t.storage.dtype) for t in tensors.values()
  )
  if claimed > _SHARED * size:
    raise ValueError(
      f"{path} is damaged: its tensors have {claimed:,} bytes, and the file"
      f" {size:,}"
    )
  numbers = {
    key: _numbers(dtype, storages[key], order)
    for key, dtype in {
      t.storage.key: t.storage.dtype for t in tensors.values()
    }.items()
  }
  return {
    name: _array(path, name, tensor, numbers[tensor.storage.key])
    for name, tensor in tensors.items()
  }


def _size(storage: Storage) -> int:
  """Bytes of all numbers under a storage's key."""
  return storage.total * _itemsize(storage.dtype)


def _itemsize(dtype: str) -> int:
  return np.dtype(jnp.bfloat16 if dtype == "bfloat16" else dtype).itemsize


def _numbers(dtype: str, content: memoryview, order: Order) -> np.ndarray:
  """The numbers of a storage in this machine's order, if that is the file's."""
  if dtype == "bool":  # Of any byte.
    return np.frombuffer(content, np.uint8) != 0
  # bfloat16's library knows no other order.
  stored = "uint16" if dtype == "bfloat16" else dtype
  numbers = np.frombuffer(content, np.dtype(stored).newbyteorder(order))
  numbers = numbers.astype(stored, copy=False)
  return numbers.view(jnp.bfloat16) if dtype == "bfloat16" else numbers


def _array(
  path: Path, name: str, tensor: StoredTensor, numbers: np.ndarray
) -> np.ndarray:
  """A tensor, as a view of its storage's numbers."""
  first = tensor.storage.start + tensor.offset
  strides = tuple(s * numbers.itemsize for s in tensor.strides)
  try:
    if 0 in tensor.shape:
      return np.zeros(tensor.shape, numbers.dtype)
    return np.lib.stride_tricks.as_strided(
      numbers[first:], tensor.shape, strides, writeable=False
    )
  except (ValueError, OverflowError) as error:  # Axes too long beside a 0.
    raise ValueError(f"{path} is damaged: {escaped(name)}: {error}") from error


def _zip(
  path: Path, content: bytes
) -> tuple[Any, Mapping[str, memoryview], Order]:
  """The object of an archive, the bytes of its storages, their byte order."""
  try:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
      infos = archive.infolist()
  except Exception as error:  # zipfile's own, or struct's, by the damage.
    raise ValueError(
      f"{path} is damaged or cut off: a zip archive, as torch.save writes, but:"
      f" {escaped(str(error))}"
    ) from error
  members = {info.filename: info for info in infos}
  if len(members) < len(infos):
    raise ValueError(f"{path} is damaged: two of its members have one name")
  objects = [
    n for n in members if n.count("/") == 1 and n.endswith("/data.pkl")
  ]
  if len(objects) != 1:
    raise ValueError(
      f"{path} is a zip archive, but torch.save did not write it: it has"
      f" {len(objects)} members NAME/data.pkl; legal: 1"
    )
  top = objects[0].removesuffix("data.pkl")
  if f"{top}constants.pkl" in members:
    raise ValueError(
      f"{path} is a TorchScript program; legal: a state dict, as torch.save("
      "model.state_dict(), PATH) writes it"
    )

  def member(name: str) -> memoryview:
    if f"{top}{name}" not in members:
      raise ValueError(f"{path} is damaged: {escaped(name)[:200]} is missing")
    return _member(path, content, members[f"{top}{name}"])

  order: Order = "<"
  if f"{top}byteorder" in members:
    word = bytes(member("byteorder"))
    if word not in (b"little", b"big"):
      raise ValueError(
        f"{path}: byteorder is {word[:20]!r}; legal: little or big"
      )
    order = "<" if word == b"little" else ">"
  found = pickled.read(io.BytesIO(member("data.pkl")), str(path))
  storages = {}
  for key, storage in found.storages.items():
    storages[key] = member(f"data/{key}")
    needed = _size(storage)
    if len(storages[key]) != needed:
      raise ValueError(
        f"{path} is damaged: data/{escaped(key)} has {len(storages[key]):,}"
        f" bytes, where {_described(storage)} take {needed:,}"
      )
  return found.value, storages, order


def _described(storage: Storage) -> str:
  return f"{storage.total:,} numbers of {storage.dtype}"


def _member(path: Path, content: bytes, info: zipfile.ZipInfo) -> memoryview:
  """The bytes of a member, where they lie in the archive."""
  where = f"{path}: {escaped(info.filename)[:200]}"
  if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
    raise ValueError(
      f"{where} is compressed or encrypted; legal: as torch.save writes it"
    )
  head = content[info.header_offset : info.header_offset + _LOCAL]
  if len(head) < _LOCAL or head[:4] != b"PK\x03\x04":
    raise ValueError(f"{where} is damaged: it does not begin where it should")
  lengths = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
  start = info.header_offset + _LOCAL + sum(lengths)
  data = memoryview(content)[start : start + info.file_size]
  if len(data) < info.file_size or info.compress_size != info.file_size:
    raise ValueError(
      f"{where} is cut off: {len(data):,} of {info.file_size:,} bytes are there"
    )
  if zlib.crc32(data) != info.CRC:
    raise ValueError(f"{where} is damaged: its checksum is another")
  return data


def _pickles(
  path: Path, content: bytes
) -> tuple[Any, Mapping[str, memoryview], Order]:
  """As `_zip`, of the form before PyTorch 1.6."""
  file = io.BytesIO(content)
  magic = pickled.read(file, str(path)).value
  if type(magic) is not int or magic != _MAGIC:
    raise ValueError(
      f"{path} is a pickle, but torch.save did not write it; legal: a state"
      " dict, as torch.save(model.state_dict(), PATH) writes it"
    )
  version = pickled.read(file, str(path)).value
  if type(version) is not int or version != _VERSION:
    raise ValueError(f"{path} is of a form that is not {_VERSION}")
  pickled.read(file, str(path))  # Facts of the machine that wrote it.
  value, wanted = pickled.read(file, str(path))
  keys = pickled.read(file, str(path)).value
  if type(keys) is not list or not all(type(key) is str for key in keys):
    raise ValueError(f"{path} is damaged: it lists no keys of its storages")
  if sorted(keys) != sorted(wanted):
    raise ValueError(
      f"{path} is damaged: it has {len(keys):,} storages, and its tensors name"
      f" {len(wanted):,}, or others"
    )
  storages, at = {}, file.tell()
  for key in keys:
    storage = wanted[key]
    count = int.from_bytes(content[at : at + 8], "little", signed=True)
    stop = at + 8 + _size(storage)
    if stop > len(content):
      raise ValueError(
        f"{path} is cut off: the storage {escaped(key)} ends at byte {stop:,}"
        f" of {len(content):,}"
      )
    if count != storage.total:
      raise ValueError(
        f"{path} is damaged: the storage {escaped(key)} has {count:,} numbers,"
        f" where {_described(storage)} belong"
      )
    storages[key] = memoryview(content)[at + 8 : stop]
    at = stop
  if at != len(content):
    raise ValueError(
      f"{path} is damaged: {len(content) - at:,} bytes after the last storage"
    )
  return value, storages, "<"


def _state_dict(path: Path, value: Any) -> dict[str, StoredTensor]:
  """The tensors of a dictionary, or of one that it has under a usual name."""
  if not isinstance(value, dict):
    raise ValueError(
      f"{path} has a {type(value).__name__}; legal: a dictionary of tensors"
    )
  for name in _wrappers(value) or ():
    others = [n for n in _WRAPPERS if isinstance(value.get(n), dict)]
    if name in _AVERAGES and others:
      print(
        f"{path}: the average of weights, {name}, is taken, and {others[0]} is"
        " not"
      )
    value = value[name]
  tensors = {n: t for n, t in value.items() if type(t) is StoredTensor}
  if not tensors or not all(type(name) is str for name in tensors):
    keys = ", ".join(escaped(str(key)[:40]) for key in list(value)[:_SHOWN])
    raise ValueError(
      f"{path} has no state dict: the dictionary in it has"
      f" {keys or 'no keys'}; legal: tensors by name, or under"
      f" {', '.join((*_AVERAGES, *_WRAPPERS))}"
    )
  return tensors


def _wrappers(value: Any, depth: int = 0) -> tuple[str, ...] | None:
  """The keys that lead to tensors, None where none do."""
  if not isinstance(value, dict) or depth > _DEEPEST:
    return None
  for name in (*_AVERAGES, *_WRAPPERS):
    inner = _wrappers(value.get(name), depth + 1)
    if inner is not None:
      return (name, *inner)
  tensors = any(type(item) is StoredTensor for item in value.values())
  return () if tensors else None
