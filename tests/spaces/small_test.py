import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import costs, spaces


@pytest.fixture(scope="module")
def space():
  return spaces.get("small")


def column(space, name):
  return [d.name for d in space.decisions].index(name)


def with_choices(space, **choices):
  genotype = jnp.ones(len(space.decisions), jnp.int32)
  for name, value in choices.items():
    genotype = genotype.at[column(space, name.replace("__", "."))].set(value)
  return genotype


def test_costs_at_8_pixels_are_those_of_the_docstring(space):
  at_8 = space.fix(resolution=8)
  genotypes = at_8.sample(jax.random.key(0), 200)
  macs = np.asarray(costs.batch(at_8, genotypes, num_classes=10).macs)
  assert macs.min() > 0.1e6
  assert macs.max() < 2e6
  ends = (
    jnp.zeros(len(at_8.decisions), jnp.int32),
    jnp.asarray(at_8.choices) - 1,
  )
  for genotype, limit in zip(ends, (0.1e6, 2e6), strict=True):
    macs = costs.count(at_8.architecture(genotype), num_classes=10).macs
    assert macs == pytest.approx(limit, rel=0.5)


def test_every_depth_gives_that_many_blocks(space):
  for stage, deepest in enumerate((2, 3, 3, 2), start=1):
    for depth in range(1, deepest + 1):
      genotype = with_choices(space, **{f"stage{stage}__depth": depth - 1})
      blocks = space.architecture(genotype).blocks
      assert sum(b.stage == stage for b in blocks) == depth


def test_decisions_of_absent_blocks_become_0(space):
  """The rest's expansion means nothing where only first blocks are present."""
  shallow = with_choices(space, stage2__depth=0)
  rest = column(space, "stage2.expansion_rest")
  assert shallow[rest] == 1
  expected = shallow.at[rest].set(0)
  np.testing.assert_array_equal(space.canonical(shallow), expected)
  np.testing.assert_array_equal(space.canonical(shallow[None])[0], expected)

  shared = column(space, "stage3_4.expansion_rest")
  one_shallow = with_choices(space, stage3__depth=0)
  assert space.canonical(one_shallow)[shared] == 1
  both_shallow = with_choices(space, stage3__depth=0, stage4__depth=0)
  assert space.canonical(both_shallow)[shared] == 0


def test_a_decision_without_effect_does_not_change_the_architecture(space):
  genotypes = jax.random.randint(
    jax.random.key(3),
    (200, len(space.decisions)),
    0,
    jnp.asarray(space.choices),
  )
  canonical = space.canonical(genotypes)
  changed = np.flatnonzero(np.any(np.asarray(canonical != genotypes), axis=1))
  assert len(changed) > 10
  for i in changed[:20]:
    assert space.architecture(genotypes[i]) == space.architecture(canonical[i])
    np.testing.assert_array_equal(
      space.genotype(
        space.architecture(genotypes[i]), space.recipe(genotypes[i])
      ),
      canonical[i],
    )


def test_canonical_genotypes_are_distinct_networks(space):
  """No two canonical genotypes describe the same network and recipe."""
  space = space.fix(
    **{
      d.name: d.values[0]
      for d in space.decisions
      if not d.name.endswith((".depth", "_rest", "_first"))
    }
  )
  grid = np.stack(
    np.meshgrid(*(np.arange(c) for c in space.choices), indexing="ij"), -1
  ).reshape(-1, len(space.choices))
  canonical = np.unique(np.asarray(space.canonical(jnp.asarray(grid))), axis=0)
  rng = np.random.default_rng(0)
  some = rng.permutation(len(canonical))[:400]
  networks = {space.architecture(canonical[i]) for i in some}
  assert len(networks) == len(some)
