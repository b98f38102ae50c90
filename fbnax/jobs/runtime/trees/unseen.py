"""Classes that are held out of training, and what they should be taken for.

`config.unseen` names them and the superclasses of all classes (Table 5.6 of
Wan 2022).

Symbols: `N` images, `K` classes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fbnax import data
from fbnax.base.names import normalized
from fbnax.data import Dataset
from fbnax.jobs.runtime.sections import UnseenKeys


@dataclasses.dataclass(frozen=True)
class HeldOut:
  """Classes held out of training, and what they should be taken for.

  Attributes:
    classes: names of the held-out classes.
    superclasses: names of the superclasses.
    of_seen: superclass of each class that is left, `i32[K]`, -1 for none.
    images: test images of the held-out classes.
    of_images: superclass of each of these, `i32[N]`.
    labels: which held-out class each is of, `i32[N]`.
  """

  classes: tuple[str, ...]
  superclasses: tuple[str, ...]
  of_seen: np.ndarray
  images: data.AnySplit
  of_images: np.ndarray
  labels: np.ndarray


def hold_classes_out(
  section: UnseenKeys, dataset: Dataset
) -> tuple[Dataset, HeldOut | None]:
  """The data set without the classes of `config.unseen`, and these.

  Args:
    section: `config.unseen`: `classes` as `cat,truck`, and `superclasses` as
      `animal=bird,cat;vehicle=ship,truck`.
    dataset: as it was loaded.

  Raises:
    ValueError: no such class, too few left, or a superclass that has no seen
      class, or a class in two of them.
  """
  held = _names(section.classes)
  groups = _groups(section.superclasses)
  if not held:
    if groups:
      raise ValueError(
        "config.unseen.superclasses without config.unseen.classes; legal: both"
      )
    return dataset, None
  names = tuple(map(normalized, dataset.class_names))
  for key, listed in (("classes", held), *groups.items()):
    unknown = [n for n in listed if n not in names]
    if unknown:
      raise ValueError(
        f"config.unseen: {key} has {unknown[0]!r}; legal: "
        f"{', '.join(map(str, names))}"
      )
  kept = [k for k, name in enumerate(names) if name not in held]
  if len(kept) < 2:
    raise ValueError(
      f"config.unseen.classes leaves {len(kept)} classes; legal: at least 2"
    )
  kinds = _superclass_of(names, groups, held)
  rest = dataclasses.replace(
    dataset,
    class_names=tuple(dataset.class_names[k] for k in kept),
    train=_only(dataset.train, kept),
    test=_only(dataset.test, kept),
  )
  places = [names.index(name) for name in held]
  images = _only(dataset.test, places)
  return rest, HeldOut(
    tuple(held),
    tuple(groups),
    np.asarray([kinds[k] for k in kept], np.int32),
    images,
    np.asarray([kinds[places[c]] for c in images.labels], np.int32),
    np.asarray(images.labels),
  )


def _only(split: Any, classes: list[int]) -> Any:
  """The images of some classes, numbered by their place in the list."""
  number = np.full(max(int(split.labels.max()), *classes) + 1, -1)
  number[classes] = np.arange(len(classes))
  taken = split.take(np.flatnonzero(number[split.labels] >= 0))
  labels = number[taken.labels].astype(split.labels.dtype)
  return dataclasses.replace(taken, labels=labels)


def _superclass_of(
  names: tuple[str, ...], groups: dict[str, list[str]], held: list[str]
) -> list[int]:
  kinds = [-1] * len(names)
  for number, (group, members) in enumerate(groups.items()):
    for name in members:
      place = names.index(name)
      if kinds[place] >= 0:
        raise ValueError(
          f"config.unseen.superclasses has {name!r} in two; legal: in one"
        )
      kinds[place] = number
    if all(name in held for name in members):
      raise ValueError(
        f"config.unseen.superclasses: {group!r} has no class that is trained "
        f"on; legal: at least one beside the held-out ones"
      )
  missing = [name for name in held if kinds[names.index(name)] < 0]
  if missing or len(groups) < 2:
    raise ValueError(
      f"config.unseen.superclasses is {len(groups)} superclasses, with none "
      f"for {missing}; legal: two or more, one of them for each held-out class"
    )
  return kinds


def _names(text: str) -> list[str]:
  parts = (normalized(part.strip()) for part in text.split(","))
  return [part for part in parts if part]


def _groups(text: str) -> dict[str, list[str]]:
  groups: dict[str, list[str]] = {}
  for part in filter(None, (p.strip() for p in text.split(";"))):
    name, equals, members = (s.strip() for s in part.partition("="))
    if not equals or not _names(members) or name in groups:
      raise ValueError(
        f"config.unseen.superclasses has {part!r}; legal: "
        "superclass=class,class;superclass=class, each superclass once"
      )
    groups[name] = _names(members)
  return groups
