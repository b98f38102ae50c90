"""Reads pickles of state dicts, and runs nothing in them.

A pickle is a program for a machine with a stack, which may import any function
and call it. Here its opcodes are walked by another machine, which has
dictionaries, lists, tuples, strings, numbers, and what stands for tensors and
their storages; it can import and call nothing. Whatever else a pickle asks for
is refused by its name.

What PyTorch pickles (torch/serialization.py, torch/_utils.py): a state dict is
a `collections.OrderedDict`, perhaps with an attribute `_metadata`; a tensor a
call of `torch._utils._rebuild_tensor_v2`; its storage a persistent id, which
names the bytes that lie outside of the pickle.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple, NoReturn

from fbnax.base.names import escaped

# Far more than a network and its optimizer take; seconds of work are refused.
_OPCODES = 1_000_000
_BITS = 128  # Of an integer; PyTorch's magic number has 77.
_AXES = 32
_SHOWN = 200  # Characters of a name in a message.
_LEGAL = (
  "nothing in a file is run; legal: dictionaries, lists, numbers, strings and"
  " tensors alone, as torch.save(model.state_dict(), PATH) writes them"
)
# Types of numbers by the classes of storages.
STORAGES = {
  "torch.DoubleStorage": "float64",
  "torch.FloatStorage": "float32",
  "torch.HalfStorage": "float16",
  "torch.BFloat16Storage": "bfloat16",
  "torch.LongStorage": "int64",
  "torch.IntStorage": "int32",
  "torch.ShortStorage": "int16",
  "torch.CharStorage": "int8",
  "torch.ByteStorage": "uint8",
  "torch.BoolStorage": "bool",
}
_ORDERED = "collections.OrderedDict"
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = "torch._utils._rebuild_parameter"
_NAMES = frozenset((_ORDERED, *_TENSORS, _PARAMETER, *STORAGES))


class Storage(NamedTuple):
  """Numbers that lie outside of the pickle.

  Attributes:
    key: names them.
    dtype: of them.
    total: how many there are under that key.
    start: the first that belongs to this storage.
    stop: the first after it.
  """

  key: str
  dtype: str
  total: int
  start: int
  stop: int


class StoredTensor(NamedTuple):
  """A view of a storage, inside of it; all counts are of numbers.

  Attributes:
    storage: that it is a view of.
    offset: of its first number.
    shape: of the tensor.
    strides: from a number to the next along each axis.
  """

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class Unpickled(NamedTuple):
  """What a pickle describes.

  Attributes:
    value: of dictionaries, lists, tuples, strings, numbers and `StoredTensor`.
    storages: that it names, by their keys.
  """

  value: Any
  storages: dict[str, Storage]


def read(content: BinaryIO, where: str) -> Unpickled:
  """What a pickle describes; the file is left behind its end.

  Args:
    content: a file at the pickle's first byte.
    where: the file, as an error calls it.

  Raises:
    ValueError: it asks for something else, which is named; it is damaged or cut
      off; or it is longer than any state dict.
  """
  machine = _Machine()
  try:
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
      if count >= _OPCODES:
        _refuse(f"its pickle has more than {_OPCODES:,} opcodes")
      machine.step(opcode.name, argument)
    return Unpickled(machine.result(), machine.storages)
  except _UnreadableError as error:
    raise ValueError(f"{where}: {error}") from None
  except Exception as error:  # Of pickletools, or of a stack without values.
    words = escaped(str(error))[:_SHOWN] or type(error).__name__
    raise ValueError(f"{where} is damaged: its pickle: {words}") from error


class _UnreadableError(ValueError):
  """What says already what is wrong."""


class _Import(NamedTuple):
  """What a pickle would import, by its name; nobody does."""

  name: str


class _Ordered(dict[Any, Any]):
  """An OrderedDict, which may get an attribute."""


def _refuse(words: str) -> NoReturn:
  raise _UnreadableError(words)


def _shown(name: Any) -> str:
  return escaped(str(name)[:_SHOWN])


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
  "EMPTY_DICT": dict,
  "EMPTY_LIST": list,
  "EMPTY_TUPLE": tuple,
}
# Their argument is the value.
_VALUES = frozenset(
  (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
    *("SHORT_BINBYTES", "BINBYTES8"),
  )
)
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING = frozenset(("PROTO", "FRAME", "STOP"))


class _Machine:
  """The stack, the stacks below its marks, and the memo.

  Attributes:
    storages: that the persistent ids so far have named, by their keys.
  """

  def __init__(self) -> None:
    self.storages: dict[str, Storage] = {}
    self._stack: list[Any] = []
    self._below: list[list[Any]] = []
    self._memo: dict[int, Any] = {}
    self._steps: dict[str, Callable[[Any], Any]] = {
      "MARK": self._mark,
      "POP": lambda _: self._stack.pop() if self._stack else self._marked(),
      "POP_MARK": lambda _: self._marked(),
      "TUPLE": lambda _: self._push(tuple(self._marked())),
      "LIST": lambda _: self._push(self._marked()),
      "DICT": lambda _: self._push(_filled({}, self._marked())),
      "APPEND": lambda _: self._extend([self._stack.pop()]),
      "APPENDS": lambda _: self._extend(self._marked()),
      "SETITEM": lambda _: self._set(self._last(2)),
      "SETITEMS": lambda _: self._set(self._marked()),
      "MEMOIZE": lambda _: self._put(len(self._memo)),
      "GLOBAL": lambda names: self._import(*names.rsplit(" ", 1)),
      "STACK_GLOBAL": lambda _: self._import(*self._last(2)),
      "BINPERSID": lambda _: self._persistent(self._stack.pop()),
      "REDUCE": lambda _: self._call(*self._last(2)),
      "BUILD": lambda _: self._attributes(self._stack.pop()),
    }

  def step(self, opcode: str, argument: Any) -> None:
    """Does what an opcode says, or refuses it."""
    if opcode in _VALUES:
      self._push(_checked(argument))
    elif opcode in _CONSTANTS:
      self._push(_CONSTANTS[opcode])
    elif opcode in _EMPTY:
      self._push(_EMPTY[opcode]())
    elif opcode in _PUTS:
      self._put(argument)
    elif opcode in _GETS:
      self._push(self._memo[argument])
    elif opcode in _TUPLES:
      self._push(tuple(self._last(_TUPLES[opcode])))
    elif opcode in self._steps:
      self._steps[opcode](argument)
    elif opcode not in _NOTHING:
      name = "" if argument is None else f" {_shown(argument)}"
      if opcode == "INST":
        name = f" {_shown('.'.join(argument.rsplit(' ', 1)))}"
      _refuse(f"the opcode {opcode}{name} stands in it, and {_LEGAL}")

  def result(self) -> Any:
    """The one value that is left."""
    if self._below or len(self._stack) != 1:
      raise IndexError("it ends with more or less than one value")
    return self._stack[0]

  def _push(self, value: Any) -> None:
    self._stack.append(value)

  def _last(self, count: int) -> list[Any]:
    if len(self._stack) < count:
      raise IndexError("its stack is too short")
    values = self._stack[-count:]
    del self._stack[-count:]
    return values

  def _mark(self, _: Any) -> None:
    self._below.append(self._stack)
    self._stack = []

  def _marked(self) -> list[Any]:
    values, self._stack = self._stack, self._below.pop()
    return values

  def _put(self, index: int) -> None:
    self._memo[index] = self._stack[-1]

  def _extend(self, values: list[Any]) -> None:
    if type(self._stack[-1]) is not list:
      raise TypeError("it appends to what is no list")
    self._stack[-1].extend(values)

  def _set(self, pairs: list[Any]) -> None:
    if not isinstance(self._stack[-1], dict):
      raise TypeError("it sets an item of what is no dictionary")
    _filled(self._stack[-1], pairs)

  def _import(self, module: Any, name: Any) -> None:
    full = f"{_text(module)}.{_text(name)}"
    if full not in _NAMES:
      _refuse(f"{_shown(full)} stands in it, and {_LEGAL}")
    self._push(_Import(full))

  def _attributes(self, state: Any) -> None:
    # What modules say of their versions; no number depends on it.
    holds = type(state) is dict and set(state) <= {"_metadata"}
    if not holds or type(self._stack[-1]) is not _Ordered:
      _refuse(f"attributes of an object stand in it, and {_LEGAL}")

  def _call(self, function: Any, arguments: Any) -> None:
    if type(function) is not _Import or type(arguments) is not tuple:
      _refuse(f"a call of what is no function stands in it, and {_LEGAL}")
    if function.name == _ORDERED:
      self._push(_ordered(*arguments))
    elif function.name in _TENSORS:
      self._push(_tensor(*arguments[:4]))
    elif function.name == _PARAMETER:
      if type(arguments[0]) is not StoredTensor:
        raise TypeError("a parameter is no tensor")
      self._push(arguments[0])
    else:
      _refuse(f"a call of {function.name} stands in it, and {_LEGAL}")

  def _persistent(self, name: Any) -> None:
    if type(name) is not tuple or len(name) not in (5, 6):
      raise TypeError("a persistent id is not one of a storage")
    kind, storage_type, key, _, count = name[:5]
    view = name[5] if len(name) == 6 else None
    if kind != "storage" or type(storage_type) is not _Import:
      _refuse(f"a persistent id of no storage stands in it, and {_LEGAL}")
    if storage_type.name not in STORAGES:
      _refuse(f"a storage of {storage_type.name} stands in it, and {_LEGAL}")
    whole = Storage(
      _text(key), STORAGES[storage_type.name], _count(count), 0, count
    )
    if self.storages.setdefault(key, whole) != whole:
      raise ValueError(f"two storages have the key {_shown(key)}")
    if view is None:
      self._push(whole)
      return
    _, start, size = view
    if _count(start) + _count(size) > count:
      raise ValueError(f"a view of the storage {_shown(key)} leaves it")
    self._push(whole._replace(start=start, stop=start + size))


def _checked(value: Any) -> Any:
  if type(value) is int and value.bit_length() > _BITS:
    _refuse(f"an integer of {value.bit_length():,} bits stands in it")
  return value


def _text(value: Any) -> str:
  if type(value) is not str:
    raise TypeError("a name is no string")
  return value


def _count(value: Any) -> int:
  if type(value) is not int or value < 0:
    raise TypeError("a size, offset or stride is no whole number from 0")
  return value


def _filled(target: dict[Any, Any], pairs: list[Any]) -> dict[Any, Any]:
  """The dictionary with keys and values, which take turns."""
  for key, value in zip(pairs[::2], pairs[1::2], strict=True):
    # Hashing a tuple of tuples without end would overflow the C stack.
    if key is not None and type(key) not in (str, int, float, bool, bytes):
      _refuse(f"a key that is a {type(key).__name__} stands in it")
    if key in target:
      raise ValueError(f"the key {_shown(key)} stands twice in a dictionary")
    target[key] = value
  return target


def _ordered(pairs: Any = ()) -> _Ordered:
  # Python 2 hands the items over; Python 3 sets them.
  flat = []
  for pair in pairs:
    if type(pair) not in (list, tuple) or len(pair) != 2:
      raise TypeError("an item of an OrderedDict is no pair")
    flat += pair
  ordered = _Ordered()
  _filled(ordered, flat)
  return ordered


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Any:
  """A tensor that lies in its storage."""
  if type(storage) is not Storage:
    raise TypeError("a tensor has no storage")
  if type(shape) is not tuple or type(strides) is not tuple:
    raise TypeError("shape or strides of a tensor are no tuple")
  if len(shape) != len(strides) or len(shape) > _AXES:
    raise ValueError(f"a tensor has {len(shape)} axes, {len(strides)} strides")
  last = _count(offset)
  for length, stride in zip(shape, strides, strict=True):
    last += (_count(length) - 1) * _count(stride)
  size = storage.stop - storage.start
  if offset > size or (0 not in shape and last >= size):
    raise ValueError(
      f"a tensor of shape {list(shape)}"[:_SHOWN]
      + f" leaves its storage, {_shown(storage.key)}, of {size:,} numbers"
    )
  return StoredTensor(storage, offset, shape, strides)
