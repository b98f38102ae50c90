import hashlib
import json
import os
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fbnax.training import checkpoint_files, checkpoints


def tree_of(step):
  rng = np.random.default_rng(step)
  return {
    "params": {
      "kernel": jnp.asarray(rng.normal(size=(3, 3, 8, 16)), jnp.float32),
      "half": jnp.asarray(rng.normal(size=5), jnp.bfloat16),
    },
    "state": (
      jnp.int32(step),
      jnp.arange(3, dtype=jnp.uint32),
      jnp.array([True, False]),
    ),
    "numpy": np.arange(step, step + 4),  # int64, which JAX would not keep.
    "key": jax.random.key(step),
    "keys": jax.random.split(jax.random.key(step, impl="rbg"), 3),
    "empty": jnp.zeros((0, 2)),
  }


def assert_same(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    assert type(a) is type(b)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
      a, b = jax.random.key_data(a), jax.random.key_data(b)
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def files_of(path):
  return sorted(file for file in path.rglob("*") if file.is_file())


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
  tree = tree_of(7)
  tree["params"]["kernel"] = (
    tree["params"]["kernel"]
    .at[0, 0, 0, :3]
    .set(jnp.array([jnp.nan, -0.0, 1e-45]))
  )
  metadata = {"accuracy": 0.1 + 0.2, "phase": "kühl", "none": float("nan")}
  checkpoints.save(tmp_path, 7, tree, metadata)
  step, found, said = checkpoints.restore_latest(tmp_path, tree)
  assert step == 7
  assert said == {"accuracy": 0.1 + 0.2, "phase": "kühl", "none": None}
  assert_same(found, tree)
  # The same shapes and types are enough, and keys draw the same.
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
  found = checkpoints.restore(tmp_path, 7, like).tree
  chex.assert_trees_all_equal(
    jax.random.normal(found["key"]), jax.random.normal(tree["key"])
  )


def test_leaves_go_where_like_is(tmp_path):
  mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
  sharding = NamedSharding(mesh, PartitionSpec("data"))
  tree = {"x": jax.device_put(jnp.arange(4.0), sharding), "y": jnp.ones(2)}
  checkpoints.save(tmp_path, 0, tree)
  found = checkpoints.restore(tmp_path, 0, tree).tree
  assert found["x"].sharding == sharding
  assert not found["y"].committed


def test_no_checkpoint(tmp_path):
  assert checkpoints.restore_latest(tmp_path / "none", {}) is None
  with pytest.raises(ValueError, match=r"step 3; found: \(1,\)"):
    checkpoints.save(tmp_path, 1, {"x": jnp.ones(2)})
    checkpoints.restore(tmp_path, 3, {"x": jnp.ones(2)})


def test_no_leaves(tmp_path):
  checkpoints.save(tmp_path, 1, {"x": None, "y": ()}, {"a": 1})
  assert checkpoints.restore_latest(tmp_path, {"x": None, "y": ()}) == (
    1,
    {"x": None, "y": ()},
    {"a": 1},
  )


@pytest.mark.parametrize(
  "like, message",
  [
    (
      {"a": {"b": jnp.ones((2, 4))}},
      r"a/b: .*float32\[2, 3\].*float32\[2, 4\]",
    ),
    ({"a": {"b": jnp.ones((2, 3), int)}}, r"a/b: .*float32.*int32"),
    ({"a": {}}, r"a/b: .*float32\[2, 3\]; expected no such leaf"),
    (
      {"a": {"b": jnp.ones((2, 3)), "c": jnp.ones(1)}},
      r"a/c: the checkpoint has no such leaf; expected float32\[1\]",
    ),
  ],
)
def test_other_leaves_are_named(tmp_path, like, message):
  checkpoints.save(tmp_path, 1, {"a": {"b": jnp.ones((2, 3))}})
  with pytest.raises(ValueError, match=message):
    checkpoints.restore_latest(tmp_path, like)


@pytest.mark.parametrize(
  "arguments, message",
  [
    ({"tree": {"count": 3}}, "leaf count is a int, 3; legal: an array"),
    ({"tree": {"s": np.array("a")}}, "leaf s is of <U1"),
    ({"step": -1}, "step=-1; legal: 0 or more"),
    ({"keep": 0}, "keep=0; legal: 1"),
    ({"every": 0}, "every=0; legal: 1"),
    ({"metadata": {"f": {1}}}, r"metadata.f is a set"),
    ({"tree": {"a": {"b": jnp.ones(1)}, "a/b": jnp.ones(1)}}, "called 'a/b'"),
  ],
)
def test_what_cannot_be_saved_is_named(tmp_path, arguments, message):
  arguments = {"step": 0, "tree": {"x": jnp.ones(1)}} | arguments
  with pytest.raises(ValueError, match=message):
    checkpoints.save(tmp_path, **arguments)
  assert not list(tmp_path.iterdir())


def test_retention(tmp_path):
  tree = {"x": jnp.ones(2)}
  for step, accuracy in enumerate([0.1, 0.9, 0.2, None, 0.3, 0.4, 0.5]):
    checkpoints.save(
      tmp_path, step, tree, {"accuracy": accuracy}, best="accuracy", every=4
    )
  assert checkpoints.steps(tmp_path) == (0, 1, 4, 5, 6)
  assert checkpoints.best_step(tmp_path, "accuracy") == 1
  assert checkpoints.best_step(tmp_path, "loss") is None
  checkpoints.save(tmp_path, 7, tree, keep=1)
  assert checkpoints.steps(tmp_path) == (7,)


def test_a_run_that_is_set_back_forgets_later_steps(tmp_path):
  for step in (10, 20, 30):
    checkpoints.save(tmp_path, step, {"x": jnp.full(2, step)}, keep=3)
  checkpoints.save(tmp_path, 20, {"x": jnp.full(2, -20)}, keep=3)
  assert checkpoints.steps(tmp_path) == (10, 20)
  found = checkpoints.restore_latest(tmp_path, {"x": jnp.zeros(2, int)})
  assert found.step == 20 and found.tree["x"].tolist() == [-20, -20]
  assert len(list(tmp_path.iterdir())) == 2


def test_damaged_ones_do_not_count_as_kept(tmp_path):
  tree = {"x": jnp.ones(2)}
  for step in (1, 2):
    checkpoints.save(tmp_path, step, tree)
  (tmp_path / "00000002" / "index.json").unlink()
  checkpoints.save(tmp_path, 3, tree)
  assert checkpoints.steps(tmp_path) == (1, 3)


def damages(file):
  content = file.read_bytes()
  yield "half", content[: len(content) // 2]
  yield "empty", b""
  for place in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
    if content:
      flipped = bytearray(content)
      flipped[place] ^= 0x10
      yield f"bit in byte {place}", bytes(flipped)
  yield "gone", None


def test_the_newest_is_one_that_is_whole(tmp_path):
  assert checkpoints.newest(tmp_path / "none") == 0
  for step in (3, 5):
    path = checkpoints.save(tmp_path, step, tree_of(step))
  assert checkpoints.newest(tmp_path) == 5
  (path / "index.json").write_text("{}")
  assert checkpoints.newest(tmp_path) == 3


def test_every_file_outlives_a_power_cut(tmp_path, monkeypatch):
  """Orbax syncs some of its files, the manifest promises all of them."""
  synced = set()
  sync = os.fsync

  def noted(descriptor):
    synced.add(os.fstat(descriptor).st_ino)
    sync(descriptor)

  monkeypatch.setattr(os, "fsync", noted)
  path = checkpoints.save(tmp_path, 1, tree_of(1))
  items = [tmp_path, path, *path.rglob("*")]
  assert len(items) > 5
  assert [p for p in items if p.stat().st_ino not in synced] == []


def test_any_damage_to_any_file_is_noticed(tmp_path, caplog):
  tree = {"x": jnp.arange(300.0), "y": jnp.ones(3)}
  checkpoints.save(tmp_path, 1, tree)
  checkpoints.save(tmp_path, 2, jax.tree.map(lambda x: x + 1, tree))
  newest = tmp_path / "00000002"
  files = files_of(newest)
  assert len(files) > 4
  for file in files:
    content = file.read_bytes()
    for what, damaged in damages(file):
      if damaged is None:
        file.unlink()
      elif damaged == content:
        continue
      else:
        file.write_bytes(damaged)
      # Reading arrays takes long, and is the same for all.
      with pytest.raises(checkpoint_files.DamagedError, match="00000002"):
        checkpoint_files.check(newest)
      file.write_bytes(content)
      assert checkpoint_files.is_whole(newest), (file, what)
  files[-1].write_bytes(b"")
  caplog.clear()
  found = checkpoints.restore_latest(tmp_path, tree)
  assert found.step == 1
  assert_same(found.tree, tree)
  assert len(caplog.records) == 1
  assert str(newest) in caplog.text and "skipped" in caplog.text
  with pytest.raises(ValueError, match="00000002"):
    checkpoints.restore(tmp_path, 2, tree)


def test_all_damaged(tmp_path, caplog):
  checkpoints.save(tmp_path, 1, {"x": jnp.ones(2)})
  (tmp_path / "00000001" / "manifest.json").write_text("{}")
  assert checkpoints.restore_latest(tmp_path, {"x": jnp.ones(2)}) is None
  assert "skipped" in caplog.text


@pytest.mark.parametrize("name", ["../other.json", "/etc/hostname"])
def test_a_manifest_that_leads_elsewhere_is_damage(name, tmp_path, caplog):
  checkpoints.save(tmp_path, 1, {"x": jnp.ones(2)})
  manifest = tmp_path / "00000001" / "manifest.json"
  sums = json.loads(manifest.read_text())
  manifest.write_text(json.dumps(sums | {name: "0"}))
  assert checkpoints.restore_latest(tmp_path, {"x": jnp.ones(2)}) is None
  assert repr(name) in caplog.text


def test_orbax_failing_is_damage_too(tmp_path, monkeypatch, caplog):
  for step in (1, 2):
    checkpoints.save(tmp_path, step, {"x": jnp.ones(2)})
  read = checkpoint_files._read_arrays

  def fail_once(path, names):
    if "00000002" in str(path):
      raise RuntimeError("of another version")
    return read(path, names)

  monkeypatch.setattr(checkpoint_files, "_read_arrays", fail_once)
  assert checkpoints.restore_latest(tmp_path, {"x": jnp.ones(2)}).step == 1
  assert "of another version" in caplog.text


def test_a_full_disk_leaves_the_earlier_ones(tmp_path, monkeypatch):
  tree = {"x": jnp.ones(2)}
  checkpoints.save(tmp_path, 1, tree)

  def full(_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(
    OSError, match=r"00000002: checkpoint not saved.*No space"
  ):
    checkpoints.save(tmp_path, 2, tree)
  monkeypatch.undo()
  assert [path.name for path in tmp_path.iterdir()] == ["00000001"]
  assert checkpoints.restore_latest(tmp_path, tree).step == 1


def test_no_directory_can_be_made(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(
    OSError, match="file/checkpoints/00000001: checkpoint not"
  ):
    checkpoints.save(tmp_path / "file" / "checkpoints", 1, {"x": jnp.ones(1)})


KILLED = """
import os, signal, sys, time
import numpy as np
import orbax.checkpoint
from fbnax.training import checkpoints

for trial in range(int(sys.argv[2])):
  directory = os.path.join(sys.argv[1], str(trial))
  child = os.fork()
  if not child:
    step = 0
    while True:
      step += 1
      checkpoints.save(directory, step, {"x": np.full(5000, step)}, keep=1)
  while not checkpoints.steps(directory):
    time.sleep(0.005)
  time.sleep(0.05 + 0.023 * trial)
  os.kill(child, signal.SIGKILL)
  os.waitpid(child, 0)
"""


def test_killed_while_saving(tmp_path, caplog):
  trials = 8
  subprocess.run(
    [sys.executable, "-W", "ignore", "-c", KILLED, tmp_path, str(trials)],
    check=True,
    timeout=100,
  )
  like = {"x": np.zeros(5000, int)}
  interrupted = 0
  for trial in range(trials):
    directory = tmp_path / str(trial)
    interrupted += any(path.name[0] == "." for path in directory.iterdir())
    step, found, _ = checkpoints.restore_latest(directory, like)
    assert step >= 1 and (found["x"] == step).all()
    checkpoints.save(directory, step + 1, found, keep=1)
    names = [path.name for path in directory.iterdir()]
    assert names == [f"{step + 1:08d}"]
  assert interrupted  # Else nothing was tested.
  assert not caplog.records


@pytest.mark.parametrize(
  ("file", "value"),
  [
    ("manifest.json", []),
    ("manifest.json", {"index.json": [1]}),
    ("manifest.json", {"index.json": "0", "a\0b": "0"}),
    ("index.json", [1]),
    ("index.json", {"step": "3"}),
    ("index.json", {"step": -1}),
    ("index.json", {"metadata": [1]}),
    ("index.json", {"leaves": 7}),
    ("index.json", {"leaves": {"a": [2]}}),
    ("index.json", {"leaves": {"a": {"shape": ["2"], "dtype": "float32"}}}),
    ("index.json", {"leaves": {"a": {"shape": [2], "dtype": None}}}),
    ("index.json", {"keys": {"a": "threefry2x32"}}),
    ("index.json", {"keys": {"key": "made_up"}}),
    ("index.json", {"keys": {"key": 7}}),
    ("index.json", {"keys": {}}),
    ("index.json", "[" * 100_000),
  ],
)
def test_what_no_save_writes(file, value, tmp_path):
  """Even where the checksums are made to fit."""
  tree = {"a": jnp.ones(2), "key": jax.random.key(0)}
  checkpoints.save(tmp_path, 3, tree)
  path = tmp_path / "00000003" / file
  saved = json.loads(path.read_text())
  if file == "index.json" and isinstance(value, dict):
    value = saved | value
  text = value if isinstance(value, str) else json.dumps(value)
  path.write_text(text)
  if file == "index.json":
    manifest = path.with_name("manifest.json")
    sums = json.loads(manifest.read_text())
    sums[file] = hashlib.sha256(text.encode()).hexdigest()
    manifest.write_text(json.dumps(sums))
  with pytest.raises(checkpoint_files.DamagedError, match="00000003") as told:
    checkpoints.restore(tmp_path, 3, tree)
  assert "\n" not in str(told.value)
  assert checkpoints.restore_latest(tmp_path, tree) is None
