"""Tables as evaluators, and what a search can learn from one."""

import io
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from fbnax import spaces
from fbnax.search import nars
from fbnax.search.benchmarks import tables
from fbnax.search.evaluators import Candidate
from fbnax.search.nars.planning import NarsSizes
from fbnax.search.trials import open_store
from fbnax.training.progress import open_progress

SHARED = Path(__file__).parents[3] / "shared" / "data"
NASBENCH = SHARED / "nasbench201_cifar10.npz"
ACCEL = SHARED / "accel_nasbench_imagenet.npz"


def _ask(evaluate, genotypes, epochs=1, ended=()):
  candidates = [Candidate(i, tuple(g), 0) for i, g in enumerate(genotypes)]
  found = evaluate(candidates, epochs, lambda _: None, ended)
  return {o.id: o for outcomes in found for o in outcomes}


def _small_table(path, rows=400, seed=0):
  """A table of some cells of NAS-Bench-201 with made-up accuracies."""
  space = spaces.get("nasbench201")
  random = np.random.default_rng(seed)
  chosen = random.choice(space.size, rows, replace=False)
  genotypes = np.stack(np.unravel_index(chosen, space.choices), axis=1)
  good = (genotypes == 2).sum(axis=1) + 0.5 * (genotypes == 3).sum(axis=1)
  validation = (good + random.normal(0, 0.2, rows) + 1) / 10
  test = random.uniform(size=rows)
  tables.save(path, space, genotypes, np.clip(validation, 0, 1), test)
  return genotypes.astype(np.int32), np.clip(validation, 0, 1), test


def test_looks_up_what_was_saved(tmp_path):
  path = tmp_path / "table.npz"
  genotypes, validation, test = _small_table(path)
  assert tables.space_of(path).name == "nasbench201"
  np.testing.assert_array_equal(tables.genotypes(path), genotypes)
  outcomes = _ask(tables.by_table(path), genotypes[:5].tolist(), ended={2})
  assert sorted(outcomes) == [0, 1, 3, 4]
  for i, outcome in outcomes.items():
    assert outcome.curve == (validation[i],) and outcome.error is None
  np.testing.assert_array_equal(
    tables.test_accuracy(path, genotypes[7:3:-1]), test[7:3:-1]
  )


def test_curves_are_cut_to_the_epochs_asked_for(tmp_path):
  path = tmp_path / "table.npz"
  space = spaces.get("nasbench201")
  genotypes = np.asarray([[0] * 6, [1] * 6])
  curves = np.asarray([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
  tables.save(path, space, genotypes, curves)
  found = _ask(tables.by_table(path), genotypes.tolist(), epochs=2)
  assert [found[i].curve for i in (0, 1)] == [(0.1, 0.2), (0.4, 0.5)]
  # Without test accuracies the last validation accuracy stands for them.
  assert tables.test_accuracy(path, genotypes).tolist() == [0.3, 0.6]


def test_a_genotype_without_a_row_fails(tmp_path):
  path = tmp_path / "table.npz"
  tables.save(path, spaces.get("nasbench201"), np.zeros((1, 6)), np.zeros(1))
  [outcome] = _ask(tables.by_table(path), [[4] * 6]).values()
  assert "no row" in outcome.error and np.isnan(outcome.curve).all()
  with pytest.raises(ValueError, match="no row"):
    tables.test_accuracy(path, np.full((1, 6), 4))


def test_bad_tables_are_refused(tmp_path):
  path = tmp_path / "table.npz"
  space = spaces.get("nasbench201")
  with pytest.raises(ValueError, match="no such table"):
    tables.by_table(path)
  path.write_bytes(b"no archive")
  with pytest.raises(ValueError, match=r"is no \.npz file"):
    tables.by_table(path)
  np.savez(path, space="nasbench201", genotypes=np.zeros((1, 6), int))
  with pytest.raises(ValueError, match=r"no 'validation'.*legal: space"):
    tables.by_table(path)
  for genotypes, validation, message in (
    (np.zeros((2, 5)), np.zeros(2), r"wants \[n, 6\]"),
    (np.full((1, 6), 5), np.zeros(1), "'edge0_1'; legal: 0 to 4"),
    (np.zeros((2, 6)), np.zeros(2), "repeats rows"),
    (np.zeros((1, 6)), np.zeros(2), r"validation has shape \(2,\)"),
    (np.zeros((1, 6)), np.asarray([93.2]), "legal: shares"),
  ):
    tables.save(path, space, genotypes, validation)
    with pytest.raises(ValueError, match=message):
      tables.by_table(path)


def _search(path, seed=0):
  options = NarsSizes(
    pool=1000,
    rounds=3,
    candidates=8,
    epochs=1,
    correlation=1.0,
    macs=(0.0, np.inf),
    predictors=2,
    seed=seed,
    bins=1,
    ranks=True,
  )
  with (
    open_store(":memory:") as store,
    open_progress(io.StringIO()) as progress,
  ):
    return nars.search(
      tables.space_of(path),
      10,
      tables.by_table(path),
      store,
      options,
      progress,
      lambda name: nullcontext(),
      pool=tables.genotypes(path),
      check=False,
    )


def test_a_search_learns_what_it_queried_and_nothing_else(tmp_path):
  """Other test accuracies and other rows: the same search to the last bit."""
  path, other = tmp_path / "table.npz", tmp_path / "other.npz"
  genotypes, validation, test = _small_table(path)
  found = _search(path)
  queried = [t.genotype for t in found.trials]
  assert len(set(queried)) == 24
  seen = np.asarray([tuple(g) in set(queried) for g in genotypes.tolist()])
  tables.save(
    other,
    spaces.get("nasbench201"),
    genotypes,
    np.where(seen, validation, 1.0 - validation),
    1.0 - test,
  )
  assert [t.genotype for t in _search(other).trials] == queried
  # The rows that were queried do matter: the test can fail.
  tables.save(other, spaces.get("nasbench201"), genotypes, 1.0 - validation)
  assert [t.genotype for t in _search(other).trials] != queried
  # And the search is one: what it chose is better than the first, random ones.
  accuracies = np.asarray([t.accuracy for t in found.trials])
  assert accuracies[8:].mean() > accuracies[:8].mean() + 0.1


def test_test_accuracies_are_not_even_opened(tmp_path, monkeypatch):
  path = tmp_path / "table.npz"
  _small_table(path)
  opened = []
  read = tables._column
  monkeypatch.setattr(
    tables, "_column", lambda p, name: (opened.append(name), read(p, name))[1]
  )
  _search(path)
  assert set(opened) == {"space", "genotypes", "validation"}


@pytest.mark.skipif(not NASBENCH.exists(), reason="no nasbench201_cifar10.npz")
def test_published_nasbench201():
  genotypes = tables.genotypes(NASBENCH)
  assert genotypes.shape == (15_625, 6)
  with np.load(NASBENCH) as file:
    row = int(file["cifar10_val_acc12"].argmax())
    wanted = file["cifar10_val_acc12"][row] / 100
  [outcome] = _ask(tables.by_table(NASBENCH), [genotypes[row]]).values()
  assert outcome.curve == (wanted,)
  found = tables.test_accuracy(NASBENCH, genotypes[row : row + 1])
  assert found[0] == pytest.approx(0.943733, abs=1e-6)


@pytest.mark.skipif(not ACCEL.exists(), reason="no accel_nasbench_imagenet.npz")
def test_published_accel_nasbench():
  genotypes = tables.genotypes(ACCEL)
  assert genotypes.shape == (5125, 28)
  space = tables.space_of(ACCEL)
  with np.load(ACCEL) as file:
    rows, top1 = file["arch"], file["val_top1"]
  values = [d.values for d in space.decisions]
  for i in (0, 77, 5124):
    row = [int(v[c]) for v, c in zip(values, genotypes[i], strict=True)]
    wanted = top1[(rows == row).all(axis=1)].mean() / 100
    found = tables.test_accuracy(ACCEL, genotypes[i : i + 1])
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(
  ("name", "array", "words"),
  [
    ("space", np.ones(1), r"space is float64\[1\]; legal: strings"),
    ("space", np.asarray(["small", "fbnet"]), "space has 2 names; legal: one"),
    ("space", np.asarray("smal"), "no space 'smal'"),
    ("genotypes", np.asarray([["x"] * 6]), "genotypes is <U1.*legal: whole"),
    ("genotypes", np.full((1, 6), 0.5), "genotypes is float64.*legal: whole"),
    ("genotypes", np.full((1, 6), 2**32), "genotypes.0. has 4294967296 for"),
    ("validation", np.asarray(["x"]), "validation is <U1.*legal: numbers"),
    ("validation", np.ones(1, complex), "validation is complex128"),
  ],
)
def test_arrays_of_another_kind_are_named(name, array, words, tmp_path):
  path = tmp_path / "table.npz"
  arrays = {
    "space": np.asarray("nasbench201"),
    "genotypes": np.zeros((1, 6), int),
    "validation": np.zeros(1),
  }
  np.savez(path, **arrays | {name: array})
  with pytest.raises(ValueError, match=words) as told:
    tables.by_table(path)
  assert str(path) in str(told.value)


@pytest.mark.parametrize(
  ("arrays", "words"),
  [
    ({"cifar10_val_acc12": np.ones(3)}, "lacks the array 'naslib_op'"),
    ({"arch_keys": np.ones(3)}, "lacks the array 'arch'"),
    (
      {"arch_keys": np.ones(3), "arch": np.ones(3), "val_top1": np.ones(3)},
      "table.npz: too many indices",
    ),
  ],
)
def test_published_files_that_are_damaged(arrays, words, tmp_path):
  np.savez(tmp_path / "table.npz", **arrays)
  with pytest.raises(ValueError, match=words):
    tables.by_table(tmp_path / "table.npz")
