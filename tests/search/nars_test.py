"""What candidates are ranked by, and how many there are in a round."""

import dataclasses
import io
from contextlib import nullcontext

import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.evaluators import Outcome
from fbnax.search.nars import rounds as nars
from fbnax.search.nars.free_labels import Scored
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import Trial, open_store
from fbnax.training.progress import open_progress

SPACE = spaces.get("nasbench201")
OPTIONS = NarsSizes(
  pool=20_000,
  rounds=3,
  candidates=4,
  epochs=3,
  correlation=0.9,
  macs=(0.0, np.inf),
  predictors=2,
  seed=0,
  bins=1,
  first=10,
  signal="likelihood",
)


def _evaluate(candidates, epochs, progress, ended=()):
  """Accuracies say nothing here; losses fall with the third operation."""
  for c in candidates:
    share = sum(choice == 2 for choice in c.genotype) / 6
    losses = [2.0 - share - 0.1 * epoch for epoch in range(epochs)]
    yield [Outcome(c.id, (0.9,) * epochs, losses[-1], 0.0, None, tuple(losses))]


def _search(options, evaluate=_evaluate, **more):
  with (
    open_store(":memory:") as store,
    open_progress(io.StringIO()) as progress,
  ):
    return nars.search(
      SPACE,
      10,
      evaluate,
      store,
      options,
      progress,
      lambda _: nullcontext(),
      **more,
    )


def test_likelihoods_rank_where_accuracies_are_equal():
  found = _search(OPTIONS)
  assert [t.round for t in found.trials] == [1] * 10 + [2] * 4 + [3] * 4
  assert [t.id for t in found.trials] == list(range(18))
  stop = found.report["early_stop"]["epoch"]
  assert stop == 1  # The ranking is the final one from the first epoch on.
  shares = [sum(i == 2 for i in t.genotype) / 6 for t in found.trials]
  wanted = np.exp(-2.0 + np.asarray(shares))
  np.testing.assert_allclose(found.labels, wanted)
  assert np.mean(shares[10:]) > np.mean(shares[:10]) + 0.2
  assert [e["label"] for e in found.entries()] == found.labels.tolist()
  assert found.report["signal"] == "likelihood"
  assert found.report["predictor"]["rounds"][-1]["labels"] == 18


def test_accuracies_are_what_the_paper_ranks_by():
  options = dataclasses.replace(OPTIONS, signal="accuracy", rounds=1)
  np.testing.assert_array_equal(_search(options).labels, [0.9] * 10)


def test_an_evaluator_without_losses_gives_no_likelihoods():
  evaluated = []

  def without(candidates, epochs, progress, ended=()):
    for c in candidates:
      evaluated.append(c.id)
      yield [Outcome(c.id, (0.9,) * epochs, 0.1, 0.0, None)]

  with pytest.raises(ValueError, match=r"trial 0 no losses; legal: accuracy"):
    _search(OPTIONS, without)
  assert evaluated == [0]  # The rest of the round is not trained for nothing.


def test_failed_trials_have_no_signal():
  trials = [
    Trial(0, 1, (0,), curve=(0.5, 0.6), losses=(1.0, 0.5)),
    Trial(1, 1, (1,), status="failed", error="diverged"),
  ]
  found = nars.labels_at(trials, 2, "likelihood")
  np.testing.assert_allclose(found, [np.exp(-0.5), np.nan])
  np.testing.assert_array_equal(nars.labels_at(trials, 2), [0.6, np.nan])


@pytest.mark.parametrize(
  ("change", "message"),
  (
    ({"signal": "loss"}, "search.signal is 'loss'; legal: accuracy, likeli"),
    ({"bins": 5}, "search.bins is 5; legal: 0 to 4"),
    ({"first": -1}, "search.first is -1"),
    ({"exploration": -0.5}, r"exploration -0\.5; legal: at least 0"),
  ),
)
def test_options_that_no_search_has(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(OPTIONS, **change)


def test_scores_of_untrained_networks_pretrain_the_predictor():
  options = dataclasses.replace(OPTIONS, signal="accuracy", rounds=1)
  genotypes = np.asarray(SPACE.sobol(400))
  # How often the third operation is chosen, as synflow would spread it.
  score = 10.0 ** (9 * (genotypes == 2).sum(axis=1))
  scored = Scored(genotypes, {"synflow": score})
  found = _search(options, scored=scored, check=False)
  learned = found.report["predictor"]["pretraining"]
  assert list(learned) == ["macs", "params", "synflow"]
  assert [p["normal_scores"] for p in learned.values()] == [False, False, True]
  assert learned["synflow"]["spearman"] > 0.9
  assert learned["synflow"]["rmse"] < 0.4
  assert "rmse_log" not in learned["synflow"]
  assert learned["macs"]["spearman"] > 0.9
  # Candidates are those of the pool, as without scores.
  trials = _search(options, check=False).trials
  assert [t.genotype for t in found.trials] == [t.genotype for t in trials]


@pytest.mark.parametrize("curve", [(0.5, np.nan), (np.inf,), ()])
def test_an_accuracy_that_is_no_number_is_a_failure(curve):
  """Whatever evaluator it is of; its trial teaches the predictor nothing."""
  planned = {"genotype": [0] * len(SPACE.decisions), "predicted": None}
  outcome = Outcome(3, curve, 0.5, 0.0, None)
  trial = nars._trial(SPACE, 10, 1, planned, outcome, OPTIONS)
  assert (trial.status, trial.accuracy) == ("failed", None)
  assert "not finite" in trial.error
  assert np.isnan(nars.labels_at([trial], 1)).all()
