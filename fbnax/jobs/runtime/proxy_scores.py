"""Scores of a finished run of the job `zero_cost`, for a search's predictor.

Whoever pretrains on them names the run's work directory. What was read is kept
with the reader's own results, so that a run that is started again learns from
the same scores, even if more have been made since.

Symbols: `m` scored networks, `D` decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fbnax.jobs.runtime import inputs, parts, run_results
from fbnax.jobs.runtime.workdir import PROXIES, WorkDir
from fbnax.search.nars.free_labels import LEAST, Scored
from fbnax.search.nars.pretraining import COSTS
from fbnax.spaces import SearchSpace


class ScoresKeys(Protocol):
  """Keys that name scores to pretrain on."""

  @property
  def proxies(self) -> str:
    """A directory of a run; empty for none."""

  @property
  def proxy_names(self) -> tuple[str, ...]:
    """Which of its scores."""


def scored(
  keys: ScoresKeys, key: str, space: SearchSpace, named: str, work: WorkDir
) -> Scored | None:
  """What a config asks for, read once and kept in the work directory.

  Args:
    keys: the part of the config with `proxies` and `proxy_names`.
    key: of that part, as errors call it: `config.search`.
    space: the space that is searched, or that of a table.
    named: `config.space`, where there is one; only code that it names is run.
    work: the work directory of the run that asks.

  Returns:
    None where no directory is named.

  Raises:
    ValueError: as `read`.
  """
  if not keys.proxies:
    return None
  kept: dict[str, Any] = work.kept(
    PROXIES,
    lambda: read(keys.proxies, keys.proxy_names, space, named, key)._asdict(),
  )
  return Scored(
    np.asarray(kept["genotypes"], np.int32),
    {name: _column(values) for name, values in kept["scores"].items()},
  )


def read(
  path: str | Path,
  names: Sequence[str],
  space: SearchSpace,
  named: str = "",
  key: str = "config",
) -> Scored:
  """Genotypes and scores of a finished run, as genotypes of another space.

  The run may have scored a part of the space, or more than is searched: what
  lies outside is left out.

  Args:
    path: the run's work directory.
    names: of the scores that are wanted.
    space: whose genotypes are wanted; its recipe's decisions are 0, since a
      score is of an architecture.
    named: a part of the user's own that may be run to know the run's space.
    key: what errors call the config's part.

  Returns:
    At least 10 networks; -inf for what ranks last.

  Raises:
    ValueError: it is no finished run of the job, of another space, or has no
      such score, or too few networks of the space; the space has no decision
      about the architecture.
  """
  where = f"{key}.proxies={str(path)!r}"
  if not space.num_architecture_features:
    raise ValueError(
      f"{where}, but recipes alone are searched, of which scores of networks "
      "say nothing; legal: none"
    )
  finished = run_results.read(path, "zero_cost")
  of = _space(finished, named, path, where)
  if of.name != space.name:
    raise ValueError(
      f"{where} scored networks of space {of.name!r}; legal: a run of "
      f"{space.name!r}"
    )
  run_results.check_genotypes(finished, "networks", of, path)
  networks = finished["networks"]
  legal = [n for n in networks[0]["scores"] if n not in COSTS]
  names = tuple(names)
  if not names or len(set(names)) < len(names) or not {*names} <= {*legal}:
    raise ValueError(
      f"{key}.proxy_names is {names!r}; legal: some of {', '.join(legal)}, "
      f"each once, which {path} has scored"
    )
  given = np.asarray([n["genotype"] for n in networks], np.int32)
  genotypes = _translated(given, of, space, where)
  inside = np.all(genotypes >= 0, axis=1)
  if inside.sum() < LEAST:
    raise ValueError(
      f"{where} scored {len(networks)} networks, {inside.sum()} of them in the "
      f"space that is searched; legal: at least {LEAST}. "
      + _outside(genotypes, space)
    )
  scores = {n: _column([row["scores"][n] for row in networks]) for n in names}
  return Scored(
    genotypes[inside], {n: column[inside] for n, column in scores.items()}
  )


def _space(
  finished: dict[str, Any], named: str, path: str | Path, where: str
) -> SearchSpace:
  """The space of the run's genotypes."""
  config = inputs.NamedSpace.of_run(finished["config"], path)
  if parts.is_part(config.space) and config.space != named:
    raise ValueError(
      f"{where} has config.space={config.space!r}: code of its user's, which "
      "is not run because a directory says so; legal: the same config.space "
      "here, or a run of a space of fbnax.spaces"
    )
  # Of how many channels the images are changes no decision.
  return inputs.space_of_networks(config, channels=3)


def _translated(
  genotypes: np.ndarray, of: SearchSpace, to: SearchSpace, where: str
) -> np.ndarray:
  """Genotypes of one part of a space as those of another, `i32[m, D]`.

  A value that the other part does not have is -1.
  """
  places = {d.name: i for i, d in enumerate(of.decisions)}
  columns = []
  for decision in to.decisions:
    if to.is_recipe(decision):
      columns.append(np.zeros(len(genotypes), np.int32))
      continue
    if decision.name not in places:
      raise ValueError(
        f"{where} scored networks without decision {decision.name!r}; legal: a "
        f"run of the same space, whose decisions are {[*places]}"
      )
    place = places[decision.name]
    index = {value: i for i, value in enumerate(decision.values)}
    values = of.decisions[place].values
    table = np.asarray([index.get(v, -1) for v in values], np.int32)
    columns.append(table[genotypes[:, place]])
  return np.stack(columns, axis=1)


def _outside(genotypes: np.ndarray, space: SearchSpace) -> str:
  """The decision that leaves the most networks out."""
  worst = int((genotypes < 0).sum(axis=0).argmax())
  decision = space.decisions[worst]
  return f"The searched values of {decision.name!r} are {decision.values}"


def _column(values: Any) -> np.ndarray:
  """`f64[m]`; JSON has null for what ranks last."""
  return np.asarray([-math.inf if v is None else v for v in values], np.float64)
