"""Whether a finished model and a data set speak of the same classes.

A model's outputs are numbered in the order of its own classes. On data of other
classes, or of the same in another order, every number would still be computed
and none would mean anything. So names are compared wherever the two meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fbnax.base.names import escaped, normalized
from fbnax.data import Dataset
from fbnax.training.model_files import SavedModel

_SHOWN = 4


def check(named: str, saved: SavedModel, dataset: Dataset) -> None:
  """Refuses data of other classes or image channels than a model's.

  Where one of both knows its classes by their numbers alone, it is their count
  that must be the same. (Folders called by numbers come as 0, 1, 10, 2: those
  are the same names in another order.)

  Args:
    named: the model, as an error calls it.
    saved: the model.
    dataset: the data.

  Raises:
    ValueError: the classes are others, in another order, or the channels are.
  """
  ours = [normalized(name) for name in saved.class_names]
  theirs = [normalized(str(name)) for name in dataset.class_names]
  channels = saved.module.architecture.input_channels
  same = (len(ours), channels) == (len(theirs), dataset.channels)
  numbered = saved.numbered or dataset.numbered
  if same and (ours == theirs or (numbered and {*ours} != {*theirs})):
    return
  raise ValueError(
    f"{named} is for the classes {_shown(ours)}: {len(ours)} classes and "
    f"{channels} channels; {dataset.source} has {_shown(theirs)}: "
    f"{len(theirs)} classes and {dataset.channels} channels"
    + _difference(ours, theirs)
  )


def _shown(names: Sequence[str]) -> str:
  more = ", …" if len(names) > _SHOWN else ""
  return ", ".join(f"'{escaped(name)}'" for name in names[:_SHOWN]) + more


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
  """Where lists differ that may begin alike."""
  if len(ours) != len(theirs) or ours == theirs:
    return ""
  place = next(i for i, name in enumerate(ours) if name != theirs[i])
  same = Counter(ours) == Counter(theirs)
  kind = "the same in another order" if same else "other classes"
  return (
    f"; {kind}, the first at class {place}: {_shown(ours[place : place + 1])}"
    f" and {_shown(theirs[place : place + 1])}"
  )
