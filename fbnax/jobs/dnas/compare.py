"""The derived network beside random ones of the same cost, trained alike."""

from __future__ import annotations

import numpy as np

from fbnax.jobs.dnas.config import REFERENCE, DnasConfig
from fbnax.jobs.dnas.result import AgainstRandom, Skips, Trained
from fbnax.jobs.dnas.search import DnasEnd, DnasTask
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.training import train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.search.dnas import derivation
from fbnax.search.dnas import verdicts as words
from fbnax.search.dnas.derivation import DerivedNetwork
from fbnax.search.prices import Price
from fbnax.spaces import SearchSpace
from fbnax.training import agreeing, loop
from fbnax.training.progress import Progress

DERIVED, RANDOM = "derived", "random"


def random_networks(
  config: DnasConfig, price: Price, derived: DerivedNetwork
) -> np.ndarray:
  """Random networks that cost what the derived one does, `i32[n, D]`."""
  zeros = [np.zeros(k) for k in price.space.choices]
  band = derivation.band(derived.cost, config.search.tolerance)

  def draw() -> agreeing.Shared:
    # Another seed than the derivation's, whose draws they shall not repeat.
    seed = config.seed + 1
    return {}, {
      "drawn": derivation.draw(
        seed, price, zeros, band, REFERENCE, [derived.genotype]
      )
    }

  # Of several processes another may round costs otherwise.
  return agreeing.by_first(draw)[1]["drawn"]


def train(
  config: DnasConfig,
  task: DnasTask,
  derived: DerivedNetwork,
  random: np.ndarray,
  work: WorkDir,
  progress: Progress,
) -> tuple[Trained, ...]:
  """Trains all networks from scratch on all that is not the test set."""
  images = loop.place(task.dataset.train)
  chosen = [(DERIVED, np.asarray(derived.genotype))]
  chosen += [
    (f"{RANDOM}-{i}", genotype)
    for i, genotype in enumerate(random[: config.compare.networks], 1)
  ]
  members = []
  for name, genotype in chosen:
    architecture = task.price.space.architecture(genotype)
    for repeat in range(config.compare.seeds):
      full = name if config.compare.seeds == 1 else f"{name}-seed{repeat}"
      with work.phase(f"train {full}"):
        member, _ = train_network(
          work.path,
          full,
          architecture,
          task.recipe,
          inputs.settings(config, task.dataset, architecture.resolution),
          task.dataset,
          images,
          None,
          teacher=None,
          seed=config.seed + repeat,
          checkpoint_every=config.training.checkpoint_every,
          progress=progress,
        )
      members.append(
        Trained(
          **vars(member),
          network=name,
          genotype=tuple(genotype.tolist()),
          cost=task.price.exact(genotype),
        )
      )
  return tuple(members)


def compare(members: tuple[Trained, ...]) -> AgainstRandom:
  """Test accuracies of the derived network and of the random ones.

  Each network's is the mean over its seeds; what is missing is None.
  """
  by_network: dict[str, list[float]] = {}
  for member in members:
    accuracy = member.test_accuracy
    assert accuracy is not None  # All were measured.
    by_network.setdefault(member.network, []).append(accuracy)
  means = {name: float(np.mean(v)) for name, v in by_network.items()}
  random = [v for name, v in means.items() if name != DERIVED]
  return AgainstRandom(
    derived=means[DERIVED],
    derived_seeds=tuple(by_network[DERIVED]),
    random=tuple(random),
    random_mean=float(np.mean(random)) if random else None,
    random_best=max(random, default=None),
  )


def verdicts(
  config: DnasConfig, price: Price, end: DnasEnd, random: np.ndarray
) -> tuple[str, ...]:
  """What went well or wrong, in sentences."""
  derived, search = end.candidates[0], config.search
  texts = (
    words.target_words(price, derived.cost, search.target, search.tolerance),
    words.skip_words(price.space, derived.genotype, random),
    words.entropy_words(end.rows[-1].entropies, price.space.choices),
  )
  return tuple(text for text in texts if text)


def skips(
  space: SearchSpace, derived: DerivedNetwork, random: np.ndarray
) -> Skips | None:
  """Skipped layers of the derived network and of random ones of its cost."""
  layers = len(words.searched_skips(space))
  if not layers:
    return None
  genotypes = np.asarray(derived.genotype)[None]
  return Skips(
    layers=layers,
    derived=int(words.count_skips(space, genotypes)[0]),
    random=tuple(words.count_skips(space, random).tolist()),
  )
