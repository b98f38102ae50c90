import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.benchmarks import assisted, baselines
from fbnax.search.evaluators import Outcome

SPACE = spaces.get("nasbench201")
GRID = np.indices((5,) * 6).reshape(6, -1).T.astype(np.int32)
GRID = GRID[(GRID[:, 4:] == 0).all(1)]  # 625 of them.
SCORES = (GRID == 2).sum(1) + 1e-4 * np.arange(len(GRID))  # All different.


def evaluate(candidates, epochs, progress, ended=()):
  for candidate in candidates:
    accuracy = (np.asarray(candidate.genotype) == 2).mean()
    yield [Outcome(candidate.id, (float(accuracy),), 0.0, 0.0, None)]


def rows_of(trajectory):
  return [(g == GRID).all(1).argmax() for g in trajectory.genotypes]


def test_naswot_evaluates_the_best_of_what_it_draws():
  """Of all it is the best first; of one at a time random search."""
  found = assisted.naswot(3, evaluate, GRID, SCORES, 5, samples=len(GRID))
  np.testing.assert_array_equal(rows_of(found), np.argsort(-SCORES)[:5])
  firsts = [
    SCORES[rows_of(assisted.naswot(s, evaluate, GRID, SCORES, 1, samples=n))[0]]
    for n in (1, 10)
    for s in range(400)
  ]
  one, ten = np.mean(firsts[:400]), np.mean(firsts[400:])
  assert one == pytest.approx(SCORES.mean(), abs=0.15)
  # The expected largest of ten draws, from the distribution of the scores.
  shares = np.searchsorted(np.sort(SCORES), np.unique(SCORES), "right")
  shares = (shares / len(SCORES)) ** 10
  wanted = (np.diff(shares, prepend=0) * np.unique(SCORES)).sum()
  assert ten == pytest.approx(wanted, abs=0.1)


def test_naswot_never_evaluates_one_twice():
  found = assisted.naswot(0, evaluate, GRID[:20], SCORES[:20], 20, samples=7)
  assert len(np.unique(found.genotypes, axis=0)) == 20


def test_area_begins_with_the_best_scored():
  found = assisted.area(
    0, evaluate, SPACE, GRID, SCORES, 40, samples=len(GRID), population=10
  )
  assert set(rows_of(found)[:10]) == set(
    np.argsort(-SCORES, kind="stable")[:10]
  )
  assert len(np.unique(found.genotypes, axis=0)) == 40
  # Without scores that tell anything it is regularized evolution.
  plain = baselines.regularized_evolution(
    0, evaluate, SPACE, GRID, 40, population=10
  )
  drawn = np.random.default_rng((0, 1)).choice(len(GRID), 10, replace=False)
  blind = assisted.area(
    0, evaluate, SPACE, GRID, 0 * SCORES, 40, samples=10, population=10
  )
  np.testing.assert_array_equal(rows_of(blind)[:10], drawn)
  assert len(blind.accuracies) == len(plain.accuracies)


def test_scored_moves_take_the_better_child():
  def mean_score(moves):
    scores = []
    for seed in range(8):
      found = assisted.area(
        seed,
        evaluate,
        SPACE,
        GRID,
        SCORES,
        20,
        samples=10,
        population=10,
        sample=1,
        moves=moves,
      )
      scores.append(SCORES[rows_of(found)[10:]].mean())
    return np.mean(scores)

  assert mean_score(8) > mean_score(1) + 0.5


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (
      lambda: assisted.naswot(0, evaluate, GRID, SCORES[1:], 3, samples=2),
      r"scores has shape \(624,\)",
    ),
    (
      lambda: assisted.naswot(
        0, evaluate, GRID, np.where(SCORES > 2, np.nan, SCORES), 3, samples=2
      ),
      "NaNs; legal: a number, or -inf",
    ),
    (
      lambda: assisted.naswot(0, evaluate, GRID, SCORES, 0, samples=2),
      "count=0, samples=2; legal: 1 to 625",
    ),
    (
      lambda: assisted.area(
        0, evaluate, SPACE, GRID, SCORES, 30, samples=5, population=10
      ),
      "samples is 5; legal: 10 to 625",
    ),
    (
      lambda: baselines.regularized_evolution(
        0, evaluate, SPACE, GRID, 30, moves=2
      ),
      "moves=2; legal: 1, or with a score",
    ),
    (
      lambda: baselines.regularized_evolution(
        0, evaluate, SPACE, GRID, 30, first=GRID[:3]
      ),
      "first has 3 genotypes; legal: 20",
    ),
  ],
)
def test_what_does_not_fit(call, message):
  with pytest.raises(ValueError, match=message):
    call()
