import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.models.graph_predictor import GraphPredictor, node_norms
from fbnax.search.autobuild import construction, graph_fit, modules
from fbnax.search.autobuild.chains import encoding

WHOLE = spaces.get("mobilenetv3")
# With two expansions, so that there are fewer modules; all kernels.
SPACE = WHOLE.fix(
  **{d.name: (3, 6) for d in WHOLE.decisions if d.name.endswith("expansion")}
)
FOUND = encoding(SPACE)


def fitted(space, seeds=2, hops=4):
  """A predictor that has hardly learned, and what it learned from."""
  found = encoding(space)
  module = GraphPredictor(
    found.categories, found.numbers, hidden=4, num_hops=hops
  )
  genotypes = np.asarray(space.sample(jax.random.key(0), 60))
  labels = np.random.default_rng(0).normal(size=60) + 70
  model = graph_fit.fit(
    jax.random.split(jax.random.key(1), seeds),
    module,
    jax.jit(found.encode)(jnp.asarray(genotypes)),
    labels,
    graph_fit.GraphSettings(epochs=1, batch_size=32),
  )
  return model, genotypes, labels


@pytest.fixture(scope="module")
def model():
  return fitted(SPACE)


def test_counts_of_modules_are_the_papers():
  listed = modules.stages(WHOLE)
  assert [s.name for s in listed] == [f"stage{i}" for i in range(1, 6)]
  for stage in listed:
    assert len(stage.modules) == 9**2 + 9**3 + 9**4 == 7371
    assert [int((stage.lengths == n).sum()) for n in (2, 3, 4)] == [
      81,
      729,
      6561,
    ]


def test_single_layers_at_the_end_are_merged():
  listed = modules.stages(spaces.get("proxylessnas"))
  assert [s.name for s in listed] == [
    "stage1",
    "stage2",
    "stage3",
    "stage4",
    "stage5+6",
  ]
  last = listed[-1]
  assert len(last.modules) == 66_339
  assert sorted(set(last.lengths.tolist())) == [3, 4, 5]


def test_scores_are_equation_5(model):
  """By hand: a module alone, the norm of its last node, shifted."""
  predictor, genotypes, labels = model
  moments = modules.moments(predictor, SPACE, genotypes, labels)
  scores = modules.scores(predictor, SPACE, moments, resolution=10)
  names = [d.name for d in SPACE.decisions]
  stage = modules.stages(SPACE)[2]
  rows = [0, 30, 60, 200, 270, 1500]
  depth = names.index("stage3.depth")
  chains = FOUND.encode(jnp.asarray(genotypes))
  every = graph_fit.evaluate(predictor, chains)
  apply = jax.jit(predictor.module.apply)
  for row in rows:
    length = int(stage.lengths[row])
    of_length = labels[genotypes[:, depth] + 2 == length]
    total = 0.0
    for seed in range(2):
      variables = jax.tree.map(lambda x, s=seed: x[s], predictor.variables)
      columns = np.zeros((sum(FOUND.categories) + 1, length, 1), np.float32)
      genotype = dict(
        zip(
          [names[p] for p in stage.decisions],
          stage.modules[row].tolist(),
          strict=True,
        )
      )
      for n in range(length):
        columns[2, n] = 1  # Stage 3.
        columns[5 + n, n] = 1
        columns[9, n] = 1  # The one type.
        columns[10 + genotype[f"stage3.layer{n}.expansion"], n] = 1
        columns[12 + genotype[f"stage3.layer{n}.kernel"], n] = 1
        columns[-1, n] = (128 + 4 * 10 - 192) / 32
      embedded = apply(variables, columns, np.ones((length, 1), np.float32))
      norm = float(node_norms(embedded)[length - 1, -1, 0])
      hop = np.asarray(every.nodes, np.float64)[seed, length - 1]
      there = np.arange(hop.shape[0])[:, None] < np.asarray(chains.lengths)
      normal = (norm - hop[there].mean()) / hop[there].std()
      total += normal * of_length.std() + of_length.mean()
    np.testing.assert_allclose(scores[2][row], total / 2, rtol=1e-4)


def test_a_length_never_seen_is_said_and_scored(model):
  predictor, genotypes, labels = model
  depth = [d.name for d in SPACE.decisions].index("stage2.depth")
  kept = genotypes[:, depth] != 1
  moments = modules.moments(predictor, SPACE, genotypes[kept], labels[kept])
  assert modules.unseen(SPACE, moments) == [("stage2", 3)]
  scores = modules.scores(predictor, SPACE, moments)
  assert all(np.isfinite(s).all() for s in scores)


def test_importance_is_hop_0_of_one_feature(model):
  predictor = model[0]
  found = modules.importance(predictor, SPACE)
  assert [name for name, _, _ in found] == [
    "stage",
    "layer",
    "type",
    "expansion",
    "kernel",
    "resolution",
  ]
  columns = np.zeros((sum(FOUND.categories) + 1, 1, 1), np.float32)
  columns[0] = columns[5] = columns[9] = columns[10] = columns[14] = 1
  columns[-1] = 1.0  # 224 pixels.
  total = 0.0
  for seed in range(2):
    variables = jax.tree.map(lambda x, s=seed: x[s], predictor.variables)
    embedded = predictor.module.apply(
      variables, columns, np.ones((1, 1), np.float32)
    )
    total += np.asarray(embedded.hops[0])[:, 0, 0] / 2
  scores = [given for _, _, given in found]
  picked = [scores[i][j] for i, j in enumerate((0, 0, 0, 0, 2, -1))]
  np.testing.assert_allclose(picked, total, rtol=1e-4)


def test_the_best_modules_make_a_space(model):
  predictor, genotypes, labels = model
  moments = modules.moments(predictor, SPACE, genotypes, labels)
  scores = modules.scores(predictor, SPACE, moments)
  joined = construction.best(SPACE, [scores, [-s for s in scores]], 2)
  assert joined.space.choices == (25, 4, 4, 4, 4, 4)
  built = construction.constructed(joined, resolution=3)
  assert built.shape == (4**5, len(SPACE.decisions))
  assert (built[:, 0] == 3).all()
  np.testing.assert_array_equal(SPACE.canonical(jnp.asarray(built)), built)
  stage = modules.stages(SPACE)[0]
  first = built[:, list(stage.decisions)]
  order = np.argsort(-scores[0], kind="stable")
  wanted = stage.modules[[*order[:2], *order[::-1][:2]]]
  assert {tuple(r) for r in first.tolist()} == {
    tuple(r) for r in wanted.tolist()
  }
  with pytest.raises(ValueError, match="top is 0"):
    construction.best(SPACE, [scores], 0)


def test_other_spaces_have_modules_too():
  space = spaces.get("mnasnet")
  listed = modules.stages(space, merge=())
  assert [len(s.modules) for s in listed] == [3 * 2 * 3 * 2] * 5 + [48, 36]


def test_shared_decisions_are_refused():
  with pytest.raises(ValueError, match="is shared by"):
    modules.stages(spaces.get("fbnetv3"))
