import numpy as np
import pytest
import scipy.stats

from fbnax.jobs.study import summary as study_summary
from fbnax.jobs.study.plan import CaseKey, StudyComparison, Term
from fbnax.jobs.study.result import CaseTraining

A, B, C = CaseKey("g", "a"), CaseKey("g", "b"), CaseKey("g", "c")
MINUS = StudyComparison("g", "a", "b", (Term(1.0, (A,)), Term(-1.0, (B,))))


def trainings(values, metric="test_log_loss"):
  """Trainings from a dict of `f64[R, S]` by key."""
  return [
    CaseTraining(
      group=key.group,
      name=key.name,
      run=f"runs/{r}",
      seed=s,
      **{
        "test_accuracy": 0.9,
        "test_log_loss": 0.5,
        metric: None if np.isnan(value) else float(value),
      },
    )
    for key, table in values.items()
    for (r, s), value in np.ndenumerate(table)
  ]


def test_the_interval_of_a_difference_is_that_of_the_paired_t_test():
  rng = np.random.default_rng(0)
  a, b = rng.normal(size=(2, 6, 3))
  found = study_summary.summarize(trainings({A: a, B: b}), [MINUS])
  loss = found.comparisons[0].test_log_loss
  want = scipy.stats.ttest_rel(a.mean(1), b.mean(1)).confidence_interval(0.95)
  assert (loss.low, loss.high) == pytest.approx((want.low, want.high))
  assert loss.by_run == pytest.approx((a - b).mean(1))
  assert found.comparisons[0].name == "a minus b"


def test_differences_are_of_the_same_run_and_seed():
  # Runs and seeds differ by far more than the two cases do.
  base = np.asarray([[1.0, 5.0], [20.0, 9.0], [3.0, 4.0]])
  entries = trainings({A: base - 0.1, B: base})
  rng = np.random.default_rng(0)
  shuffled = [entries[i] for i in rng.permutation(len(entries))]
  found = study_summary.summarize(shuffled, [MINUS])
  loss = found.comparisons[0].test_log_loss
  assert loss.mean == pytest.approx(-0.1)
  assert loss.high - loss.low < 1e-6


def test_what_diverged_is_left_out_and_counted():
  a = np.asarray([[1.0, np.nan], [3.0, 5.0]])
  entries = trainings({A: a, B: np.zeros((2, 2))})
  found = study_summary.summarize(entries, [MINUS])
  assert found.failed == 1
  assert found.means[0].trainings == 3
  loss = found.comparisons[0].test_log_loss
  assert loss.by_run == pytest.approx([1.0, 4.0])
  assert loss.mean == pytest.approx(2.5)
  # Its accuracy, which is that of a guess, is left out too.
  assert found.means[0].test_accuracy.units == 2


def test_a_mean_of_pairs_is_that_of_those_that_did_not_diverge():
  values = {
    A: np.asarray([[1.0]]),
    B: np.asarray([[np.nan]]),
    C: np.asarray([[4.0]]),
  }
  comparison = StudyComparison(
    "g", "", "", (Term(1.0, (A,)), Term(-1.0, (B, C)))
  )
  table = study_summary.tabulate(trainings(values), "test_log_loss")
  assert study_summary.difference(table, comparison) == pytest.approx(-3.0)


def test_a_case_that_one_run_lacks_is_compared_in_the_others():
  full = np.asarray([[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]])
  entries = trainings({A: full, B: full - 1.0})
  entries = [e for e in entries if not (e.name == "b" and e.run == "runs/1")]
  loss = study_summary.summarize(entries, [MINUS]).comparisons[0]
  assert loss.test_log_loss.units == 2
  assert loss.test_log_loss.mean == pytest.approx(1.0)


def test_how_many_are_beaten_and_what_they_come_to():
  values = {
    CaseKey("g", "member"): np.asarray([[1.0, 3.0], [2.0, 2.0]]),
    A: np.asarray([[3.0, 3.0], [1.0, 1.0]]),
    B: np.asarray([[0.0, 9.0], [8.0, 8.0]]),
    C: np.asarray([[1.0, 1.0], [np.nan, np.nan]]),
  }
  table = study_summary.tabulate(trainings(values), "test_log_loss")
  member = CaseKey("g", "member")
  found = study_summary.against(table, member, (A, B, C), sign=-1)
  # Run 0: 2.0 against 3.0, 4.5, 1.0; run 1: 2.0 against 1.0, 8.0.
  assert (found.beats, found.of) == (3, 5)
  assert found.mean == pytest.approx((8.5 / 3 + 4.5) / 2)
  assert found.median == pytest.approx((3.0 + 4.5) / 2)
  assert found.best == pytest.approx(1.0)
  assert found.worst == pytest.approx((4.5 + 8.0) / 2)
  up = study_summary.against(table, member, (A, B, C), sign=1)
  assert (up.beats, up.best) == (2, found.worst)


def test_accuracies_are_compared_the_other_way_round():
  values = {A: np.asarray([[0.9]]), B: np.asarray([[0.8]]), C: [[0.95]]}
  values[C] = np.asarray(values[C])
  comparison = StudyComparison(
    "g", "", "", (Term(1.0, (A,)), Term(-1.0, (B, C)))
  )
  entries = trainings(values, "test_accuracy")
  found = study_summary.summarize(entries, [comparison]).comparisons[0]
  assert found.test_accuracy.against.beats == 1
  assert found.test_accuracy.against.best == pytest.approx(0.95)
