"""The derived network beside random ones of the same cost, trained alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fbnax.data import Dataset
from fbnax.jobs.dnas.search import Task
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.training import train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.search.dnas import derivation
from fbnax.search.dnas import verdicts as words
from fbnax.search.prices import Price
from fbnax.spaces import Recipe, SearchSpace
from fbnax.training import agreeing, loop
from fbnax.training.progress import Progress

# How many random networks say what is usual at a cost; few are trained.
_REFERENCE = 256
DERIVED, RANDOM = "derived", "random"


class Options(NamedTuple):
  """How many random networks are trained, and how often each network."""

  networks: int
  seeds: int


def options(config: Any) -> Options:
  """Reads `config.compare`.

  Raises:
    ValueError: a number is not legal.
  """
  given = config.compare
  for name, least, most in (("networks", 0, _REFERENCE), ("seeds", 1, 1000)):
    if not least <= given[name] <= most:
      raise ValueError(
        f"config.compare.{name} is {given[name]!r}; legal: {least} to {most}"
      )
  return Options(given.networks, given.seeds)


def random_networks(
  config: Any, price: Price, genotype: list[int], cost: float
) -> np.ndarray:
  """Random networks that cost what the derived one does, `i32[n, D]`."""
  zeros = [np.zeros(k) for k in price.space.choices]
  wanted = derivation.band(cost, config.search.tolerance)

  def draw() -> agreeing.Shared:
    # Another seed than the derivation's, whose draws they shall not repeat.
    seed = config.seed + 1
    return {}, {
      "drawn": derivation.draw(
        seed, price, zeros, wanted, _REFERENCE, [genotype]
      )
    }

  # Of several processes another may round costs otherwise.
  return agreeing.by_first(draw)[1]["drawn"]


def train(
  config: Any,
  given: Options,
  task: Task,
  work: WorkDir,
  dataset: Dataset,
  recipe: Recipe,
  derived: dict[str, Any],
  random: np.ndarray,
  progress: Progress,
) -> list[dict[str, Any]]:
  """Trains all networks from scratch on all that is not the test set."""
  everything = loop.place(dataset.train)
  chosen = [(DERIVED, np.asarray(derived["genotype"]))]
  chosen += [
    (f"{RANDOM}-{i}", g) for i, g in enumerate(random[: given.networks], 1)
  ]
  entries = []
  for name, genotype in chosen:
    architecture = task.price.space.architecture(genotype)
    for repeat in range(given.seeds):
      full = name if given.seeds == 1 else f"{name}-seed{repeat}"
      with work.phase(f"train {full}"):
        entry, _ = train_network(
          work.path,
          full,
          architecture,
          recipe,
          inputs.settings(config, dataset, architecture.resolution),
          dataset,
          everything,
          None,
          teacher=None,
          seed=config.seed + repeat,
          checkpoint_every=config.training.checkpoint_every,
          progress=progress,
        )
      entries.append(
        entry
        | {
          "network": name,
          "genotype": genotype.tolist(),
          "cost": task.price.exact(genotype),
        }
      )
  return entries


def compare(entries: list[dict[str, Any]]) -> dict[str, Any]:
  """Test accuracies of the derived network and of the random ones.

  Each network's is the mean over its seeds; what is missing is None.
  """
  by_network: dict[str, list[float]] = {}
  for entry in entries:
    by_network.setdefault(entry["network"], []).append(entry["test_accuracy"])
  means = {name: float(np.mean(v)) for name, v in by_network.items()}
  random = [v for name, v in means.items() if name != DERIVED]
  return {
    "derived": means[DERIVED],
    "derived_seeds": by_network[DERIVED],
    "random": random,
    "random_mean": float(np.mean(random)) if random else None,
    "random_best": max(random, default=None),
  }


def verdicts(
  config: Any, task: Task, found: dict[str, Any], random: np.ndarray
) -> list[str]:
  """What went well or wrong, in sentences."""
  price, derived = task.price, found["candidates"][0]
  given = config.search
  said = [
    words.target_words(price, derived["cost"], given.target, given.tolerance),
    words.skip_words(price.space, derived["genotype"], random),
    words.entropy_words(found["rows"][-1]["entropies"], price.space.choices),
  ]
  return [text for text in said if text]


def skips(
  space: SearchSpace, genotype: list[int], random: np.ndarray
) -> dict[str, Any] | None:
  """Skipped layers of the derived network and of random ones of its cost."""
  layers = len(words.searched_skips(space))
  if not layers:
    return None
  return {
    "layers": layers,
    "derived": int(words.count_skips(space, np.asarray(genotype)[None])[0]),
    "random": words.count_skips(space, random).tolist(),
  }
