import numpy as np
import pytest

from fbnax import costs, spaces
from fbnax.spaces.joining import Group, join

SPACE = spaces.get("mobilenetv3")
NAMES = [d.name for d in SPACE.decisions]
STAGE = tuple(n for n in NAMES if n.startswith("stage2."))


@pytest.fixture(scope="module")
def joined():
  rows = np.asarray(SPACE.sample(jax_key(0), 4))
  places = [NAMES.index(n) for n in STAGE]
  return join(SPACE, {"stage2.module": Group(STAGE, rows[:, places])})


def jax_key(seed):
  import jax

  return jax.random.key(seed)


def test_networks_of_the_joined_space_are_the_original_ones(joined):
  space = joined.space
  assert space.choices[0] == len(spaces.mobilenetv3.RESOLUTIONS)
  assert [d.name for d in space.decisions].count("stage2.module") == 1
  assert space.size == SPACE.size // (3 * 9**4) * 4
  genotypes = space.sample(jax_key(1), 20)
  expanded = joined.expand(genotypes)
  for ours, theirs in zip(np.asarray(genotypes), expanded, strict=True):
    architecture = space.architecture(ours)
    assert architecture == SPACE.architecture(theirs)
    assert (np.asarray(space.genotype(architecture)) == ours).all()
  np.testing.assert_allclose(
    costs.batch(space, genotypes).macs,
    costs.batch(SPACE, expanded).macs,
    rtol=1e-6,
  )


def test_values_are_written_out(joined):
  decision = next(
    d for d in joined.space.decisions if d.name == "stage2.module"
  )
  assert decision.values[0].startswith("depth=")
  assert "layer0.kernel=" in decision.values[0]


@pytest.mark.parametrize(
  "names, rows, words",
  [
    (("stage2.depht",), [[0]], "'stage2.depht'"),
    (("stage2.depth",), [[3]], r"choices\[0\] has 3 for 'stage2.depth'"),
    (("stage2.depth",), [[1], [1]], "repeats"),
    (("stage2.depth",), np.zeros((0, 1), int), "shape"),
  ],
)
def test_wrong_groups(names, rows, words):
  with pytest.raises(ValueError, match=words):
    join(SPACE, {"module": Group(names, np.asarray(rows))})


def test_a_decision_is_in_one_group():
  group = Group(("stage2.depth",), np.asarray([[0], [1]]))
  with pytest.raises(
    ValueError, match=r"'a' and 'b' both have 'stage2\.depth'"
  ):
    join(SPACE, {"a": group, "b": group})
