"""The members of a family: chosen by evolution or by scaling, then trained.

Evolution finds one under each budget (stage 3 of Algorithm 1 of Wan 2022).
Beyond the range of the search, the smallest and the largest of them are scaled
(its section 4.4: FBNetV3 A, F and G), with their recipes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fbnax import costs, spaces
from fbnax.data import AnySplit, Dataset, hold_out
from fbnax.jobs.nars import supernet
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.result import FamilyMember
from fbnax.jobs.nars.supernet import Inheritance
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.families import best_first, member_names
from fbnax.jobs.runtime.judging import MISTAKES
from fbnax.jobs.runtime.training import Supervised, Teacher, train_network
from fbnax.jobs.runtime.trees import settings as tree_settings
from fbnax.jobs.runtime.trees import training as tree_training
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.report.schema import MemberRow, TrialRow
from fbnax.search import evolution
from fbnax.search.budgets import Budget, stacked
from fbnax.search.nars import predictor
from fbnax.search.nars.predictor import FittedPredictor
from fbnax.search.trials import TrialStore
from fbnax.spaces import Architecture, Recipe, SearchSpace
from fbnax.training import loop
from fbnax.training.progress import Progress
from fbnax.training.recipes import Settings

# Behind the name of the largest member where it is trained to teach alone.
ON_LABELS = "-labels"


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A member before it is trained.

  Attributes:
    name: of the member.
    budget: that it keeps to.
    architecture: what to build.
    recipe: how to train it.
    genotype: `i32[D]`; None for a scaled one, which is no point of the space.
    predicted: accuracy that the predictor gives it; None for a scaled one.
    scaled_from: name of the member it was scaled from, None if evolved.
  """

  name: str
  budget: Budget
  architecture: Architecture
  recipe: Recipe
  genotype: np.ndarray | None = None
  predicted: float | None = None
  scaled_from: str | None = None


def evolve(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  model: FittedPredictor,
  trials: Sequence[TrialRow],
  store: TrialStore,
) -> list[Chosen]:
  """The best predicted architecture and recipe under each budget.

  They are settled once: what is trained is known by the name of its budget,
  and a search that goes on elsewhere, where numbers round otherwise, might
  choose another network of that name.
  """
  picks = store.settled(
    "members",
    functools.partial(_best, config, space, classes, budgets, model, trials),
  )
  names = member_names(space, budgets)
  chosen = []
  for name, budget, pick in zip(names, budgets, picks, strict=True):
    genotype = np.asarray(pick["genotype"])
    chosen.append(
      Chosen(
        name,
        budget,
        space.architecture(genotype),
        space.recipe(genotype),
        genotype,
        pick["predicted"],
      )
    )
  return chosen


def _best(
  config: NarsConfig,
  space: SearchSpace,
  classes: int,
  budgets: Sequence[Budget],
  model: FittedPredictor,
  trials: Sequence[TrialRow],
) -> list[dict[str, Any]]:
  """Genotype and prediction of the best under each budget, for JSON."""
  result = evolution.evolve(
    jax.random.fold_in(jax.random.key(config.seed), 3),
    predictor.scorer(model, config.search.caution),
    space,
    stacked(budgets),
    first_best=best_first(trials),
    num_classes=classes,
    table=inputs.latency_table(config),
    **vars(config.evolution),
  )
  genotypes = np.asarray(result.genotypes[:, 0])
  scores = predictor.predict(model, genotypes).score
  return [
    {"genotype": genotype.tolist(), "predicted": float(score)}
    for genotype, score in zip(genotypes, scores, strict=True)
  ]


def scaled(
  config: NarsConfig,
  evolved: Sequence[Chosen],
  space: SearchSpace,
  classes: int,
) -> list[Chosen]:
  """Members for the budgets of `config.budgets.scaled`, in MACs.

  Raises:
    ValueError: a budget lies between those of the search, or beyond what
      scaling reaches.
  """
  made = []
  budgets = [Budget(macs=(0.0, float(x))) for x in config.budgets.scaled]
  names = member_names(space, budgets)
  for name, budget in zip(names, budgets, strict=True):
    limit = budget.macs[1]
    by_size = sorted(
      evolved, key=lambda c: costs.count(c.architecture, classes).macs
    )
    smallest, largest = (
      costs.count(c.architecture, classes).macs
      for c in (by_size[0], by_size[-1])
    )
    if smallest < limit < largest:
      raise ValueError(
        f"config.budgets.scaled has {limit:g} MACs, inside the family "
        f"({smallest:,} to {largest:,}): make it one of config.budgets.macs"
      )
    source = by_size[0] if limit <= smallest else by_size[-1]
    architecture, _ = spaces.scaled_to(
      source.architecture, limit, lambda a: costs.count(a, classes).macs
    )
    recipe = source.recipe
    if limit > largest:
      recipe = dataclasses.replace(
        recipe, stochastic_depth=config.budgets.scaled_stochastic_depth
      )
    made.append(
      Chosen(
        f"{name}-scaled",
        budget,
        architecture,
        recipe,
        scaled_from=source.name,
      )
    )
  return made


def calibration_split(
  config: NarsConfig, dataset: Dataset
) -> tuple[AnySplit, AnySplit | None]:
  """The images that members are trained on, and those for their calibration.

  Returns:
    Both; None for the second where `config.training` asks for none.

  Raises:
    ValueError: there are not as many.
  """
  count = config.training.calibration_images
  if not count:
    return dataset.train, None
  return hold_out(
    dataset.train,
    count,
    seed=config.seed,
    key=f"{dataset.source}: config.training.calibration_images",
  )


def search_split(
  config: NarsConfig, dataset: Dataset
) -> tuple[AnySplit, AnySplit]:
  """The images that a search trains on, and its validation images.

  With weights, which members inherit, the images for the members' calibration
  are neither.

  Raises:
    ValueError: see `calibration_split`; or there are not enough.
  """
  rest, _ = calibration_split(config, dataset)
  if config.weights:
    dataset = dataclasses.replace(dataset, train=rest)
  return inputs.hold_out(config, dataset)


def checked(config: NarsConfig, dataset: Dataset) -> None:
  """Raises a ValueError where the members' training is not legal."""
  epochs = config.training.epochs
  # Weights that a member inherits are of use without any.
  legal = max(epochs, 1) if config.weights and not epochs else epochs
  inputs.settings(config, dataset, 1, epochs=legal)
  if (
    config.weights
    and tree_settings.has_trees(config)
    and not (epochs or config.minutes or config.tree.finetune_epochs)
  ):
    raise ValueError(
      "config.training.epochs is 0 and config.tree.finetune_epochs 0 with"
      " config.head 'nbdt'; legal: one of them above 0, since inherited weights"
      " know no tree"
    )


def train(
  config: NarsConfig,
  work: WorkDir,
  dataset: Dataset,
  chosen: Sequence[Chosen],
  teacher: Teacher | None,
  progress: Progress,
  inheritance: Inheritance | None = None,
) -> tuple[tuple[FamilyMember, ...], MemberRow | None]:
  """Trains on all but the test set, and what `calibration_split` holds out.

  The given teacher teaches all of them. Without one the largest member, which
  is trained first, teaches the others; with `config.training.teach_largest` it
  is no member, but teaches one of its own architecture and recipe too. Those
  that inherit weights start from them, taught by the largest network of the
  supernet. With `config.head` of `nbdt` they come with their trees.

  Returns:
    The members by their budgets; the teacher that was trained on labels and is
    no member, None for none.
  """
  split, held_split = calibration_split(config, dataset)
  images = loop.place(split)
  held = None if held_split is None else loop.place(held_split)
  normalization: dict[str, Any] = {}
  inherited = None
  if inheritance is not None:
    teacher = teacher or inheritance.largest
    normalization = inheritance.pretrained.normalization
    inherited = supernet.start_of(config, dataset, inheritance, images)
  on_labels = None
  members = {}
  for choice, is_teacher in _trainings(config, chosen, teacher):
    settings = inputs.settings(
      config,
      dataset,
      choice.architecture.resolution,
      epochs=max(config.training.epochs, 1),
      **normalization,
    )
    recipe, start = choice.recipe, None
    if inherited is not None:
      recipe = recipe.slowed(config.training.inherited_rate)
      start = functools.partial(inherited, choice.genotype)

    def fit(
      name: str,
      recipe: Recipe,
      settings: Settings,
      *,
      supervised: Supervised | None = None,
      start_from: Any = None,
      choice: Chosen = choice,
      teacher: Teacher | None = teacher,
      start: Any = start,
    ) -> tuple[MemberRow, Teacher]:
      return train_network(
        work.path,
        name,
        choice.architecture,
        recipe,
        settings,
        dataset,
        images,
        held,
        teacher=teacher,
        seed=config.seed,
        checkpoint_every=config.training.checkpoint_every,
        progress=progress,
        supervised=supervised,
        start_from=start if start_from is None else start_from,
        # A training with the tree may be longer than the plain one, and is one
        # even where the plain weights are inherited and stay.
        epochs=None if supervised or config.training.epochs else 0,
        mistakes=MISTAKES,
      )

    name = f"{choice.name}{ON_LABELS}" if is_teacher else choice.name
    with work.phase(f"train {name}"):
      if is_teacher:
        on_labels, teacher = fit(name, recipe, settings)
        continue
      if tree_settings.has_trees(config):
        member, network = tree_training.train_member(
          config.tree,
          config.seed,
          work.path,
          dataset,
          choice.name,
          recipe,
          settings,
          fit,
        )
      else:
        member, network = fit(choice.name, recipe, settings)
    teacher = teacher or network
    members[choice.name] = _of_family(config, member, choice, dataset)
  return tuple(members[c.name] for c in sorted(chosen, key=_limit)), on_labels


def _trainings(
  config: NarsConfig, chosen: Sequence[Chosen], teacher: Teacher | None
) -> list[tuple[Chosen, bool]]:
  """What is trained in which order, and whether it is no member but teaches."""
  by_size = sorted(
    chosen, key=lambda c: costs.count(c.architecture).macs, reverse=True
  )
  trainings = [(choice, False) for choice in by_size]
  if config.training.teach_largest and teacher is None:
    trainings.insert(0, (by_size[0], True))
  return trainings


def _of_family(
  config: NarsConfig, member: MemberRow, choice: Chosen, dataset: Dataset
) -> FamilyMember:
  """A trained network with what the search knew of it."""
  genotype = choice.genotype
  searched = {
    "budget": inputs.as_json(choice.budget),
    "predicted": choice.predicted,
    "genotype": None if genotype is None else tuple(genotype.tolist()),
    "scaled_from": choice.scaled_from,
  }
  further = inputs.further_costs(
    config, choice.budget, choice.architecture, dataset.num_classes
  )
  return FamilyMember(**vars(member) | further | searched)


def _limit(member: Chosen) -> tuple[float, ...]:
  return tuple(high for _, high in member.budget.values())
