import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.autobuild.chains import encoding

NAMES = ("mobilenetv3", "proxylessnas", "fbnet", "mnasnet")


@pytest.mark.parametrize("name", NAMES)
def test_chains_are_the_blocks_of_the_networks(name):
  space = spaces.get(name)
  found = encoding(space)
  genotypes = np.asarray(space.sample(jax.random.key(0), 20))
  chains = found.encode(genotypes)
  names = [f.name for f in found.features]
  starts = np.cumsum([0, *found.categories])
  for genotype, columns, length in zip(
    genotypes, chains.features, chains.lengths, strict=True
  ):
    network = space.architecture(genotype)
    blocks = [b for b in network.blocks if b.stage in found.features[0].values]
    assert int(length) == len(blocks)
    columns = np.asarray(columns)
    assert (columns[:, len(blocks) :] == 0).all()
    layers = {}
    for node, block in enumerate(blocks):
      values = {}
      for i, feature in enumerate(found.features):
        one_hot = columns[starts[i] : starts[i + 1], node]
        assert one_hot.sum() == 1
        values[feature.name] = feature.values[one_hot.argmax()]
      layers[block.stage] = layers.get(block.stage, -1) + 1
      assert values["stage"] == block.stage
      assert values["layer"] == layers[block.stage]
      kind = values["type"]
      op = kind[0] if isinstance(kind, tuple) else kind
      assert op == block.op
      if block.op != "skip":
        assert values["kernel"] == block.kernel
        assert values["expansion"] == block.expansion
    if found.numbers:
      wanted = (network.resolution - 192) / 32
      np.testing.assert_allclose(columns[-1, : len(blocks)], wanted)
  assert names[:2] == ["stage", "layer"]


def test_a_part_of_the_blocks():
  space = spaces.get("mobilenetv3")
  found = encoding(space)
  genotypes = np.asarray(space.sample(jax.random.key(1), 10))
  only = tuple(i for i, s in enumerate(found.stages) if s == 3)
  chains = found.encode(genotypes, only)
  depth = [d.name for d in space.decisions].index("stage3.depth")
  np.testing.assert_array_equal(chains.lengths, genotypes[:, depth] + 2)
  assert chains.features.shape[2] == 4
  assert (np.asarray(chains.features)[:, 2, 0] == 1).all()


def test_spaces_without_blocks_are_refused():
  with pytest.raises(ValueError, match="CellNetwork"):
    encoding(spaces.get("nasbench201"))
