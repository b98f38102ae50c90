"""One checkpoint as a directory: written, checked, read.

`arrays/` is Orbax's (one flat dict of NumPy arrays), `index.json` holds the
step, the metadata and the leaves' names, shapes and types, `manifest.json` the
SHA-256 of each file. The checksums are ours because Orbax has none: a flipped
bit in a stored array comes back as another number.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base import json_values
from fbnax.base.files import sync_directory, write_atomically
from fbnax.base.json_values import plain, to_json
from fbnax.training import mesh

_MARGIN = 2**16  # Bytes of what a checkpoint has besides its numbers.


class DamagedError(ValueError):
  """A checkpoint that is not what was saved."""


class Restored(NamedTuple):
  """A checkpoint: its step, the pytree, the metadata."""

  step: int
  tree: Any
  metadata: dict[str, Any]


def encode(
  step: int, tree: Any, metadata: dict[str, Any] | None
) -> tuple[str, dict[str, np.ndarray]]:
  """What `write` takes: the index as JSON, and the leaves in host memory.

  Raises:
    ValueError: a leaf is no array of numbers, or the metadata is not JSON.
  """
  named = _named(tree)
  arrays = {name: _host(name, leaf) for name, leaf in named.items()}
  keys = {k: jax.random.key_impl(v) for k, v in named.items() if _is_key(v)}
  index = {
    "step": step,
    "metadata": plain(metadata or {}, "metadata"),
    "leaves": {name: _kind(leaf) for name, leaf in named.items()},
    "keys": {name: str(impl) for name, impl in keys.items()},
  }
  return to_json(index), arrays


def write(path: Path, index: str, arrays: dict[str, np.ndarray]) -> None:
  """Fills the empty directory `path`; the manifest comes last.

  Raises:
    OSError: it cannot be written, or the disk is too full to begin.
  """
  needed = sum(a.nbytes for a in arrays.values()) + len(index) + _MARGIN
  disk = shutil.disk_usage(path)
  free = disk.free if disk.total else needed  # Some know no size.
  if free < needed:  # Orbax would say so in a hundred lines.
    reason = f"it takes {needed:,} bytes, and {free:,} are free"
    raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {reason}")
  _write_arrays(path / "arrays", arrays)
  write_atomically(path / "index.json", index)
  _sync_all(path)
  write_atomically(path / "manifest.json", to_json(_checksums(path)))


def check(path: Path) -> dict[str, Any]:
  """The index of a checkpoint whose every file is as it was written.

  Raises:
    DamagedError: a file is missing or altered.
  """
  where = str(path / "manifest.json")
  try:
    sums = json_values.read_object(where)
    if "index.json" not in sums:
      raise DamagedError(f"{where} lacks the key index.json")
    for name, expected in sums.items():
      if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DamagedError(
          f"{where} names {json_values.shown(name)}, elsewhere"
        )
      if _checksum(path / name) != expected:
        raise DamagedError(
          f"{path}: {json_values.shown(name)} is not what was saved"
        )
    return _index(path / "index.json")
  except DamagedError:
    raise
  except (OSError, ValueError) as error:
    words = str(error) if str(path) in str(error) else f"{path}: {error}"
    raise DamagedError(words) from error


def _index(path: Path) -> dict[str, Any]:
  """What `index.json` holds, each value of the type that `encode` gives it."""
  where, field = str(path), json_values.field
  index = json_values.read_object(path)
  field(index, "step", int, where, low=0)
  field(index, "metadata", dict, where)
  for name, kind in field(index, "leaves", dict, where).items():
    place = f"{where}: leaves: {json_values.shown(name)}"
    field(kind, "shape", list, place, of=int, low=0)
    field(kind, "dtype", str, place)
  for name, impl in field(index, "keys", dict, where).items():
    if name not in index["leaves"] or not isinstance(impl, str):
      raise DamagedError(
        f"{where}: keys: {json_values.shown(name)} is"
        f" {json_values.shown(impl)}; legal: for a leaf, how it is made"
      )
  return index


def is_whole(path: Path) -> bool:
  """All of it is there and as it was written."""
  try:
    check(path)
  except DamagedError:
    return False
  return True


def read(path: Path, like: Any) -> tuple[Any, dict[str, np.ndarray]]:
  """The index and the arrays of a checkpoint that has the leaves of `like`.

  Raises:
    ValueError: its leaves are not those of `like`: the first is named.
    DamagedError: it does not load.
  """
  index = check(path)
  expected = _named(like)
  saved = index["leaves"]
  for name in [*expected, *saved]:
    here = saved.get(name)
    like_here = _kind(expected[name]) if name in expected else None
    if here != like_here:
      raise ValueError(
        f"{path}: leaf {name}: the checkpoint has {_words(here)}; expected"
        f" {_words(like_here)}"
      )
  keys = [name for name, leaf in expected.items() if _is_key(leaf)]
  for name in [*keys, *index["keys"]]:
    if name not in keys or not _makes(index["keys"].get(name), saved[name]):
      raise DamagedError(
        f"{path / 'index.json'}: keys: {name} is"
        f" {json_values.shown(index['keys'].get(name))}; legal: how the leaf is"
        " made"
      )
  stored = [name for name, kind in saved.items() if 0 not in kind["shape"]]
  try:
    arrays = _read_arrays(path / "arrays", stored)
  except Exception as error:  # Of many kinds; all say that it does not load.
    raise DamagedError(f"{path}: {error}") from error
  for name in stored:
    leaf = expected[name]
    like = jax.eval_shape(jax.random.key_data, leaf) if name in keys else leaf
    if _kind(arrays[name]) != _kind(like):
      raise DamagedError(
        f"{path}: leaf {name} is {_words(_kind(arrays[name]))}; legal:"
        f" {_words(_kind(like))}"
      )
  return index, arrays


def rebuild(index: Any, arrays: dict[str, np.ndarray], like: Any) -> Restored:
  """What `read` found, its leaves of the kind and at the place of `like`'s."""
  leaves = [
    _like(leaf, arrays.get(name), index["keys"].get(name))
    for name, leaf in _named(like).items()
  ]
  tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
  return Restored(index["step"], tree, index["metadata"])


def _named(tree: Any) -> dict[str, Any]:
  """The leaves by their paths, `params/stem/kernel`."""
  named: dict[str, Any] = {}
  for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    name = jax.tree_util.keystr(path, simple=True, separator="/") or "value"
    if name in named:
      raise ValueError(f"two leaves are called {name!r}; rename one of them")
    named[name] = leaf
  return named


def _is_key(leaf: Any) -> Any:
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _makes(impl: str | None, kind: dict[str, Any]) -> bool:
  """Whether keys of that name make random numbers, and are of that type."""
  try:
    key = jax.eval_shape(lambda: jax.random.key(0, impl=impl))
  except ValueError:
    return False
  return impl is not None and str(key.dtype) == kind["dtype"]


def _kind(leaf: Any) -> dict[str, Any]:
  return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _host(name: str, leaf: Any) -> np.ndarray:
  """The leaf in the host's memory; the words of a typed key."""
  if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
    raise ValueError(
      f"leaf {name} is a {type(leaf).__name__}, {leaf!r}; legal: an array"
    )
  words: Any = leaf
  words = jax.random.key_data(words) if _is_key(words) else words
  array = (
    mesh.host(words) if isinstance(words, jax.Array) else np.asarray(words)
  )
  if array.dtype != bool and not jnp.issubdtype(array.dtype, np.number):
    raise ValueError(f"leaf {name} is of {array.dtype}; legal: numbers, bool")
  return array


def _write_arrays(path: Path, leaves: dict[str, np.ndarray]) -> None:
  import orbax.checkpoint as ocp

  # Orbax refuses arrays without elements, and dicts without arrays.
  leaves = {name: leaf for name, leaf in leaves.items() if leaf.size}
  if leaves:
    with _checkpointer() as checkpointer:
      checkpointer.save(path, args=ocp.args.PyTreeSave(leaves))


def _read_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
  import orbax.checkpoint as ocp

  if not names:
    return {}
  as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
  with _checkpointer() as checkpointer:
    return checkpointer.restore(
      path.absolute(), args=ocp.args.PyTreeRestore(restore_args=as_numpy)
    )


def _checkpointer() -> Any:
  """Orbax's, of the one process that reads and writes."""
  import orbax.checkpoint as ocp  # Slow, and wanted only here.

  alone = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
  )
  handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
  return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _sync_all(path: Path) -> None:
  """Makes all that is in a directory last; Orbax leaves some of it to chance.

  What the manifest promises is to be there after a power cut, too.
  """
  for item in path.rglob("*"):
    if item.is_dir():
      sync_directory(item)
    else:
      with item.open("rb") as file:
        os.fsync(file.fileno())


def _checksums(path: Path) -> dict[str, str]:
  sums = {}
  for file in sorted(path.rglob("*")):
    if file.is_file():
      sums[file.relative_to(path).as_posix()] = _checksum(file)
  return sums


def _checksum(file: Path) -> str:
  with file.open("rb") as content:
    return hashlib.file_digest(content, "sha256").hexdigest()


def _words(kind: dict[str, Any] | None) -> str:
  return "no such leaf" if kind is None else f"{kind['dtype']}{kind['shape']}"


def _like(like: Any, array: np.ndarray | None, key: str | None) -> Any:
  """The array, of the kind and at the place of `like`; None: no elements."""
  if key is not None:
    if array is None:
      words = jax.eval_shape(jax.random.key_data, like)
      array = np.zeros(words.shape, words.dtype)
    return _place(like, jax.random.wrap_key_data(jnp.array(array), impl=key))
  if array is None:
    array = np.zeros(like.shape, like.dtype)
  if isinstance(like, np.ndarray | np.generic):
    return array
  return _place(like, jnp.array(array))


def _place(like: Any, array: jax.Array) -> jax.Array:
  # What was left to JAX to place stays so: a committed scalar could not meet
  # arrays that are spread over a mesh.
  sharding = getattr(like, "sharding", None)
  if sharding is None or not getattr(like, "committed", True):
    return array
  return mesh.onto(array, sharding)
