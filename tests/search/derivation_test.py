"""Networks from theta: the likeliest, drawn ones, those of a cost."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.search import dnas
from fbnax.search.dnas import derivation, verdicts
from fbnax.search.dnas.derivation import Band, band, derive, draw, most_likely
from fbnax.search.prices import Price
from fbnax.spaces.architecture import Architecture, Head, Stem
from fbnax.spaces.searched import SKIP, Row, layers
from fbnax.spaces.space import SearchSpace
from fbnax.training import augment
from tests.search import tiny_search as tiny

ZEROS = [np.zeros(k) for k in tiny.SPACE.choices]
ALL = np.asarray(list(itertools.product(*map(range, tiny.SPACE.choices))))


def test_most_likely():
  theta = [jnp.asarray(t) for t in ([0, 3, 1, 1], [5, 0, 0, 0], [0, 0, 1])]
  assert most_likely(tiny.SPACE, theta).tolist() == [1, 0, 2]


def test_bands():
  assert band(200.0, 0.05) == pytest.approx((190.0, 210.0))
  assert band(0.0, 0.05) == Band()
  found = band(200.0, 0.05).distance([95.0, 190.0, 200.0, 210.0, 420.0])
  np.testing.assert_allclose(found, [np.log(2), 0, 0, 0, np.log(2)])
  assert Band().distance([1.0, 1e12]).tolist() == [0, 0]


def test_draws_follow_theta():
  """Without a band the first of 1,024 draws are those of the softmax."""
  theta = [np.log([0.7, 0.1, 0.1, 0.1]), *ZEROS[1:]]
  rng = np.random.default_rng(0)
  drawn = derivation._draw(rng, [derivation._softmax(t) for t in theta], 20_000)
  for column, t in zip(drawn.T, theta, strict=True):
    shares = np.bincount(column, minlength=len(t)) / 20_000
    # Four deviations of a binomial share.
    np.testing.assert_allclose(
      shares, np.exp(t) / np.exp(t).sum(), atol=4 * np.sqrt(0.25 / 20_000)
    )


def test_networks_of_a_cost_are_distinct_and_in_the_band():
  costs = tiny.PRICE.batch(ALL)
  wanted = band(float(np.median(costs)), 0.2)
  inside = {tuple(g) for g in ALL[wanted.distance(costs) == 0].tolist()}
  assert 5 < len(inside) < len(ALL)
  found = draw(0, tiny.PRICE, ZEROS, wanted, 100)
  assert {tuple(g) for g in found.tolist()} == inside
  assert len(found) == len(inside)
  some = draw(0, tiny.PRICE, ZEROS, wanted, 3, exclude=found[:2])
  assert len(some) == 3
  assert not {tuple(g) for g in some.tolist()} & {
    tuple(g) for g in found[:2].tolist()
  }
  np.testing.assert_array_equal(draw(0, tiny.PRICE, ZEROS, wanted, 100), found)


def test_a_band_that_theta_hardly_reaches():
  """Theta is all but sure of the cheapest; the dearest is asked for."""
  sure = [np.asarray([30.0] + [0.0] * (k - 1)) for k in tiny.SPACE.choices]
  dearest = float(tiny.PRICE.batch(ALL).max())
  found = draw(0, tiny.PRICE, sure, band(dearest, 0.01), 1)
  assert found.tolist() == [[3, 3, 2]]


def test_a_band_that_holds_nothing():
  assert draw(0, tiny.PRICE, ZEROS, Band(1.0, 2.0), 4).shape == (0, 3)


@pytest.fixture(scope="module")
def searched():
  """A problem, random weights, and batches."""
  problem = tiny.problem()
  state = dnas.start(problem, 0, 1, 4)
  batches = [
    (tiny.THETA.images[i : i + 16], tiny.THETA.labels[i : i + 16])
    for i in (0, 16)
  ]
  return problem, state.variables, batches


def test_the_shared_loss_is_the_modules(searched):
  problem, variables, batches = searched
  genotype = [1, 3, 0]
  weights = [
    jax.nn.one_hot(c, k)
    for c, k in zip(genotype, tiny.SPACE.choices, strict=True)
  ]
  losses, hits = [], []
  for images, labels in batches:
    logits, _ = tiny.Net().apply(
      variables,
      augment.prepare(jnp.asarray(images), problem.settings),
      weights,
      train=True,
      mutable=["batch_stats"],
    )
    logits = np.asarray(logits, np.float64)
    chosen = logits[np.arange(16), labels]
    losses.append((np.log(np.exp(logits).sum(-1)) - chosen).mean())
    hits.append((logits.argmax(-1) == labels).mean())
  loss, accuracy = derivation.shared_loss(problem, variables, genotype, batches)
  assert loss == pytest.approx(np.mean(losses), rel=1e-4)
  assert accuracy == pytest.approx(np.mean(hits))


def test_sampling_takes_the_best_within_the_band(searched):
  problem, variables, batches = searched
  costs = tiny.PRICE.batch(ALL)
  wanted = band(float(np.median(costs)), 0.3)
  found = derive(
    problem,
    variables,
    [jnp.asarray(t) for t in ZEROS],
    batches,
    derivation="sample",
    samples=6,
    allowed=wanted,
    seed=0,
  )
  # The likeliest of an undecided theta is the cheapest, outside of the band.
  assert len(found) == 6
  assert len({c.genotype for c in found}) == 6
  losses = [c.loss for c in found]
  assert losses == sorted(losses)
  for candidate in found:
    assert wanted.low <= candidate.cost <= wanted.high
    assert candidate.loss == pytest.approx(
      derivation.shared_loss(problem, variables, candidate.genotype, batches)[0]
    )


@pytest.mark.parametrize("method", derivation.DERIVATIONS)
def test_the_likeliest_where_there_is_no_other(searched, method):
  """By argmax, whatever it costs; or because the band holds nothing."""
  problem, variables, batches = searched
  found = derive(
    problem,
    variables,
    [jnp.asarray(t) for t in ZEROS],
    batches,
    derivation=method,
    samples=2,
    allowed=Band(1.0, 2.0),
    seed=0,
  )
  assert [c.genotype for c in found] == [(0, 0, 0)]


@pytest.mark.parametrize(
  "derivation_name, samples, message",
  [
    ("best", 4, "search.derivation is 'best'; legal: argmax, sample"),
    ("sample", 0, "search.samples is 0; legal: at least 1"),
  ],
)
def test_bad_derivations(searched, derivation_name, samples, message):
  problem, variables, batches = searched
  with pytest.raises(ValueError, match=message):
    derive(
      problem,
      variables,
      [jnp.asarray(t) for t in ZEROS],
      batches,
      derivation=derivation_name,
      samples=samples,
      allowed=Band(),
      seed=0,
    )


def _skipping():
  types = {"k3": {"kernel": 3}, "skip": SKIP}
  decisions, blocks = layers((Row(1, 2.0, 8, 10),), types)
  return SearchSpace(
    "skipping",
    decisions,
    Architecture(
      resolution=8,
      stem=Stem(channels=8, stride=1),
      blocks=blocks,
      head=Head(channels=16, expansion=0.0),
    ),
  )


def test_skips_are_compared_with_random_networks():
  space = _skipping()
  random = np.zeros((200, 10), np.int32)
  random[:, :3] = 1
  random[:100, 3] = 1
  counts = verdicts.count_skips(space, random)
  assert (counts[:100] == 4).all() and (counts[100:] == 3).all()
  collapsed = verdicts.skip_words(space, [1] * 9 + [0], random)
  assert collapsed.startswith("Collapse to skips: 9 of 10 searched layers")
  assert "3.5 on average, 3 to 4" in collapsed
  fine = verdicts.skip_words(space, [1] * 4 + [0] * 6, random)
  assert fine.startswith("No collapse to skips: 4 of 10")
  assert verdicts.skip_words(tiny.SPACE, [0, 0, 0], random[:, :3]) == ""
  alone = verdicts.skip_words(space, [0] * 10, random[:0])
  assert "no random network of the same cost was found" in alone


def test_targets_in_words():
  price = Price(tiny.SPACE, tiny.K)
  met = verdicts.target_words(price, 205e6, 200e6, 0.05)
  assert met.startswith("Target met: asked for 200,000,000 MACs")
  missed = verdicts.target_words(price, 231e6, 200e6, 0.05)
  assert missed.startswith("Target missed")
  assert "derived 231,000,000 MACs, 15.5% above" in missed
  assert verdicts.target_words(price, 1.0, 0.0, 0.05) == ""


def test_entropy_in_words():
  assert verdicts.entropy_words([0.9, 0.8, 0.0], [4, 4, 1]).startswith("Undec")
  assert verdicts.entropy_words([0.3, 0.2, 0.0], [4, 4, 1]) == ""
  assert verdicts.entropy_words([0.0], [1]) == ""
