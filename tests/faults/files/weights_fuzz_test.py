"""Weights of other programs: the numbers of the file in their places, or why.

State dicts of a tiny network under prefixes of many wrappers, in all types of
numbers, in one file, in parts or as torch.save writes them, with arrays that
are missing, too many, misshapen or not finite, and files that are cut or
flipped; and last layers of classifiers from elsewhere, as the job `nbdt` takes
them. What fits is read to the last bit; a network never gets a number that is
in no file.

The command of the long version: `encodings_fuzz_test.py` beside this file.
"""

import contextlib
import dataclasses
import io
import json
import pickle
import shutil
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import models
from fbnax.jobs.nbdt import foreign
from fbnax.jobs.nbdt.config import ForeignKeys
from fbnax.models import weights
from fbnax.spaces import Architecture, Block, Head, Stem
from tests.faults import mutations
from tests.faults.cases import (
  SEED,
  check,
  is_told_in_a_line,
  is_told_in_lines,
  share,
)
from tests.models import torch_saves, weights_test

LIMIT = 5.0  # CPU-seconds of a case.
CLASSES = 7
NETWORK = Architecture(
  resolution=8,
  stem=Stem(8, bias=False),
  blocks=(
    Block(8, 1, expansion=1.0),
    Block(16, 2, expansion=2.0, stride=2, squeeze_excite=True),
  ),
  head=Head(16, expansion=0.0),
)
GREY = dataclasses.replace(NETWORK, input_channels=1)
PREFIXES = (
  *("", "", "", "", "module.", "model.", "_orig_mod.", "module.model."),
  *("_orig_mod.module.", "model._orig_mod.", "ema.", "ema_model.", "net."),
)
DTYPES = {
  "F32": np.float32,
  "F64": np.float64,
  "F16": np.float16,
  "BF16": jnp.bfloat16,
  "I32": np.int32,
  "I8": np.int8,
}
# Weight and bias of the last layer.
HEADS = {
  "timm": ("classifier.weight", "classifier.bias"),
  "official": ("head.conv.weight", "head.conv.bias"),
}
MARKER = "executed"


class Executed:
  """Leaves a file where it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (str(self.path), "w")


class Drawn(NamedTuple):
  """Files of weights.

  Attributes:
    files: their bytes by name.
    name: of the one that is read.
    classes: that are asked for, None for the file's.
    stored: the arrays as they are stored, by the layout's names.
    must_read: whether it has to be read.
    must_refuse: whether it has to be refused.
    notes: what was done.
  """

  files: dict[str, bytes]
  name: str
  classes: int | None
  stored: dict[str, Any]
  must_read: bool
  must_refuse: bool
  notes: tuple[str, ...]

  def __repr__(self):
    return (
      f"{self.notes} {self.name} classes={self.classes} "
      f"read={self.must_read} refuse={self.must_refuse}"
    )


def safetensors(arrays, metadata=None):
  """The format as it is published, written independently."""
  header, parts, end = {}, [], 0
  if metadata:
    header["__metadata__"] = metadata
  names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
  names[np.dtype(np.int64)] = "I64"
  for name, array in arrays.items():
    parts.append(np.ascontiguousarray(array).tobytes())
    header[name] = {
      "dtype": names[array.dtype],
      "shape": list(array.shape),
      "data_offsets": [end, end := end + len(parts[-1])],
    }
  words = json.dumps(header).encode()
  return len(words).to_bytes(8, "little") + words + b"".join(parts)


def originals():
  """A state dict of the network in either layout."""
  variables = weights_test.filled(NETWORK, CLASSES)
  return {
    layout: {
      name: np.array(array)
      for name, array in weights.state_dict(NETWORK, variables, layout).items()
    }
    for layout in weights.weight_names.LAYOUTS
  }


def spoil(random, arrays, whole, head):
  """Does something to an array, or to the set; what, and what must come.

  What was spoiled once is left as it is.

  Args:
    random: a `random.Random`.
    arrays: the set, which is changed.
    whole: the set before any change.
    head: names of the last layer's arrays.

  Returns:
    Words, and whether it must be read, and refused.
  """
  counters = [name for name in arrays if name.endswith("tracked")]
  names = [
    name
    for name, array in arrays.items()
    if array is whole.get(name) and name not in counters
  ]
  name = random.choice(names)
  array = arrays[name]
  kind = random.choice(
    ("missing", "head", "extra", "shape", "nan", "var", "counters", "rename")
  )
  if kind == "missing":
    del arrays[name]
    # The head is another matter.
    return f"without {name}", False, name not in head
  if kind == "head" and set(head) <= set(names):
    lost = random.choice(((head[0],), (head[1],), head))
    for name in lost:
      arrays.pop(name, None)
    return f"without {lost}", False, False
  if kind == "extra":
    more = random.choice(("fc.weight", "a\nb", "\x1b[2J", "blocks.9.weight"))
    arrays[more] = np.ones((2, 2), np.float32)
    return f"with {more!r}", False, True
  if kind == "shape":
    changes = [array[None], array[..., None], array[..., :0]]
    if array.ndim and array.shape[0] > 1:
      changes.append(array[:-1])
    if array.ndim > 1 and array.shape[0] != array.shape[1]:
      changes.append(array.swapaxes(0, 1))
    arrays[name] = random.choice(changes)
    return f"{name} {arrays[name].shape}", False, True
  if kind == "nan":
    changed = array.astype(np.float64)
    changed.flat[random.randrange(array.size)] = random.choice(
      (np.nan, np.inf, -np.inf)
    )
    arrays[name] = changed.astype(np.float32)
    return f"{name} not finite", False, True
  if kind == "var":
    name = random.choice([n for n in names if n.endswith("running_var")])
    arrays[name] = np.array(arrays[name], np.float32)
    arrays[name].flat[0] = random.choice((-1.0, -1e-3, 0.0))
    negative = arrays[name].flat[0] < 0
    return f"{name} {arrays[name].flat[0]}", not negative, bool(negative)
  if kind == "rename":
    arrays[f"{name}s"] = arrays.pop(name)
    return f"{name}s", False, True
  for name in counters:
    del arrays[name]
  return "no counters", True, False


def draw(random, sources):
  """A file, or some, of weights."""
  layout = random.choice(("timm", "timm", "official"))
  arrays = dict(sources[layout])
  classes = random.choice((None, None, CLASSES, CLASSES, 5))
  notes, must_read, must_refuse = [layout], True, False
  dtype = random.choice(("F32",) * 6 + tuple(DTYPES))
  arrays = {
    name: array if "tracked" in name else array.astype(DTYPES[dtype])
    for name, array in arrays.items()
  }
  if dtype.startswith("I"):
    must_read = False
  if dtype != "F32":
    notes.append(dtype)
  whole = dict(arrays)
  for _ in range(random.choice((0, 0, 0, 0, 1, 1, 2))):
    words, reads, refuses = spoil(random, arrays, whole, HEADS[layout])
    notes.append(words)
    must_read, must_refuse = must_read and reads, must_refuse or refuses
  # A new head needs nothing of the old one.
  if len(notes) > 1 and (
    classes == 5 or not any(name in arrays for name in HEADS[layout])
  ):
    must_read = must_refuse = False
  stored = dict(arrays)
  prefix = random.choice(PREFIXES)
  if prefix:
    arrays = {prefix + name: array for name, array in arrays.items()}
    notes.append(prefix)
    must_read = must_read and prefix not in ("net.", "ema_model.")
  files, name, reads, refuses = stored_as(random, arrays, notes)
  must_read, must_refuse = must_read and reads, must_refuse or refuses
  return Drawn(
    files, name, classes, stored, must_read, must_refuse, tuple(notes)
  )


def stored_as(random, arrays, notes):
  """The bytes of files, which is read, and whether it must be or must not."""
  content = safetensors(arrays, random.choice((None, {"format": "pt"})))
  name = "weights.safetensors"
  kind = random.choice(
    ("whole",) * 8 + ("torch",) * 4 + ("cut", "flip", "more", "parts", "not")
  )
  if kind == "torch":
    return stored_by_torch(random, arrays, notes)
  if kind == "whole":
    return {name: content}, name, True, False
  notes.append(kind)
  if kind == "cut":
    return {name: content[: random.randrange(len(content))]}, name, False, True
  if kind == "more":
    return {name: content + b"\0"}, name, False, True
  if kind == "flip":
    # Of the header alone: a number that is another one looks like any.
    end = 8 + int.from_bytes(content[:8], "little")
    content = mutations.flipped(random, content[:end]) + content[end:]
    return {name: content}, name, False, False
  if kind == "not":
    content = random.choice((b"", b"PK\x03\x04", b"PICKLE", b"{}", None))
    return {name: content}, name, False, True
  names = list(arrays)
  parts = names[: len(names) // 2], names[len(names) // 2 :]
  called = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
  files = {
    file: safetensors({name: arrays[name] for name in part})
    for file, part in zip(called, parts, strict=True)
  }
  index = "model.safetensors.index.json"
  places = {
    name: file
    for file, part in zip(called, parts, strict=True)
    for name in part
  }
  lost = random.random() < 0.2
  if lost:
    del files[called[1]]
  words = json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
  files[index] = words.encode()
  return files, random.choice((index, called[0])), False, lost


def stored_by_torch(random, arrays, notes):
  """As `stored_as`, of what torch.save writes."""
  value = torch_saves.state(arrays)
  for _ in range(random.choice((0, 0, 1, 1, 2))):
    wrapper = random.choice(("state_dict", "model", "model_state_dict"))
    value = {"epoch": 3, wrapper: value, "optimizer": {0: [1.5, None]}}
  name = random.choice(("w.pth", "w.pt", "w.bin", "w.safetensors"))
  protocol = random.choice((2, 2, 2, 3, 4, 5))
  form = random.choice(("zip", "legacy"))
  kind = random.choice(("whole",) * 4 + ("cut", "flip", "more", "acting"))
  notes += ["torch", form, kind]
  must_refuse = kind == "cut" or (kind == "more" and form == "legacy")
  if form == "zip":
    order = random.choice(("little", "little", "big"))
    members = torch_saves.members(value, protocol, order)
    pickled = members["data.pkl"]
  else:
    content = torch_saves.save_legacy(value, protocol)
    pickled, _ = torch_saves.pickled(value, protocol, is_legacy=True)
  spoiled = pickled
  if kind == "flip":
    spoiled = mutations.flipped(random, pickled)
  if kind == "acting":
    ends = (0, 2, len(pickled) - 1)
    at = random.choice((*ends, random.randrange(len(pickled))))
    must_refuse = at in ends
    # A call without arguments, wherever it comes to stand.
    call = random.choice((b"cos\ngetcwd\n)R0", b"(ios\ngetcwd\n0"))
    spoiled = pickled[:at] + call + pickled[at:]
  if form == "zip":
    content = torch_saves.zipped({**members, "data.pkl": spoiled})
  else:
    content = content.replace(pickled, spoiled)
  if kind == "cut":
    content = content[: random.randrange(len(content))]
  if kind == "more" and form == "legacy":
    content += b"\0"
  return {name: content}, name, kind == "whole", must_refuse


def lay(folder, files):
  """Writes the files into the emptied folder; None is a folder."""
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  for name, content in files.items():
    path = folder / name
    if content is None:
      path.mkdir()
    elif content == b"PICKLE":
      path.write_bytes(pickle.dumps(Executed(folder / MARKER)))
    else:
      path.write_bytes(content)


def read(folder, drawn):
  """Reads them, and looks for every number of the file in the network."""
  lay(folder, drawn.files)
  try:
    # What is said of prefixes would hide the counts.
    with contextlib.redirect_stdout(io.StringIO()):
      found = models.load_weights(folder / drawn.name, NETWORK, drawn.classes)
  except Exception:
    assert not drawn.must_read, "what fits is refused"
    raise
  finally:
    assert not (folder / MARKER).exists()
  assert not drawn.must_refuse, "what does not fit is read"
  if {"flip", "acting"} & set(drawn.notes) and "torch" in drawn.notes:
    return  # Of strides that are others nobody can tell.
  layout = drawn.notes[0]
  back = weights.state_dict(NETWORK, found, layout)
  head = HEADS[layout]
  classes = len(back[head[1]])
  assert classes == (drawn.classes or CLASSES)
  for name, array in back.items():
    if "tracked" in name:
      continue
    assert np.isfinite(array).all() and array.dtype == np.float32
    assert "running_var" not in name or (array >= 0).all()
    has_head = bool(set(head) & set(drawn.stored))
    if name in head and not (has_head and classes == CLASSES):
      continue  # A new head.
    if name == head[1] and name not in drawn.stored:
      assert not array.any()
      continue
    wanted = np.asarray(drawn.stored[name], np.float32)
    np.testing.assert_array_equal(array, wanted.reshape(array.shape), name)


def draw_foreign(random):
  """A file of a classifier's last layer, perhaps with its logits."""
  generator = np.random.default_rng(random.randrange(2**32))
  ending = random.choice((".npz", ".npz", ".safetensors", ".npy"))
  classes, width = random.randint(2, 6), random.randint(2, 5)
  matrix = generator.normal(size=(classes, width)).astype(np.float32)
  notes, must_read, must_refuse = [], True, False
  kind = random.randrange(8)
  if kind == 0:
    matrix[0, 0] = random.choice((np.nan, np.inf))
    notes.append("not finite")
    must_read, must_refuse = False, True
  if kind == 1:
    matrix = random.choice((matrix[0], matrix[None], matrix[:0]))
    notes.append(f"shape {matrix.shape}")
    must_read, must_refuse = False, True
  if kind == 2:
    kinds = (np.float16, np.float64, np.int32, np.int8)
    matrix = matrix.astype(random.choice(kinds))
    notes.append(str(matrix.dtype))
    must_read = matrix.dtype.kind == "f"
  key = random.choice(
    ("fc.weight", "module.fc.weight", "classifier.weight", "weights", "mine")
  )
  arrays = {key: matrix, "bias": np.zeros(classes, np.float32)}
  if ending != ".npy" and random.random() < 0.4:
    logits = generator.normal(size=(3, classes)).astype(np.float32)
    if random.random() < 0.3:
      logits = random.choice((logits[:, 1:], logits * np.nan, logits[0]))
      notes.append("wrong logits")
      must_read, must_refuse = False, True
    arrays["logits"] = logits
  file = io.BytesIO()
  if ending == ".npy":
    np.save(file, matrix)
  elif ending == ".npz":
    save = random.choice((np.savez, np.savez_compressed))
    save(file, **arrays)
  else:
    file.write(safetensors(arrays))
  content = file.getvalue()
  damage = random.randrange(8)
  at = random.randrange(len(content))
  if damage == 0:
    content = content[:at]
    notes.append("cut")
    must_read, must_refuse = False, True
  if damage == 1 and ending == ".npz":
    content = mutations.flipped(random, content)
    notes.append("flip")
    must_read = must_refuse = False
  name = f"last{ending}"
  return Drawn(
    {name: content},
    name,
    None,
    {"matrix": matrix},
    must_read,
    must_refuse,
    tuple(notes),
  )


def read_foreign(folder, drawn):
  """Reads them as the job `nbdt` does."""
  lay(folder, drawn.files)
  try:
    found = foreign.read(ForeignKeys(str(folder / drawn.name)))
  except Exception:
    assert not drawn.must_read, "what fits is refused"
    raise
  assert not drawn.must_refuse, "what does not fit is read"
  assert np.isfinite(found.weights).all()
  np.testing.assert_array_equal(found.weights, drawn.stored["matrix"])


def _drawn_and_read(name, folder):
  """What draws files of a kind, and what reads and checks them."""
  if name == "foreign":
    return draw_foreign, lambda drawn: read_foreign(folder / "case", drawn)
  sources = originals()
  return (
    lambda random: draw(random, sources),
    lambda drawn: read(folder / "case", drawn),
  )


# A network's errors list all that does not fit, a line each.
KINDS = {"networks": (100, 0.12, is_told_in_lines)}
KINDS |= {"foreign": (80, 0.08, is_told_in_a_line)}


def _check(name, cases, folder):
  drawn, read_drawn = _drawn_and_read(name, folder)
  seen = check(drawn, read_drawn, cases, LIMIT, KINDS[name][2])
  print(f"weights, {name}: seed {SEED}, {dict(seen)}")
  return seen


@pytest.mark.parametrize("name", KINDS)
def test_weights(name, tmp_path):
  seen = _check(name, KINDS[name][0], tmp_path)
  assert seen["read"] and seen["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_weights(name, tmp_path):
  _check(name, share(KINDS[name][1]), tmp_path)


def test_a_pickle_leaves_its_mark_where_it_is_executed(tmp_path):
  content = pickle.dumps(Executed(tmp_path / MARKER))
  assert not (tmp_path / MARKER).exists()
  pickle.loads(content).close()
  assert (tmp_path / MARKER).exists()
