"""Latency tables: sums by hand, expectations by enumeration, bad input."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, joint_keys, slots, space_keys
from fbnax.spaces import Architecture, Block, Decision, Head, SearchSpace, Stem
from fbnax.spaces.follow import Follow


def make_space():
  """Two layers: widths, expansion and resolution; a type or a skip; depth."""
  resolution = Decision("resolution", (8, 12))
  channels = Decision("channels", (8, 16))
  expansion = Decision("expansion", (1.0, 2.0))
  kind = Decision("kind", ("k3", "k5_se", "skip"), categorical=True)
  depth = Decision("depth", (1, 2))

  def of(decision, *values):
    return Follow(decision.name, values)

  return SearchSpace(
    name="tiny",
    decisions=(resolution, channels, expansion, kind, depth),
    table=Architecture(
      resolution=of(resolution, 8, 12),
      stem=Stem(channels=8, stride=2, activation="relu"),
      blocks=(
        Block(
          channels=of(channels, 8, 16),
          stage=1,
          stride=1,
          expansion=of(expansion, 1.0, 2.0),
          op=of(kind, "inverted_residual", "inverted_residual", "skip"),
          kernel=of(kind, 3, 5, 3),
          squeeze_excite=of(kind, False, True, False),
          activation="hswish",
        ),
        Block(
          channels=of(channels, 8, 16),
          stage=2,
          expansion=2.0,
          present=of(depth, False, True),
        ),
      ),
      head=Head(channels=32, expansion=0.0),
    ),
  )


SPACE = make_space()


def keys_by_hand(resolution, channels, expansion, kind, depth):
  """What stands in a network of SPACE, from the values of its decisions."""
  side = resolution // 2
  found = [
    Key("stem", resolution, 3, 0, 8, kernel=3, stride=2, activation="relu")
  ]
  if kind == "skip":
    if channels != 8:
      found.append(Key("skip", side, 8, c_out=channels))
  else:
    found.append(
      Key(
        "inverted_residual",
        side,
        8,
        int(8 * expansion),
        channels,
        kernel=3 if kind == "k3" else 5,
        squeeze_excite=kind == "k5_se",
        activation="hswish",
      )
    )
  if depth == 2:
    found.append(
      Key(
        "inverted_residual",
        side,
        channels,
        2 * channels,
        channels,
        kernel=3,
        activation="relu",
      )
    )
  found.append(Key("head", side, channels, 32, 32, activation="hswish"))
  return found


def genotypes():
  return list(itertools.product(*(range(c) for c in SPACE.choices)))


def values_of(genotype):
  pairs = zip(SPACE.decisions, genotype, strict=True)
  return [decision.values[i] for decision, i in pairs]


@pytest.fixture(scope="module")
def table():
  every = sorted({k for g in genotypes() for k in keys_by_hand(*values_of(g))})
  random = np.random.default_rng(0)
  return LatencyTable(
    {key: Entry(float(random.uniform(0.1, 2))) for key in every},
    const=0.25,
    device="a phone",
  )


def by_hand(table, genotype):
  found = keys_by_hand(*values_of(genotype))
  return table.const + math.fsum(table.entries[key].ms for key in found)


def random_weights(seed, concentration=1.0):
  random = np.random.default_rng(seed)
  return [random.dirichlet(np.full(c, concentration)) for c in SPACE.choices]


def test_keys_of_a_space_are_those_of_its_networks(table):
  # An identity is a key too; it needs no entry.
  found = {key for key in space_keys(SPACE) if not key.is_identity}
  assert found == set(table.entries)
  table.check(SPACE)


def test_latency_is_the_sum_of_the_parts(table):
  for genotype in genotypes():
    found = table.latency(SPACE.architecture(genotype))
    assert found == pytest.approx(by_hand(table, genotype), rel=1e-12)


def test_batch_is_the_latency_of_each(table):
  want = [by_hand(table, g) for g in genotypes()]
  found = table.batch(SPACE, jnp.asarray(genotypes()))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, want, rtol=1e-6)
  jitted = jax.jit(lambda g: table.batch(SPACE, g))
  np.testing.assert_allclose(jitted(jnp.asarray(genotypes())), want, rtol=1e-6)
  with jax.enable_x64(True):
    found = table.batch(SPACE, jnp.asarray(genotypes()))
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, want, rtol=1e-14)


def test_expectation_at_one_hot_weights_is_the_latency(table):
  expected = jax.jit(lambda w: table.expected(SPACE, w))
  for genotype in genotypes():
    pairs = zip(genotype, SPACE.choices, strict=True)
    weights = [jax.nn.one_hot(i, count) for i, count in pairs]
    assert float(expected(weights)) == pytest.approx(
      by_hand(table, genotype), rel=1e-6
    )


def test_expectation_is_the_mean_over_all_networks(table):
  for seed in range(3):
    weights = random_weights(seed)
    want = sum(
      math.prod(w[i] for w, i in zip(weights, genotype, strict=True))
      * by_hand(table, genotype)
      for genotype in genotypes()
    )
    given = [jnp.asarray(w, jnp.float32) for w in weights]
    assert float(table.expected(SPACE, given)) == pytest.approx(want, rel=1e-5)


def test_gradient_of_the_expectation(table):
  with jax.enable_x64(True):
    weights = [jnp.asarray(w) for w in random_weights(7)]
    gradient = jax.grad(lambda w: table.expected(SPACE, w))(weights)
    step = 1e-6
    for i, weight in enumerate(weights):
      for j in range(len(weight)):
        ends = [
          table.expected(SPACE, [*weights[:i], moved, *weights[i + 1 :]])
          for moved in (weight.at[j].add(step), weight.at[j].add(-step))
        ]
        slope = float(ends[0] - ends[1]) / (2 * step)
        assert float(gradient[i][j]) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("name", ("small_dnas", "fbnet_cifar", "small"))
def test_one_hot_weights_in_published_spaces(name):
  space = spaces.get(name)
  random = np.random.default_rng(1)
  every = sorted(space_keys(space))
  times = random.random(len(every)).tolist()
  table = LatencyTable(dict(zip(every, map(Entry, times), strict=True)))
  expected = jax.jit(lambda w: table.expected(space, w))
  sampled = space.sample(jax.random.key(0), 20)
  batch = table.batch(space, sampled)
  for genotype, ms in zip(np.asarray(sampled), batch, strict=True):
    want = table.latency(space.architecture(genotype))
    pairs = zip(genotype, space.choices, strict=True)
    weights = [jax.nn.one_hot(i, count) for i, count in pairs]
    assert float(expected(weights)) == pytest.approx(want, rel=1e-6)
    assert float(ms) == pytest.approx(want, rel=1e-6)


def test_wrong_weights_are_refused(table):
  with pytest.raises(ValueError, match=r"have shapes .*; wanted \(\(2,\)"):
    table.expected(SPACE, [jnp.ones(2)] * 5)


def test_all_missing_keys_are_named_at_once(table):
  gone = [k for k in table.entries if k.op == "skip" or k.kernel == 5]
  left = {k: e for k, e in table.entries.items() if k not in gone}
  cut = LatencyTable(left, device="a phone")
  calls = (
    lambda: cut.check(SPACE),
    lambda: cut.batch(SPACE, jnp.asarray(genotypes())),
    lambda: cut.expected(SPACE, random_weights(0)),
  )
  for call in calls:
    with pytest.raises(ValueError) as told:
      call()
    message = str(told.value)
    assert f"of a phone has no entry for {len(gone)} parts of space" in message
    for key in gone:
      assert f"\n  {key}" in message
    assert message.count("\n") == len(gone)
  # A network that has none of them is fine.
  assert cut.latency(SPACE.architecture((0, 0, 0, 0, 0))) > 0
  with pytest.raises(ValueError, match="no entry for 1 parts of the network"):
    cut.latency(SPACE.architecture((0, 0, 0, 1, 0)))


def test_the_table_of_another_space_is_refused(table):
  with pytest.raises(ValueError, match=r"no entry for .* of space 'small'"):
    table.check(spaces.get("small"))
  with pytest.raises(ValueError, match="made of cells"):
    table.check(spaces.get("nasbench201"))


def test_what_the_constant_holds_needs_no_entry(table):
  blocks = {
    k: e for k, e in table.entries.items() if k.op not in ("stem", "head")
  }
  found = LatencyTable(blocks, const=3.0, const_parts=("stem", "head"))
  genotype = genotypes()[5]
  want = 3.0 + sum(
    blocks[k].ms for k in keys_by_hand(*values_of(genotype)) if k in blocks
  )
  assert found.latency(SPACE.architecture(genotype)) == pytest.approx(want)
  with pytest.raises(ValueError, match="no entry for"):
    LatencyTable(blocks, const=3.0, const_parts=("stem",)).check(SPACE)


def test_an_identity_takes_what_its_entry_says():
  key = Key("skip", 8, 16, c_out=16)
  assert LatencyTable({}).time(key) == 0.0
  assert LatencyTable({key: Entry(0.2)}).time(key) == 0.2
  assert LatencyTable({}).time(Key("skip", 8, 16, c_out=24)) is None
  assert LatencyTable({}).time(Key("skip", 8, 16, c_out=16, stride=2)) is None


def test_every_joint_choice_is_in_order():
  for slot in slots(SPACE.table):
    counts = [
      SPACE.choices[[d.name for d in SPACE.decisions].index(name)]
      for name in slot.decisions
    ]
    choices = [choice for choice, _ in joint_keys(slot)]
    assert choices == list(itertools.product(*map(range, counts)))


def test_what_was_saved_is_loaded(table, tmp_path):
  path = tmp_path / "table.json"
  key = next(iter(table.entries))
  entries = dict(table.entries) | {key: Entry(0.5, 0.01, 30)}
  saved = LatencyTable(
    entries,
    const=0.1,
    const_parts=("head",),
    device='a "phone" é',
    note="a note",
    batch_size=4,
    interpolate=True,
  )
  saved.save(path)
  found = LatencyTable.load(path)
  assert found.to_json() == saved.to_json() == path.read_text("utf-8")
  for name in ("const", "const_parts", "device", "note", "batch_size"):
    assert getattr(found, name) == getattr(saved, name)
  assert found.entries == saved.entries
  assert (found.relative, found.interpolate) == (False, True)
  assert list(tmp_path.iterdir()) == [path]


def test_the_documented_format_is_read():
  text = """{"schema_version": 1, "unit": "ms", "device": "Pixel 3",
    "relative": true, "const": {"ms": 2.5, "parts": ["stem", "head"]},
    "entries": [{"op": "skip", "size": 8, "c_in": 16, "c_out": 24, "stride": 2,
      "ms": -0.5, "spread": 0.01, "repeats": 50}]}"""
  from fbnax.costs import latency_json

  found = LatencyTable(**latency_json.from_json(text))
  [(key, entry)] = found.entries.items()
  assert key == Key("skip", 8, 16, c_out=24, stride=2)
  assert entry == (-0.5, 0.01, 50)
  assert (found.const, found.const_parts) == (2.5, ("stem", "head"))


GOOD = {
  "schema_version": 1,
  "unit": "ms",
  "device": "a phone",
  "const": {"ms": 1.0, "parts": []},
  "entries": [
    {"op": "skip", "size": 8, "c_in": 16, "c_out": 24, "stride": 2, "ms": 1.0}
  ],
}
ROW = GOOD["entries"][0]
STEM = {"op": "stem", "size": 8, "c_in": 3, "c_out": 8, "kernel": 3}
STEM |= {"stride": 2, "activation": "relu", "ms": 1.0}


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"schema_version": 2}, "schema_version is 2; legal: 1"),
    ({"schema_version": True}, "schema_version is True; legal: 1"),
    ({"unit": "us"}, "unit is 'us'; legal: 'ms'"),
    ({"device": 3}, "device is 3; legal: a string"),
    ({"relative": "no"}, "relative is 'no'; legal: true or false"),
    ({"batch_size": 0}, "batch_size is 0; legal: at least 1"),
    ({"batch_size": 1.0}, "batch_size is 1.0; legal: an integer"),
    ({"more": 1}, r"unknown keys \['more'\]"),
    ({"const": 1.0}, "const is 1.0; legal: an object"),
    ({"const": {"ms": 1.0}}, r"const lacks the keys \['parts'\]"),
    ({"const": {"ms": -1.0, "parts": []}}, "const.ms is -1.0; legal"),
    ({"const": {"ms": 1, "parts": ["tail"]}}, r"const.parts has \['tail'\]"),
    ({"const": {"ms": 1, "parts": "stem"}}, "const.parts is 'stem'"),
    ({"const": {"ms": 1, "parts": [[]]}}, r"const.parts is \[\[\]\]"),
    ({"entries": {}}, "entries must be a list, found {}"),
    ({"entries": [3]}, r"entries\[0\] is 3; legal: an object"),
    ({"entries": [ROW | {"op": "pool"}]}, r"entries\[0\].op is 'pool'; legal"),
    ({"entries": [ROW | {"op": ["a"]}]}, r"entries\[0\].op is \['a'\]"),
    (
      {"entries": [ROW | {"size": 0}]},
      r"entries\[0\].size is 0; legal: an int",
    ),
    ({"entries": [ROW | {"size": 8.0}]}, r"entries\[0\].size is 8.0"),
    ({"entries": [ROW | {"kernel": 3}]}, r"unknown keys \['kernel'\]"),
    ({"entries": [ROW, ROW]}, r"entries\[1\] is there twice: skip size=8"),
    ({"entries": [ROW | {"ms": "1"}]}, r"entries\[0\].ms is '1'; legal"),
    ({"entries": [ROW | {"ms": 10**400}]}, r"entries\[0\].ms is 1000"),
    ({"entries": [ROW | {"ms": math.nan}]}, "ms of skip size=8 .* is nan"),
    ({"entries": [ROW | {"ms": -1}]}, "is -1.0; legal: .*relative: true"),
    ({"entries": [ROW | {"spread": -1}]}, "spread of skip .* is -1.0"),
    ({"entries": [ROW | {"repeats": 0}]}, r"entries\[0\].repeats is 0; legal"),
    ({"entries": [STEM | {"activation": "elu"}]}, "activation is 'elu'; legal"),
    ({"relative": True, "interpolate": True}, "legal: one of them"),
  ],
)
def test_bad_tables_are_refused(changes, message, tmp_path):
  path = tmp_path / "bad.json"
  path.write_text(json.dumps(GOOD | changes))
  with pytest.raises(ValueError, match=message) as told:
    LatencyTable.load(path)
  assert str(path) in str(told.value)


@pytest.mark.parametrize("name", ("schema_version", "unit", "const", "entries"))
def test_missing_keys_of_a_table(name, tmp_path):
  path = tmp_path / "bad.json"
  path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != name}))
  with pytest.raises(ValueError, match=rf"lacks the keys \['{name}'\]"):
    LatencyTable.load(path)


@pytest.mark.parametrize("text", ("{", "[]", "", "\x00"))
def test_what_is_no_json_object(text, tmp_path):
  path = tmp_path / "bad.json"
  path.write_text(text)
  with pytest.raises(ValueError, match=r"bad.json: latency table (is|must)"):
    LatencyTable.load(path)


def test_a_good_table_is_read(tmp_path):
  path = tmp_path / "good.json"
  path.write_text(json.dumps(GOOD))
  assert LatencyTable.load(path).const == 1.0


@pytest.mark.parametrize(
  "content",
  [
    "Conv-input:224x224x3-output:112x112x24:\n  mean: 1.0\n",
    '{"Conv-input:224x224x3-output:112x112x24": {"mean": 1.0}}',
    '{"resolution": {"224": {}}}',
    '{"exact_lut": {}}',
  ],
)
def test_published_tables_are_to_be_converted(content, tmp_path):
  for name in ("lut.yaml", "lut.json"):
    path = tmp_path / name
    path.write_text(content)
    words = r"convert it with python -m fbnax\.costs\.latency_convert$"
    with pytest.raises(ValueError, match=words) as told:
      LatencyTable.load(path)
    assert str(told.value).startswith(f"{path}: latency table ")
