"""Files of torch.save: their tensors to the last bit, and nothing is run."""

import collections
import io
import itertools
import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import models
from fbnax.models import pickled, safetensors, torch_files, weights
from tests.models import torch_saves, weights_test

FORMS = {"zip": torch_saves.save, "legacy": torch_saves.save_legacy}


@pytest.fixture(params=FORMS)
def save(request, tmp_path):
  """Writes a value as a file of either form."""

  def write(value, **options):
    path = tmp_path / "weights.pth"
    path.write_bytes(FORMS[request.param](value, **options))
    return path

  return write


def arrays_of_all_types():
  random = np.random.default_rng(0)
  floats = random.normal(size=(3, 4))
  return {
    **{
      name: floats.astype(jnp.dtype(name))
      for name in ("float64", "float32", "float16", "bfloat16")
    },
    **{
      name: random.integers(0, 100, (2, 3)).astype(name)
      for name in ("int64", "int32", "int16", "int8", "uint8", "bool")
    },
    "scalar": np.asarray(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "none": np.zeros((2, 0), np.float32),
  }


def equal(found, wanted):
  assert list(found) == list(wanted)
  for name, array in wanted.items():
    assert found[name].dtype == array.dtype, name
    np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_come_as_they_were_stored(save, protocol):
  arrays = arrays_of_all_types()
  path = save(torch_saves.state(arrays), protocol=protocol)
  equal(torch_files.read(path), arrays)


def test_numbers_of_a_machine_of_the_other_byte_order(tmp_path):
  arrays = arrays_of_all_types()
  path = tmp_path / "w.pt"
  path.write_bytes(torch_saves.save(torch_saves.state(arrays), order="big"))
  equal(torch_files.read(path), arrays)


def test_views_of_a_storage_that_they_share(save):
  numbers = np.arange(24, dtype=np.float32)
  storage = torch_saves.Numbers(numbers)
  views = {
    "whole": torch_saves.View(storage, 0, (2, 3, 4), (12, 4, 1)),
    # As convolutions that came from TensorFlow are saved.
    "transposed": torch_saves.View(storage, 0, (4, 3, 2), (1, 4, 12)),
    "part": torch_saves.View(storage, 5, (3,), (2,)),
    "last": torch_saves.View(storage, 23, (1, 1), (9, 9)),
  }
  cube = numbers.reshape(2, 3, 4)
  equal(
    torch_files.read(save(views)),
    {
      "whole": cube,
      "transposed": cube.transpose(2, 1, 0),
      "part": numbers[5:11:2],
      "last": numbers[23:, None],
    },
  )


def test_parameters_are_tensors(save):
  array = np.arange(3, dtype=np.float32)
  parameter = torch_saves.Parameter(torch_saves.tensor(array))
  equal(torch_files.read(save({"a": parameter})), {"a": array})


def test_a_view_of_the_old_form(tmp_path):
  """Storages that are parts of others, as PyTorch before 0.4 saved them."""
  numbers = np.arange(6, dtype=np.float32)
  content = torch_saves.save_legacy({"a": torch_saves.tensor(numbers)})
  # The persistent id ends with None; a key, an offset and a size instead.
  key, _, after = content.partition(b"K\x06Nt")
  assert after
  view = key + b"K\x06(X\x01\x00\x00\x00vK\x02K\x03tt" + after
  view = view.replace(b"QK\x00K\x06\x85", b"QK\x01K\x02\x85")
  path = tmp_path / "w.pth"
  path.write_bytes(view)
  equal(torch_files.read(path), {"a": numbers[3:5]})
  path.write_bytes(view.replace(b"K\x02K\x03tt", b"K\x04K\x03tt"))
  with pytest.raises(ValueError, match="a view of the storage 90000 leaves it"):
    torch_files.read(path)


def test_a_file_of_python_2(tmp_path):
  """Its names are bytes, and its OrderedDict a call with a list of pairs."""
  array = np.arange(2, dtype=np.float32)
  inside, _ = torch_saves.pickled({"a": torch_saves.tensor(array)})
  start = inside.index(b"X\x01\x00\x00\x00a")
  item = inside[start:-2].replace(b"X\x01\x00\x00\x00a", b"U\x01a", 1)
  assert inside[-2:] == b"s."
  content = b"\x80\x02ccollections\nOrderedDict\n]](" + item + b"ea\x85R."
  path = tmp_path / "w.pth"
  parts = {"data.pkl": content, "data/0": array.tobytes()}
  path.write_bytes(torch_saves.zipped(parts))
  equal(torch_files.read(path), {"a": array})


# What people wrap around a state dict.
WRAPPERS = [
  ("state_dict",),
  ("model",),
  ("model_state_dict",),
  ("model", "state_dict"),
  ("state_dict_ema",),
  ("model_ema", "module"),
]


@pytest.mark.parametrize("keys", WRAPPERS)
def test_wrappers(save, keys, capsys):
  arrays = {"a": np.arange(3, dtype=np.float32)}
  value = torch_saves.state(arrays)
  for key in reversed(keys):
    value = {
      "epoch": 3,
      "best": 0.5,
      key: value,
      "notes": ["a", ("b", None, True)],
      "accuracy": torch_saves.tensor(np.ones((), np.float32)),
      "optimizer": {"state": {0: {"step": 1}}, "param_groups": [{"lr": 0.1}]},
    }
  equal(torch_files.read(save(value)), arrays)
  assert not capsys.readouterr().out


def test_an_average_is_taken_and_said(save, capsys):
  plain, average = np.zeros(2, np.float32), np.ones(2, np.float32)
  path = save(
    {
      "state_dict": torch_saves.state({"a": plain}),
      "state_dict_ema": torch_saves.state({"a": average}),
    }
  )
  equal(torch_files.read(path), {"a": average})
  said = "the average of weights, state_dict_ema, is taken, and state_dict is"
  assert said in capsys.readouterr().out


@pytest.mark.parametrize(
  ("value", "message"),
  [
    ([], "has a list; legal: a dictionary of tensors"),
    (3, "has a int"),
    ({}, "has no keys; legal: tensors by name"),
    ({"epoch": 3, "\x1b[2J": {}}, r"has epoch, \\x1b\[2J; legal"),
    ({"state_dict": {"a": 3}}, "has state_dict; legal"),
    ({3: torch_saves.tensor(np.ones(1))}, "has 3; legal: tensors by name"),
  ],
)
def test_what_is_no_state_dict(save, value, message):
  with pytest.raises(ValueError, match=message):
    torch_files.read(save(value))


@pytest.fixture(scope="module")
def network():
  """A network, and its arrays by timm's names."""
  variables = weights_test.filled(weights_test.COLOUR, 5)
  return variables, weights.state_dict(weights_test.COLOUR, variables)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "ema.module."])
def test_networks_are_loaded(save, network, prefix):
  variables, arrays = network
  arrays = {prefix + name: array for name, array in arrays.items()}
  path = save({"state_dict": torch_saves.state(arrays), "arch": "fbnetc"})
  found = models.load_weights(path, weights_test.COLOUR)
  assert weights_test.equal(found, variables)
  assert models.compare_weights(path, weights_test.COLOUR).fits


def test_what_a_file_is_its_first_bytes_tell(network, tmp_path):
  path = tmp_path / "model.safetensors"
  path.write_bytes(torch_saves.save(torch_saves.state(network[1])))
  found = models.load_weights(path, weights_test.COLOUR)
  assert weights_test.equal(found, network[0])
  safetensors.write(tmp_path / "model.pth", network[1])
  found = models.load_weights(tmp_path / "model.pth", weights_test.COLOUR)
  assert weights_test.equal(found, network[0])


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_looks_like_a_pickle(tmp_path, length):
  path = tmp_path / "w.safetensors"
  array = np.arange(3, dtype=np.float32)
  path.write_bytes(b"")
  safetensors.write(path, {"a": array}, {"format": ""})
  start = int.from_bytes(path.read_bytes()[:8], "little")
  for more in range(length - start - 8, length - start + 1):
    safetensors.write(path, {"a": array}, {"format": "x" * more})
    if int.from_bytes(path.read_bytes()[:8], "little") == length:
      break
  assert path.read_bytes()[:1] == b"\x80"
  equal(weights.read_state(path), {"a": array})


class Acting:
  """Writes a file where it is unpickled; the ways to ask for it are many."""

  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return os.system, (f"touch {self.path}",)


class Executing(Acting):
  def __reduce__(self):
    return exec, (f"open({self.path!r}, 'w').close()",)


def acting_pickles(path):
  """Pickles that would write a file, and what has to be named."""
  name = str(path).encode()
  command = b"X" + (len(name) + 6).to_bytes(4, "little") + b"touch " + name
  system = os.system.__module__
  for protocol in range(6):
    yield pickle.dumps(Acting(path), protocol), f"{system}.system"
    yield pickle.dumps({"a": [Executing(path)]}, protocol), ".exec"
  yield b"\x80\x02cos\nsystem\n" + command + b"\x85R.", "os.system"
  yield b"\x80\x02(" + command + b"ios\nsystem\n.", "INST os.system"
  yield b"\x80\x02(cos\nsystem\n" + command + b"o.", "os.system"
  yield b"\x80\x02cos\nsystem\n" + command + b"\x85\x81.", "os.system"
  yield b"\x80\x02\x82\x07" + command + b"\x85R.", "EXT1 7"
  yield b"\x80\x02Pos.system\n.", "PERSID os.system"
  ordered = b"\x80\x02ccollections\nOrderedDict\n"
  yield ordered + b")\x81.", "NEWOBJ"
  yield ordered + b")R}X\x01\x00\x00\x00aK\x01sb.", "attributes of an object"
  yield b"\x80\x02}}b.", "attributes of an object"
  yield b"\x80\x02X\x01\x00\x00\x00a)R.", "a call of what is no function"
  yield b"\x80\x02ctorch\nFloatStorage\n)R.", "a call of torch.FloatStorage"
  yield b"\x80\x02ctorch\nComplexFloatStorage\n.", "torch.ComplexFloatStorage"
  yield b"\x80\x04\x8c\x02os\x8c\x06system\x93" + command + b"\x85R.", "os.syst"
  yield b"\x80\x02cos\x1b[2J\nsystem\n.", "os\\x1b[2J.system"
  yield b"\x80\x04\x8f.", "EMPTY_SET"


def test_files_that_would_act(tmp_path):
  marker = tmp_path / "acted"
  acts = 0
  for content, name in acting_pickles(marker):
    forms = {
      "zip": torch_saves.zipped({"data.pkl": content}),
      "third pickle": torch_saves.save_legacy({})[:21] + content,
      "storage keys": torch_saves.save_legacy({})[:-6] + content,
    }
    if content[:1] == b"\x80":
      forms["pickle"] = content
    for form, file in forms.items():
      path = tmp_path / "weights.pth"
      path.write_bytes(file)
      with pytest.raises(ValueError) as error:
        models.load_weights(path, weights_test.COLOUR)
      assert name in str(error.value), (form, content)
      assert "weights.pth: " in str(error.value)
      assert not marker.exists(), (form, content)
    # They are no paper tigers.
    try:
      pickle.loads(content)
    except Exception:
      continue
    acts += marker.exists()
    marker.unlink(missing_ok=True)
  assert acts >= 13


def test_no_file_is_opened_by_a_name_that_a_file_has(tmp_path):
  secret = tmp_path / "secret"
  secret.write_bytes(np.arange(3, dtype=np.float32).tobytes())
  value = {"a": torch_saves.tensor(np.zeros(3, np.float32))}
  for key in (f"/../..{secret}", "../../secret", "\x1b[2J", "a\nb"):
    parts = torch_saves.members(value)
    parts["data.pkl"] = parts["data.pkl"].replace(
      b"X\x01\x00\x00\x000",
      b"X" + len(key).to_bytes(4, "little") + key.encode(),
    )
    path = tmp_path / "w.pth"
    path.write_bytes(torch_saves.zipped(parts))
    with pytest.raises(ValueError, match=r"data/.* is missing") as error:
      torch_files.read(path)
    assert not set(str(error.value)) & set("\x1b\n")


def small():
  value = {"a": torch_saves.tensor(np.arange(4, dtype=np.float32))}
  return torch_saves.members(value)


def rewritten(change, **options):
  """An archive whose members were changed, written by the library."""
  parts = small()
  change(parts)
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", **options) as archive:
    for name, content in parts.items():
      archive.writestr(f"archive/{name}", content)
  return file.getvalue()


def replacing(old, new):
  """A change of the pickle of `small`."""

  def change(parts):
    assert old in parts["data.pkl"]
    parts["data.pkl"] = parts["data.pkl"].replace(old, new)

  return lambda: rewritten(change)


def twice():
  file = io.BytesIO(torch_saves.zipped(small()))
  with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning):
    archive.writestr("archive/data/0", b"0" * 16)
  return file.getvalue()


def encrypted():
  content = torch_saves.zipped(small())
  at = content.index(b"PK\x01\x02")
  return content[: at + 8] + b"\1" + content[at + 9 :]


def other_bytes():
  content = torch_saves.zipped(small())
  number = np.float32(3).tobytes()
  assert content.count(number) == 1
  return content.replace(number, np.float32(5).tobytes())


LONG = b"\x8a\x09" + b"\xff" * 8 + b"\0"  # 2**64 - 1.
STORAGE = b"K\x04tq\x06Q"


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (lambda: b"PK\x03\x04" + bytes(40), "damaged or cut off: a zip archive"),
    (lambda: torch_saves.zipped({}), "did not write it: it has 0 members"),
    (
      lambda: rewritten(lambda parts: parts.pop("data.pkl")),
      "did not write it: it has 0 members NAME/data.pkl",
    ),
    (
      lambda: rewritten(lambda parts: parts.update({"constants.pkl": b""})),
      "TorchScript program; legal: a state dict",
    ),
    (twice, "two of its members have one name"),
    (encrypted, "data.pkl is compressed or encrypted"),
    (
      lambda: rewritten(lambda _: None, compression=zipfile.ZIP_DEFLATED),
      "compressed or encrypted; legal: as torch.save",
    ),
    (other_bytes, "archive/data/0 is damaged: its checksum is another"),
    (
      lambda: rewritten(lambda parts: parts.pop("data/0")),
      "damaged: data/0 is missing",
    ),
    (
      lambda: rewritten(lambda parts: parts.update({"data/0": bytes(12)})),
      "data/0 has 12 bytes, where 4 numbers of float32 take 16",
    ),
    (
      lambda: rewritten(lambda parts: parts.update(byteorder=b"middle")),
      "byteorder is b'middle'; legal: little or big",
    ),
    (replacing(b"K\x00K\x04\x85", b"K\x01K\x04\x85"), r"\[4\] leaves its stor"),
    (replacing(b"K\x00K\x04\x85", b"K\x00K\x05\x85"), r"\[5\] leaves its stor"),
    (
      replacing(b"K\x00K\x04\x85", b"K\x00" + LONG + b"\x85"),
      r"\[18446744073709551615\] leaves its storage, 0, of 4 numbers",
    ),
    (
      replacing(b"K\x00K\x04\x85", b"K\x00J\xff\xff\xff\xff\x85"),
      "a size, offset or stride is no whole number from 0",
    ),
    (replacing(b"K\x00K\x04\x85", b"K\x00\x88\x85"), "no whole number from 0"),
    (replacing(b"K\x00K\x04\x85", b"K\x00NN\x86"), "axes|no whole number"),
    (replacing(b"K\x00K\x04\x85", b"K\x00K\x04]"), "are no tuple"),
    (
      replacing(b"K\x00K\x04\x85", b"K\x00" + LONG + b"K\x00\x86"),
      "2 axes, 1 strides",
    ),
    (replacing(b"K\x04t", LONG + b"t"), "data/0 has 16 bytes, where 18,446"),
    (replacing(b"K\x04t", b"Nt"), "no whole number"),
    (replacing(b"X\x07\0\0\0storage", b"X\x06\0\0\0module"), "of no storage"),
    (replacing(b"Q", b""), "damaged: its pickle: "),
    (replacing(b"s.", b"s"), "pickle exhausted before seeing STOP"),
    (replacing(b"s.", b"0."), "damaged: its pickle: "),
    (replacing(b"s.", b"s\xff."), "damaged: its pickle: "),
  ],
)
def test_damaged_archives(tmp_path, content, message):
  path = tmp_path / "w.pth"
  path.write_bytes(content())
  with pytest.raises(ValueError, match=message) as error:
    torch_files.read(path)
  assert "w.pth" in str(error.value)


def test_every_cut_is_told(save):
  whole = save(torch_saves.state({"a": np.arange(9.0)}))
  content = whole.read_bytes()
  for length in range(5, len(content)):
    whole.write_bytes(content[:length])
    with pytest.raises(ValueError, match=r"weights\.pth"):
      torch_files.read(whole)
  whole.write_bytes(content)
  assert list(torch_files.read(whole)) == ["a"]


def legacy(value, *changes):
  content = torch_saves.save_legacy(value)
  for old, new in changes:
    assert content.count(old) == 1, old
    content = content.replace(old, new)
  return content


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ([(b"M\xe9\x03.\x80\x02}q\0(", b"M\xe8\x03.\x80\x02}q\0(")], "not 1001"),
    ([(b"\x8a\nl", b"\x8a\nm")], "a pickle, but torch.save did not write it"),
    ([(b"]q\0X\5\0\0\x0090000", b"]q\0X\5\0\0\x0090001")], "or others"),
    ([(b"]q\0X\5\0\0\x0090000q\1a", b"]q\0K\1a")], "lists no keys"),
    ([(b"\4\0\0\0\0\0\0\0", b"\5\0\0\0\0\0\0\0")], "has 5 numbers, where 4"),
    ([(b"\4\0\0\0\0\0\0\0", b"\xff" * 8)], "has -1 numbers, where 4"),
    ([(b"\0\0\x40\x40", b"\0\0\x40\x40\0")], "1 bytes after the last storage"),
    ([(b"\0\0\x40\x40", b"\0\0\x40")], "cut off: the storage 90000 ends at"),
  ],
)
def test_damaged_files_of_the_old_form(tmp_path, changes, message):
  value = {"a": torch_saves.tensor(np.arange(4, dtype=np.float32))}
  path = tmp_path / "w.pth"
  path.write_bytes(legacy(value, *changes))
  with pytest.raises(ValueError, match=message):
    torch_files.read(path)


def test_a_pickle_of_something_else(tmp_path):
  path = tmp_path / "w.pth"
  for protocol in range(2, 6):
    path.write_bytes(pickle.dumps({"weight": 1}, protocol))
    with pytest.raises(ValueError, match=r"is a pickle, but torch\.save did"):
      torch_files.read(path)


def test_no_memory_is_taken_for_what_is_not_there(tmp_path):
  """Tensors that repeat numbers, and many of one storage."""
  storage = torch_saves.Numbers(np.zeros(20_000, np.float32))
  path = tmp_path / "w.pth"
  repeated = torch_saves.View(storage, 0, (10**6, 10**6), (0, 0))
  path.write_bytes(torch_saves.save({"a": repeated}))
  with pytest.raises(ValueError, match=r"a repeats its numbers.*\.contiguous"):
    torch_files.read(path)
  whole = torch_saves.View(storage, 0, (20_000,), (1,))
  path.write_bytes(torch_saves.save({str(i): whole for i in range(4_000)}))
  with pytest.raises(ValueError, match="its tensors have 320,000,000 bytes"):
    torch_files.read(path)


def lists_of_lists(levels):
  """Nine lists, each nine times in the next: 9**levels in all."""
  value = []
  for _ in range(levels):
    value = [value] * 9
  return value


@pytest.mark.parametrize(
  "content",
  [
    pickle.dumps(lists_of_lists(60), 2),
    b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    b"\x80\x02)" + b"\x85" * 200_000 + b".",
    b"\x80\x02}q\0h\0h\0s.",
    b"\x80\x02]q\0h\0a.",
    b"\x80\x02}X\x05\0\0\0modelq\0}q\1h\0h\1sh\0h\1ss.",
    b"\x80\x02}q\0X\x05\0\0\0modelh\0s.",
    b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns.",
  ],
)
def test_deep_and_endless_values(tmp_path, content):
  path = tmp_path / "w.pth"
  path.write_bytes(torch_saves.zipped({"data.pkl": content}))
  with pytest.raises(ValueError, match=r"w\.pth"):
    torch_files.read(path)


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (b"\x80\x02" + b"(" * 1_000_001, "more than 1,000,000 opcodes"),
    (b"\x8b" + (50_000).to_bytes(4, "little") + b"\x7f" * 50_000, "integer of"),
    (b"\x8b" + b"\xff\xff\xff\x7f" + b"\x7f" * 50, "damaged"),
    (b"X\xff\xff\xff\xffabc", "damaged"),
    (b"\x8d" + b"\xff" * 7 + b"\x7fabc", "damaged"),
    (b"L" + b"9" * 5_000 + b"L\n.", "damaged"),
    (b"r\xff\xff\xff\xff.", "damaged"),
    (b"", "damaged"),
    (b"}X\1\0\0\0aK\1sX\1\0\0\0aK\2s.", "the key a stands twice"),
  ],
)
def test_pickles_that_ask_for_too_much(content, message):
  with pytest.raises(ValueError, match=message) as error:
    pickled.read(io.BytesIO(content), "w.pth")
  assert len(str(error.value)) < 500


def test_every_bit_of_a_pickle(tmp_path):
  """Whatever a flipped bit makes of it, an error is told."""
  path = tmp_path / "w.pth"
  parts = torch_saves.members(torch_saves.state({"a": np.arange(3.0)}))
  content = parts["data.pkl"]
  read = 0
  for at, bit in itertools.product(range(len(content)), range(8)):
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    path.write_bytes(torch_saves.zipped({**parts, "data.pkl": bytes(changed)}))
    try:
      torch_files.read(path)
    except ValueError as error:
      assert "w.pth" in str(error)
    else:
      read += 1
  assert read < 4 * len(content)


def test_wrong_paths(tmp_path):
  with pytest.raises(ValueError, match="no such file"):
    torch_files.read(tmp_path / "nothing.pth")
  with pytest.raises(ValueError, match="is a directory"):
    weights.read_state(tmp_path)


def test_a_file_too_large_for_any_network(tmp_path, monkeypatch):
  path = tmp_path / "w.pth"
  path.write_bytes(torch_saves.save({}))
  monkeypatch.setattr(torch_files, "LARGEST_EXPANDED", 100)
  with pytest.raises(ValueError, match="bytes; legal: at most 100"):
    torch_files.read(path)


def test_the_stand_in_writes_what_torch_writes(tmp_path):
  torch = pytest.importorskip("torch")
  arrays = arrays_of_all_types()
  bits = arrays.pop("bfloat16")
  state = collections.OrderedDict(
    (name, torch.tensor(array)) for name, array in arrays.items()
  )
  state["bfloat16"] = torch.tensor(bits.astype(np.float32)).bfloat16()
  state["transposed"] = torch.arange(6.0).reshape(2, 3).T
  wanted = {**arrays, "bfloat16": bits}
  wanted["transposed"] = np.arange(6, dtype=np.float32).reshape(2, 3).T
  for zipped in (True, False):
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    equal(torch_files.read(path), wanted)
  assert path.read_bytes()[:15] == torch_saves.save_legacy({})[:15]
