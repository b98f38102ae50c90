"""What a user would do otherwise, trained beside the family.

For each budget, from the same pretrained network:

* `resolution`: the network as it is, fine-tuned on images so small that it
  meets the budget;
* `width`: all its widths narrowed alike, by the importance that its channels
  are sorted by, and fine-tuned;
* `scratch`: the member's architecture from random weights.

Each sees at least as many images as the supernet and a member together (it is
trained on the search's validation images as well), with the same recipe,
augmentation and teacher, and the same beginning where its classifier is new.
Their rows stand in the report, also where they win.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax import costs
from fbnax.data import Dataset
from fbnax.jobs.nars import supernet
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.nars.members import Chosen
from fbnax.jobs.nars.result import BaselineRow
from fbnax.jobs.nars.supernet import Inheritance
from fbnax.jobs.runtime import inputs
from fbnax.jobs.runtime.training import Teacher, train_network
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models.network import extract
from fbnax.spaces import Architecture
from fbnax.spaces.around import Surroundings
from fbnax.training import loop
from fbnax.training.progress import Progress

_PIXELS = 8  # Between the resolutions that are tried.
_WIDTHS = np.arange(1.0, 0.1, -0.05)  # Shares that are tried.


class BaselineStart(NamedTuple):
  """A baseline before it is trained.

  Attributes:
    architecture: what to build.
    variables: gives what it starts from; None for random ones.
  """

  architecture: Architecture
  variables: Callable[[], Any] | None


def train(
  config: NarsConfig,
  work: WorkDir,
  dataset: Dataset,
  inheritance: Inheritance | None,
  teacher: Teacher | None,
  chosen: Sequence[Chosen],
  progress: Progress,
) -> tuple[BaselineRow, ...]:
  """Trains the baselines of all budgets, or what is left of them.

  There are some where a run that starts from weights asks for them.
  """
  if not config.baselines or inheritance is None:
    return ()
  feed = loop.place(dataset.train)
  rows = []
  for choice in chosen:
    for kind, start in _starts(config, dataset, inheritance, choice):
      name = f"{choice.name}-{kind}"
      beginning: dict[str, Any] = {}
      if start.variables is not None:  # Its classifier may be new.
        beginning = {
          "head_epochs": config.shared.head_epochs,
          "trunk_rate": config.shared.trunk_rate,
        }
      settings = inputs.settings(
        config,
        dataset,
        start.architecture.resolution,
        epochs=config.shared.epochs + config.training.epochs,
        **beginning,
        **inheritance.pretrained.normalization,
      )
      with work.phase(f"train {name}"):
        member, _ = train_network(
          work.path,
          name,
          start.architecture,
          choice.recipe,
          settings,
          dataset,
          feed,
          None,
          teacher=teacher or inheritance.largest,
          seed=config.seed,
          checkpoint_every=config.training.checkpoint_every,
          progress=progress,
          start_from=start.variables,
        )
      rows.append(BaselineRow(kind=kind, beside=choice.name, **vars(member)))
  return tuple(rows)


def _starts(
  config: NarsConfig,
  dataset: Dataset,
  inheritance: Inheritance,
  choice: Chosen,
) -> Iterator[tuple[str, BaselineStart]]:
  """Those of one budget that there are, by their kinds."""
  classes, limit = dataset.num_classes, choice.budget.macs[1]
  network = inheritance.pretrained.architecture

  def weights() -> Any:
    return supernet.sorted_variables(config, network, dataset)

  smaller = at_resolution(network, classes, limit)
  if smaller is not None:
    yield "resolution", BaselineStart(smaller, weights)
  narrow = narrowed(inheritance.pretrained.surroundings, classes, limit)
  # What meets the budget as it is has no narrower one.
  if narrow is not None and smaller != network:
    space = narrow.space()
    first = jnp.zeros(len(space.decisions), jnp.int32)
    yield (
      "width",
      BaselineStart(
        space.architecture(first), lambda: extract(space, first, weights())
      ),
    )
  yield "scratch", BaselineStart(choice.architecture, None)


def at_resolution(
  network: Architecture, classes: int, limit: float
) -> Architecture | None:
  """The network on the largest images on which it meets a budget.

  Args:
    network: at its largest resolution.
    classes: of the classifier.
    limit: MACs.

  Returns:
    None where it meets the budget on no images of at least 8 pixels.
  """
  for side in range(network.resolution, 0, -_PIXELS):
    smaller = dataclasses.replace(network, resolution=side)
    if costs.count(smaller, classes).macs <= limit:
      return smaller
  return None


def narrowed(
  surroundings: Surroundings, classes: int, limit: float
) -> Surroundings | None:
  """A space whose smallest network is the widest narrowed one within a budget.

  Args:
    surroundings: of the network, which keeps its largest resolution.
    classes: of the classifier.
    limit: MACs.

  Returns:
    None where no network is narrow enough.
  """
  stages = {block.stage for block in surroundings.architecture.blocks}
  depths = max(
    sum(block.stage == stage for block in surroundings.architecture.blocks)
    for stage in stages
  )
  for width in _WIDTHS:
    options = dataclasses.replace(
      surroundings,
      resolutions=(),
      widths=(round(float(width), 2),),
      expansions=(1.0,),
      kernels=(),
      depths=depths,
    )
    try:
      space = options.space()
    except ValueError:  # A layer would be there at some widths alone.
      continue
    first = space.architecture(np.zeros(len(space.decisions), np.int32))
    if costs.count(first, classes).macs <= limit:
      return options
  return None
