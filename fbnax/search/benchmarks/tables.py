"""Tabular benchmarks as evaluators: accuracies are looked up, not trained.

A table is one .npz without objects:

* `space`: name of the search space, a string;
* `genotypes`: `i32[n, D]`, value indices, each genotype once;
* `validation`: accuracy after each epoch, `[n, E]` or `[n]`, shares 0 to 1;
* `test`: accuracy on the test images, `[n]`, shares; may be absent;
* `scores`: zero-cost scores, `[n, k]`, NaN where not known, and `score_names`,
  `k` strings; may be absent.

Two published files are read as they are (`PUBLISHED`). A search is handed the
evaluator alone, which opens the first three: it learns the validation accuracy
of what it asks for. The test accuracy is read by `test_accuracy`, which the
job calls once a search has ended.

Symbols: `n` rows, `D` decisions, `E` epochs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fbnax import spaces
from fbnax.base.arrays import of_kind, open_npz, reading
from fbnax.base.files import writing
from fbnax.search.evaluators import Candidate, Evaluator, Outcome
from fbnax.spaces import SearchSpace

Columns = Mapping[str, Any]
_OPTIONAL = ("test", "scores", "score_names")


def _nasbench201(name: str, file: Columns) -> Any:
  """NAS-Bench-201, CIFAR-10; the search sees accuracies after 12 epochs."""
  if name == "space":
    return "nasbench201"
  if name == "genotypes":
    return file["naslib_op"]
  if name == "validation":
    return file["cifar10_val_acc12"] / 100
  if name == "scores":
    return file["cifar10_proxies_suite_zero"]
  if name == "score_names":
    return file["proxy_names"]
  return file["cifar10_test_acc200"] / 100


def _accel_nasbench(name: str, file: Columns) -> Any:
  """Accel-NASBench, ImageNet: one accuracy; repeated rows are averaged."""
  if name == "space":
    return "mnasnet"
  if name in _OPTIONAL:
    return None
  rows, inverse, counts = np.unique(
    file["arch"], axis=0, return_inverse=True, return_counts=True
  )
  if name == "validation":
    sums = np.bincount(inverse.ravel(), weights=file["val_top1"])
    return sums / counts / 100
  decisions = spaces.get("mnasnet").decisions
  return np.stack(
    [
      np.searchsorted(np.asarray(d.values, np.int64), rows[:, i])
      for i, d in enumerate(decisions)
    ],
    axis=1,
  )


# Published files, told by a key that only they have.
PUBLISHED: dict[str, Callable[[str, Columns], Any]] = {
  "cifar10_val_acc12": _nasbench201,
  "arch_keys": _accel_nasbench,
}


def space_of(path: str | os.PathLike[str]) -> SearchSpace:
  """The space of a table's genotypes."""
  where = f"{path}: space"
  name = of_kind(_column(path, "space"), "strings", where)
  if name.size != 1:
    raise ValueError(f"{where} has {name.size} names; legal: one")
  with reading(path):
    return spaces.get(str(name.item()))


def genotypes(path: str | os.PathLike[str]) -> np.ndarray:
  """The genotypes a table has rows for, `i32[n, D]`.

  Raises:
    ValueError: they are none of the space's, or repeat.
  """
  space = space_of(path)
  rows = of_kind(
    _column(path, "genotypes"), "whole numbers", f"{path}: genotypes"
  )
  choices = np.asarray(space.choices)
  if rows.ndim != 2 or rows.shape[1] != len(choices):
    raise ValueError(
      f"{path}: genotypes has shape {rows.shape}; space {space.name!r} "
      f"wants [n, {len(choices)}]"
    )
  wrong = np.argwhere((rows < 0) | (rows >= choices))
  if len(wrong):
    row, column = wrong[0]
    raise ValueError(
      f"{path}: genotypes[{row}] has {rows[row, column]} for "
      f"{space.decisions[column].name!r}; legal: 0 to {choices[column] - 1}"
    )
  if len(np.unique(rows, axis=0)) != len(rows):
    raise ValueError(f"{path}: genotypes repeats rows; legal: each once")
  return rows.astype(np.int32)


def by_table(path: str | os.PathLike[str]) -> Evaluator:
  """An evaluator that looks validation accuracies up.

  Its curves have as many epochs as are asked for, at most the table's. A
  genotype without a row fails. Test accuracies are not opened.

  Raises:
    ValueError: the file is no table; what is wrong with it.
  """
  rows = {tuple(g): i for i, g in enumerate(genotypes(path).tolist())}
  validation = _accuracies(path, "validation", len(rows))
  if validation.ndim == 1:
    validation = validation[:, None]

  def evaluate(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    for candidate in candidates:
      if candidate.id in ended:
        continue
      row = rows.get(tuple(int(i) for i in candidate.genotype))
      curve = np.full(1, np.nan) if row is None else validation[row, :epochs]
      progress(epochs)
      yield [
        Outcome(
          id=candidate.id,
          curve=tuple(curve.tolist()),
          log_loss=float("nan"),
          seconds=0.0,
          error=f"{path} has no row for it" if row is None else None,
        )
      ]

  return evaluate


def noisy(evaluate: Evaluator, deviation: float, seed: int) -> Evaluator:
  """An evaluator whose accuracies have normal noise, the same at each look-up.

  Args:
    evaluate: gives the accuracies, shares.
    deviation: of the noise, a share; an accuracy stays between 0 and 1.
    seed: of the noise.
  """

  def look_up(
    candidates: Sequence[Candidate],
    epochs: int,
    progress: Callable[[float], None],
    ended: Collection[int] = (),
  ) -> Iterator[list[Outcome]]:
    genotypes = {candidate.id: candidate.genotype for candidate in candidates}
    for outcomes in evaluate(candidates, epochs, progress, ended):
      changed = []
      for outcome in outcomes:
        random = np.random.default_rng([seed, *genotypes[outcome.id]])
        errors = deviation * random.standard_normal(len(outcome.curve))
        curve = np.clip(np.asarray(outcome.curve) + errors, 0.0, 1.0)
        changed.append(outcome._replace(curve=tuple(curve.tolist())))
      yield changed

  return look_up


def test_accuracy(
  path: str | os.PathLike[str], queried: np.ndarray
) -> np.ndarray:
  """Test accuracy of genotypes `i32[m, D]`, shares, `f64[m]`.

  Where the table has no test accuracies it is the last validation accuracy.

  Raises:
    ValueError: a genotype has no row.
  """
  rows = {tuple(g): i for i, g in enumerate(genotypes(path).tolist())}
  name = "validation" if _column(path, "test") is None else "test"
  accuracies = _accuracies(path, name, len(rows))
  looked_up = []
  for genotype in np.asarray(queried).tolist():
    if tuple(genotype) not in rows:
      raise ValueError(f"{path} has no row for {genotype}")
    looked_up.append(accuracies[rows[tuple(genotype)]])
  return np.asarray(looked_up, np.float64).reshape(len(looked_up), -1)[:, -1]


def scores(path: str | os.PathLike[str], name: str) -> np.ndarray:
  """A zero-cost score of each row, `f64[n]`, NaN where it is not known.

  Raises:
    ValueError: the table has no such score; those that it has are named.
  """
  names = _column(path, "score_names")
  legal: list[str] = []
  if names is not None:
    names = of_kind(names, "strings", f"{path}: score_names")
    legal = [str(n) for n in names.reshape(-1)]
  if name not in legal:
    raise ValueError(
      f"{path} has no score {name!r}; legal: {', '.join(legal) or 'none'}"
    )
  columns = of_kind(_column(path, "scores"), "numbers", f"{path}: scores")
  columns = columns.astype(np.float64)
  rows = len(genotypes(path))
  if columns.shape != (rows, len(legal)):
    raise ValueError(
      f"{path}: scores has shape {columns.shape}; wanted [{rows}, {len(legal)}]"
    )
  return columns[:, legal.index(name)]


def save(
  path: str | os.PathLike[str],
  space: SearchSpace,
  genotypes: np.ndarray,
  validation: np.ndarray,
  test: np.ndarray | None = None,
  scores: Mapping[str, np.ndarray] | None = None,
) -> None:
  """Writes a table; arguments as in the format above, scores by name."""
  arrays: dict[str, Any] = {
    "space": np.asarray(space.name),
    "genotypes": np.asarray(genotypes, np.int32),
    "validation": np.asarray(validation, np.float64),
  }
  if test is not None:
    arrays["test"] = np.asarray(test, np.float64)
  if scores:
    arrays["scores"] = np.stack(list(scores.values()), 1).astype(np.float64)
    arrays["score_names"] = np.asarray(list(scores))
  with writing(path) as file:
    np.savez_compressed(file, **arrays)


def _column(path: str | os.PathLike[str], name: str) -> Any:
  """One column of a file; only what is asked for is decompressed."""
  try:
    with open_npz(path) as file:
      for key, read in PUBLISHED.items():
        if key in file:
          with reading(path):
            return read(name, file)
      if name in file:
        return file[name]
      names = sorted(file)
  except FileNotFoundError:
    raise ValueError(f"{path}: no such table") from None
  except (OSError, ValueError) as error:
    raise ValueError(f"{path} is no table (.npz): {error}") from error
  if name in _OPTIONAL:
    return None
  raise ValueError(
    f"{path} has no {name!r} but {names}; legal: space, genotypes, validation, "
    "test"
  )


def _accuracies(
  path: str | os.PathLike[str], name: str, rows: int
) -> np.ndarray:
  accuracies = of_kind(_column(path, name), "numbers", f"{path}: {name}")
  accuracies = accuracies.astype(np.float64)
  if accuracies.ndim not in (1, 2) or len(accuracies) != rows:
    raise ValueError(
      f"{path}: {name} has shape {accuracies.shape}; wanted [{rows}] or "
      f"[{rows}, epochs]"
    )
  shares = accuracies[~np.isnan(accuracies)]
  if shares.size and not (shares.min() >= 0 and shares.max() <= 1):
    raise ValueError(
      f"{path}: {name} ranges from {shares.min():g} to {shares.max():g}; "
      "legal: shares, from 0 to 1"
    )
  return accuracies
