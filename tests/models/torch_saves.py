"""Writes what `torch.save` writes, without torch.

Python's own pickler writes the pickles, so that every opcode is one that a file
of PyTorch may have; stand-ins have the names of PyTorch's classes and functions
meanwhile. Facts are from torch/serialization.py and torch/_utils.py.
"""

import collections
import io
import pickle
import sys
import types
import zipfile
from typing import Any, NamedTuple
from unittest import mock

import jax.numpy as jnp
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
CLASSES = {
  "float64": "DoubleStorage",
  "float32": "FloatStorage",
  "float16": "HalfStorage",
  "bfloat16": "BFloat16Storage",
  "int64": "LongStorage",
  "int32": "IntStorage",
  "int16": "ShortStorage",
  "int8": "CharStorage",
  "uint8": "ByteStorage",
  "bool": "BoolStorage",
}


class Numbers:
  """A storage: numbers in a row, told from others by what it is."""

  def __init__(self, array):
    self.array = np.ascontiguousarray(array).reshape(-1)


class View(NamedTuple):
  """A tensor, a view of a storage."""

  storage: Any
  offset: int
  shape: tuple
  strides: tuple


class Parameter(NamedTuple):
  """A tensor that is trained."""

  data: View


def tensor(array):
  """An array as a tensor of its own storage."""
  array = np.asarray(array)
  strides = np.empty(array.shape, np.int8).strides
  return View(Numbers(array), 0, array.shape, strides)


def state(arrays):
  """A state dict as modules give it: with an attribute that says versions."""
  found = collections.OrderedDict((n, tensor(a)) for n, a in arrays.items())
  found._metadata = collections.OrderedDict({"": {"version": 1}})
  return found


def _stand_ins():
  """Modules with PyTorch's classes and functions, as far as names go."""
  torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
  torch._utils = utils
  for name in (*CLASSES.values(), "ComplexFloatStorage"):
    setattr(torch, name, type(name, (), {"__module__": "torch"}))
  for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
    function = types.FunctionType((lambda: None).__code__, {}, name)
    function.__module__, function.__qualname__ = "torch._utils", name
    setattr(utils, name, function)
  return {"torch": torch, "torch._utils": utils}


_MODULES = _stand_ins()


class _Pickler(pickle.Pickler):
  """As torch.save's: storages are persistent ids, tensors calls."""

  def __init__(self, file, protocol, is_legacy):
    super().__init__(file, protocol)
    self.keys = {}
    self.is_legacy = is_legacy

  def persistent_id(self, item):
    if not isinstance(item, Numbers):
      return None
    key = str(len(self.keys) + 90_000 * self.is_legacy)
    key, _ = self.keys.setdefault(id(item), (key, item))
    storage = getattr(_MODULES["torch"], CLASSES[item.array.dtype.name])
    view = (None,) if self.is_legacy else ()
    return ("storage", storage, key, "cpu", item.array.size, *view)

  def reducer_override(self, item):
    utils = _MODULES["torch._utils"]
    hooks = collections.OrderedDict()
    if isinstance(item, View):
      return utils._rebuild_tensor_v2, (*item, False, hooks)
    if isinstance(item, Parameter):
      return utils._rebuild_parameter, (item.data, True, hooks)
    return NotImplemented


def pickled(value, protocol=2, is_legacy=False):
  """A pickle, and its storages by their keys."""
  file = io.BytesIO()
  with mock.patch.dict(sys.modules, _MODULES):
    pickler = _Pickler(file, protocol, is_legacy)
    pickler.dump(value)
  return file.getvalue(), {key: n.array for key, n in pickler.keys.values()}


def _bytes(array, order):
  """An array's bytes in an order, "little" or "big"."""
  if array.dtype == jnp.bfloat16:
    array = array.view(np.uint16)
  return array.astype(array.dtype.newbyteorder(order[0])).tobytes()


def zipped(members, name="archive"):
  """A zip archive as PyTorch's: not compressed, each member at 64 bytes."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w") as archive:
    for member, content in members.items():
      info = zipfile.ZipInfo(f"{name}/{member}")
      start = file.tell() + 30 + len(info.filename) + 4
      info.extra = b"FB" + (-start % 64).to_bytes(2, "little")
      info.extra += b"Z" * (-start % 64)
      archive.writestr(info, content)
  return file.getvalue()


def members(value, protocol=2, order="little"):
  """The members of an archive of today's form."""
  content, storages = pickled(value, protocol)
  return {
    "data.pkl": content,
    ".format_version": b"1",
    ".storage_alignment": b"64",
    "byteorder": order.encode(),
    **{f"data/{k}": _bytes(a, order) for k, a in storages.items()},
    "version": b"3\n",
    ".data/serialization_id": b"0" * 40,
  }


def save(value, protocol=2, order="little"):
  """A file of today's form."""
  return zipped(members(value, protocol, order))


def save_legacy(value, protocol=2):
  """A file of the form before PyTorch 1.6."""
  content, storages = pickled(value, protocol, is_legacy=True)
  sizes = {"short": 2, "int": 4, "long": 4}
  facts = {
    "protocol_version": VERSION,
    "little_endian": True,
    "type_sizes": sizes,
  }
  parts = [pickle.dumps(p, protocol) for p in (MAGIC, VERSION, facts)]
  parts += [content, pickle.dumps(sorted(storages), protocol)]
  for key in sorted(storages):
    parts.append(storages[key].size.to_bytes(8, "little"))
    parts.append(_bytes(storages[key], "little"))
  return b"".join(parts)
