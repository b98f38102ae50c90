"""The U-Net's modules and networks; no labels of one are public (synthetic)."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.autobuild import unet_chains
from fbnax.search.autobuild import unet_construction as construction
from fbnax.spaces import unet

SPACE = unet.space()
# 2 x 2 x 2 x 2 x 2: small enough to be looked at network by network.
SMALL = SPACE.fix(
  **{
    d.name: d.values[-1]
    for d in SPACE.decisions
    if d.name not in ("input1.residuals", "output4.attention") and "." in d.name
  },
  channels=[128, 256],
  multipliers=["1-2-3-4", "1-1-2-4", "1-3-4-2"],
)


def every(space):
  grid = np.indices(space.choices).reshape(len(space.choices), -1).T
  return grid.astype(np.int32)


def random_scores(space, seed=0):
  draw = np.random.default_rng(seed)
  return [draw.normal(size=len(p.modules)) for p in unet_chains.stages(space)]


def modules_of(space, genotype):
  """The place of each stage's module, by its blocks."""
  network = space.architecture(genotype)
  return [
    part.modules.index(network.stage(part.name[:-1], int(part.name[-1])))
    for part in unet_chains.stages(space)
  ]


def by_hand(space, scores, allowed):
  """(sum, genotype) of all networks of allowed modules, the best first."""
  found = []
  for genotype in every(space):
    places = modules_of(space, genotype)
    if all(p in a for p, a in zip(places, allowed, strict=True)):
      total = sum(s[p] for s, p in zip(scores, places, strict=True))
      found.append((total, genotype.tolist()))
  return sorted(found, reverse=True)


def test_chains_are_the_blocks():
  draw = np.random.default_rng(0)
  genotypes = draw.integers(0, SPACE.choices, (8, len(SPACE.choices)))
  found = unet_chains.encoded(SPACE, jnp.asarray(genotypes))
  networks = [SPACE.architecture(g).nodes for g in genotypes]
  wanted = unet_chains.of_nodes(SPACE, networks)
  np.testing.assert_array_equal(found.lengths, wanted.lengths)
  longest = wanted.features.shape[2]
  np.testing.assert_array_equal(found.features[..., :longest], wanted.features)
  assert not np.asarray(found.features[..., longest:]).any()
  # Operation, section and stage by hand; channels of 128 x 1 to 256 x 4.
  sizes = sorted({c * m for c in (128, 192, 256) for m in (1, 2, 3, 4)})
  names = [f.name for f in unet_chains.encoding(SPACE).features]
  assert names == ["operation", "channels", "section", "stage"]
  assert wanted.features.shape[1] == 4 + len(sizes) + 3 + 4
  with pytest.raises(ValueError, match="legal: a space of U-Nets"):
    unet_chains.encoding(spaces.get("small"))


def test_modules_by_hand():
  parts = {part.name: part for part in unet_chains.stages(SPACE)}
  assert list(parts) == [
    *(f"input{i}" for i in (1, 2, 3, 4)),
    *(f"output{i}" for i in (4, 3, 2, 1)),
  ]
  # Three widths; one residual or two.
  assert len(parts["input1"].modules) == 3 * 2
  # Multipliers 1, 2, 3 of 128, 192, 256 are seven widths: 256 and 384 are two
  # of them each.
  assert len(parts["output2"].modules) == 7 * 2
  for part in parts.values():
    for i, genotype in enumerate(part.genotypes):
      place = [p.name for p in parts.values()].index(part.name)
      assert modules_of(SPACE, genotype)[place] == i


@pytest.mark.parametrize("constrained", [True, False])
def test_the_best_of_kept_modules_by_hand(constrained):
  scores = random_scores(SMALL)
  parts = unet_chains.stages(SMALL)
  found = construction.construct(
    SMALL, scores, networks=3, keep=2, constrained=constrained
  )
  if not constrained:
    scores = [(s - s.mean()) / s.std() for s in scores]
  allowed = []
  for part, s in zip(parts, scores, strict=True):
    order = sorted(range(len(s)), key=lambda i, s=s: -s[i])
    if constrained:
      sizes = sorted(set(part.lengths.tolist()))
      counts = [found.keep // len(sizes)] * len(sizes)
      for i in range(found.keep % len(sizes)):
        counts[-1 - i] += 1
      order = [
        i
        for size, count in zip(sizes, counts, strict=True)
        for i in [j for j in order if part.lengths[j] == size][:count]
      ]
    else:
      order = order[: found.keep]
    allowed.append(order)
  wanted = by_hand(SMALL, scores, allowed)
  assert found.genotypes.tolist() == [g for _, g in wanted[:3]]
  np.testing.assert_allclose(found.scores, [s for s, _ in wanted[:3]])
  # As few modules as make enough networks, and no fewer than asked for.
  assert found.keep >= 2
  for network in map(SMALL.architecture, found.genotypes):
    for section, stage in unet.parts():
      (channels,) = {n.channels for n in network.stage(section, stage)}
      assert channels == network.channels * network.multipliers[stage - 1]


def test_all_networks_where_all_are_wanted():
  scores = random_scores(SMALL, 1)
  found = construction.construct(SMALL, scores, networks=100)
  everything = [range(len(s)) for s in scores]
  wanted = by_hand(SMALL, scores, everything)
  assert len(wanted) == SMALL.size == len(found.scores)
  np.testing.assert_allclose(found.scores, [s for s, _ in wanted])


def test_best_sums_are_those_of_all():
  draw = np.random.default_rng(0)
  options = [draw.normal(size=n).tolist() for n in (4, 1, 3, 5)]
  wanted = sorted(map(sum, itertools.product(*options)), reverse=True)
  found = construction._best_sums(options, 7)
  np.testing.assert_allclose([total for total, _ in found], wanted[:7])
  assert construction._best_sums([[1.0], []], 3) == []


def test_equal_values_are_standardised_to_0():
  np.testing.assert_array_equal(
    construction.standardised(np.asarray([[0.1, 0.1, 0.1], [1.0, 1.0, 1.0]])),
    np.zeros((2, 3)),
  )


def test_wrong_arguments():
  scores = random_scores(SMALL)
  with pytest.raises(ValueError, match="networks is 0"):
    construction.construct(SMALL, scores, networks=0)
  with pytest.raises(ValueError, match="keep is 0"):
    construction.construct(SMALL, scores, keep=0)
