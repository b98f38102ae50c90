"""What is measured for a table, and that it is what networks are made of."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, Part, keys, parts, slots, space_keys
from fbnax.models import Network, profile, timing
from fbnax.models.timing import TimingSettings

SPACE = spaces.get("small_dnas")
QUICK = TimingSettings(repeats=2, warmup=0, loops=2)


def test_every_value_where_none_is_left_out():
  assert profile.thinned(SPACE, 0) is SPACE
  wanted = profile.wanted(SPACE, 0)
  assert set(wanted) == {k for k in space_keys(SPACE) if not k.is_identity}


@pytest.mark.parametrize("widths", (2, 3))
def test_lowest_and_highest_widths_stay(widths):
  found = profile.thinned(SPACE, widths)
  for before, after in zip(SPACE.decisions, found.decisions, strict=True):
    assert before.name == after.name
    if before.name.endswith((".channels", ".expansion")):
      assert len(after.values) == min(widths, len(before.values))
      assert after.values[0] == before.values[0]
      assert after.values[-1] == before.values[-1]
    else:
      assert after == before


def test_types_that_have_an_expansion_stay():
  """In `fbnet` the expansion belongs to the type, in `fbnetv3` depths vary."""
  assert profile.thinned(spaces.get("fbnet_cifar"), 2).choices == (9,) * 22
  space = spaces.get("small")
  found = {d.name: len(d.values) for d in space.decisions}
  thin = profile.thinned(space, 2)
  for decision in thin.decisions:
    kept = decision.name.split(".")[-1] in ("depth", "kernel", "resolution")
    if kept or space.is_recipe(decision):
      assert len(decision.values) == found[decision.name]
    else:
      assert len(decision.values) == min(2, found[decision.name])


@pytest.mark.parametrize("name", ("small_dnas", "small", "fbnet_cifar"))
def test_what_is_measured_answers_the_whole_space(name):
  space = spaces.get(name)
  wanted = profile.wanted(space, 2)
  assert not any(key.is_identity for key in wanted)
  table = LatencyTable(dict.fromkeys(wanted, Entry(1.0)), interpolate=True)
  table.check(space)
  assert len(wanted) <= len(space_keys(space))


def test_widths_that_the_thinned_space_does_not_bracket_are_measured():
  """From a fixed width to a searched one a skip may be an identity."""
  first, second, third = (
    spaces.Decision(name, values)
    for name, values in (("a", (8, 12, 16)), ("b", (8, 12, 16)), ("c", (1, 2)))
  )
  space = spaces.SearchSpace(
    name="skips",
    decisions=(first, second, third),
    table=spaces.Architecture(
      resolution=8,
      stem=spaces.Stem(channels=8),
      blocks=(
        spaces.Block(channels=spaces.follow(first), stage=1, op="skip"),
        spaces.Block(channels=spaces.follow(second), stage=2, op="skip"),
      ),
      head=spaces.Head(channels=spaces.follow(third)),
    ),
  )
  wanted = profile.wanted(space, 2)
  table = LatencyTable(dict.fromkeys(wanted, Entry(1.0)), interpolate=True)
  table.check(space)


@pytest.mark.parametrize("widths", (1, -1))
def test_one_width_is_no_range(widths):
  with pytest.raises(ValueError, match=f"widths is {widths}; legal: 0 for all"):
    profile.wanted(SPACE, widths)


def test_the_parts_are_the_network():
  """Called one after the other they give what the whole network gives."""
  genotype = SPACE.sample(jax.random.key(3), 1)[0]
  network = SPACE.architecture(genotype)
  module = Network(network, 10)
  shape = (2, network.resolution, network.resolution, 3)
  images = jax.random.normal(jax.random.key(0), shape)
  shapes = jax.eval_shape(
    lambda key: module.init(key, images, train=False), jax.random.key(0)
  )
  variables = timing._filled(shapes)
  want = module.apply(variables, images, train=False)

  x = images
  for slot in slots(network):
    part = Part(slot.item, slot.c_in, slot.size)
    assert x.shape[1:] == (part.size, part.size, part.c_in)
    found, arguments = profile._module(network, part, 10)
    name = slot.name.replace(".", "_")
    own = {kind: tree[name] for kind, tree in variables.items() if name in tree}
    x = found.apply(own, x, **arguments)
  np.testing.assert_allclose(x, want, rtol=1e-5, atol=1e-5)


def test_parts_of_a_space_build_what_their_keys_say():
  wanted = profile.wanted(SPACE, 2)
  random = np.random.default_rng(0)
  names = list(wanted)
  for i in random.choice(len(names), 12, replace=False):
    key, part = names[i], wanted[names[i]]
    assert (part.size, part.c_in) == (key.size, key.c_in)
    module, arguments = profile._module(SPACE.table, part, 10)
    x = jnp.zeros((1, part.size, part.size, part.c_in))
    out, variables = jax.eval_shape(
      lambda key, x, m=module, a=arguments: m.init_with_output(key, x, **a),
      jax.random.key(0),
      x,
    )
    shapes = [leaf.shape for leaf in jax.tree.leaves(variables["params"])]
    if key.op == "head":
      assert out.shape == (1, 10)
    else:
      side = -(-key.size // key.stride)
      assert out.shape == (1, side, side, key.c_out)
    if key.op == "inverted_residual":
      assert (key.kernel, key.kernel, 1, key.c_mid) in shapes
      has_squeeze = "squeeze_excite" in variables["params"]
      assert has_squeeze == key.squeeze_excite


def test_a_table_of_this_device(monkeypatch):
  space = SPACE.fix(
    **{
      d.name: d.values[0] if not d.name.endswith("block") else "skip"
      for d in SPACE.decisions
      if d.name not in ("resolution", "layer1.block")
    }
  )
  found = profile.profile(space, QUICK, widths=0)
  found.check(space)
  assert set(found.entries) == {
    k for k in space_keys(space) if not k.is_identity
  }
  assert all(e.ms >= 0 and e.repeats == 2 for e in found.entries.values())
  assert found.device == timing.device()
  assert (found.relative, found.interpolate) == (False, False)
  network = space.architecture(np.zeros(len(space.decisions), int))
  measured = profile.measure_network(network, QUICK, found.const)
  assert measured.ms > 0
  assert found.latency(network) >= found.const > 0


def test_the_overhead_counts_once(monkeypatch):
  """A call of 7 ms with an overhead of 1 runs two passes of 3 ms."""
  monkeypatch.setattr(timing, "_times", lambda *_: np.full(4, 7.0))
  network = SPACE.architecture(SPACE.sample(jax.random.key(0), 1)[0])
  assert profile.measure_network(network, QUICK, 1.0).ms == 4.0
  [key] = [k for k in keys(network) if k.op == "stem"]
  part = parts(SPACE)[key]
  assert profile.measure_part(SPACE.table, part, QUICK, 1.0).ms == 3.0


def test_a_network_of_cells_has_no_parts():
  with pytest.raises(ValueError, match="made of cells"):
    profile.wanted(spaces.get("nasbench201"), 2)


def test_times_follow_the_work():
  """A wide block takes longer than a narrow one of the same size."""
  table = dataclasses.replace(SPACE.table, resolution=32)
  times = []
  for channels in (16, 128):
    block = spaces.Block(channels=channels, stage=1, expansion=6.0)
    part = Part(block, channels, 32)
    settings = TimingSettings(repeats=5, loops=2)
    times.append(profile.measure_part(table, part, settings, 0.0).ms)
  assert times[1] > 2 * times[0]
  assert costs.latency_keys.key_of(table, part).c_mid == 768
  assert isinstance(costs.latency_keys.key_of(table, part), Key)
