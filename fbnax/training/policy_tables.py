"""The policies of AutoAugment and RandAugment, as data.

AutoAugment's are those of Cubuk et al. 2019 (tables 7 and 9): 25 sub-policies
of two operations, of which each image gets one at random. RandAugment (Cubuk
et al. 2020, section 3) gives each image N of 14 operations, all at magnitude
M. Strengths are read off table 6 of the former, linearly: rotation up to 30
degrees, shear 0.3, translation 150 / 331 of the side (the paper's 150 pixels of
331, at every size here), color, contrast, brightness and sharpness 0.1 to 1.9,
posterize 8 down to 4 bits, solarize from 256 down to 0, so that the last two,
too, do more at a higher magnitude. Where the papers are silent: AutoAugment's
magnitude is one of ten, 0 to 9, and both ends of a range are reached;
RandAugment's goes from 0, where only autocontrast and equalize do anything, to
10, and its factors are 1 + 0.09 M or 1 - 0.09 M. Rotation, shear and
translation go either way with equal chance.

Symbols: `S` sub-policies, `N` draws, `M` magnitude.
"""

from __future__ import annotations

from typing import Any, NamedTuple

MAX_MAGNITUDE = 10.0  # Of RandAugment.
_LAST_BIN = 9  # Of AutoAugment's ten magnitudes.


class Operation(NamedTuple):
  """One operation of a sub-policy.

  Attributes:
    name: a function of `fbnax.training.image_ops`.
    probability: that it is applied at all.
    strengths: its magnitude is one of these two, with equal chance; in the
      function's units, but translations in shares of the image's side.
  """

  name: str
  probability: float = 1.0
  strengths: tuple[float, float] = (0.0, 0.0)


class Policy(NamedTuple):
  """What may happen to an image.

  Attributes:
    sub_policies: `S` of them, each of operations that follow each other.
    draws: `N`, how many of them an image gets, one after the other; each is
      drawn from all, with equal chance.
  """

  sub_policies: tuple[tuple[Operation, ...], ...]
  draws: int = 1


# Operations with a sign, and their strengths at the highest magnitude.
SIGNED = {
  "rotate": 30.0,
  "shear_x": 0.3,
  "shear_y": 0.3,
  "translate_x": 150.0 / 331.0,
  "translate_y": 150.0 / 331.0,
}
# Operations whose strength is a factor, 1 to change nothing.
FACTORS = ("color", "contrast", "brightness", "sharpness")


def _strengths(name: str, level: float, symmetric: bool) -> tuple[float, float]:
  if name in SIGNED:
    return SIGNED[name] * level, -SIGNED[name] * level
  if name in FACTORS and symmetric:
    return 1.0 + 0.9 * level, 1.0 - 0.9 * level
  if name in FACTORS:
    return (0.1 + 1.8 * level,) * 2
  if name == "posterize":
    return (8.0 - round(4.0 * level),) * 2
  if name == "solarize":
    return (256.0 * (1.0 - level),) * 2
  return (0.0, 0.0)


# Each pair: name, probability in tenths, magnitude from 0 to 9 (0 where the
# operation has none).
_IMAGENET = (
  (("posterize", 4, 8), ("rotate", 6, 9)),
  (("solarize", 6, 5), ("autocontrast", 6, 0)),
  (("equalize", 8, 0), ("equalize", 6, 0)),
  (("posterize", 6, 7), ("posterize", 6, 6)),
  (("equalize", 4, 0), ("solarize", 2, 4)),
  (("equalize", 4, 0), ("rotate", 8, 8)),
  (("solarize", 6, 3), ("equalize", 6, 0)),
  (("posterize", 8, 5), ("equalize", 10, 0)),
  (("rotate", 2, 3), ("solarize", 6, 8)),
  (("equalize", 6, 0), ("posterize", 4, 6)),
  (("rotate", 8, 8), ("color", 4, 0)),
  (("rotate", 4, 9), ("equalize", 6, 0)),
  (("equalize", 0, 0), ("equalize", 8, 0)),
  (("invert", 6, 0), ("equalize", 10, 0)),
  (("color", 6, 4), ("contrast", 10, 8)),
  (("rotate", 8, 8), ("color", 10, 2)),
  (("color", 8, 8), ("solarize", 8, 7)),
  (("sharpness", 4, 7), ("invert", 6, 0)),
  (("shear_x", 6, 5), ("equalize", 10, 0)),
  (("color", 4, 0), ("equalize", 6, 0)),
  (("equalize", 4, 0), ("solarize", 2, 4)),
  (("solarize", 6, 5), ("autocontrast", 6, 0)),
  (("invert", 6, 0), ("equalize", 10, 0)),
  (("color", 6, 4), ("contrast", 10, 8)),
  (("equalize", 8, 0), ("equalize", 6, 0)),
)
_CIFAR10 = (
  (("invert", 1, 0), ("contrast", 2, 6)),
  (("rotate", 7, 2), ("translate_x", 3, 9)),
  (("sharpness", 8, 1), ("sharpness", 9, 3)),
  (("shear_y", 5, 8), ("translate_y", 7, 9)),
  (("autocontrast", 5, 0), ("equalize", 9, 0)),
  (("shear_y", 2, 7), ("posterize", 3, 7)),
  (("color", 4, 3), ("brightness", 6, 7)),
  (("sharpness", 3, 9), ("brightness", 7, 9)),
  (("equalize", 6, 0), ("equalize", 5, 0)),
  (("contrast", 6, 7), ("sharpness", 6, 5)),
  (("color", 7, 7), ("translate_x", 5, 8)),
  (("equalize", 3, 0), ("autocontrast", 4, 0)),
  (("translate_y", 4, 3), ("sharpness", 2, 6)),
  (("brightness", 9, 6), ("color", 2, 8)),
  (("solarize", 5, 2), ("invert", 0, 0)),
  (("equalize", 2, 0), ("autocontrast", 6, 0)),
  (("equalize", 2, 0), ("equalize", 6, 0)),
  (("color", 9, 9), ("equalize", 6, 0)),
  (("autocontrast", 8, 0), ("solarize", 2, 8)),
  (("brightness", 1, 3), ("color", 7, 0)),
  (("solarize", 4, 5), ("autocontrast", 9, 0)),
  (("translate_y", 9, 9), ("translate_y", 7, 9)),
  (("autocontrast", 9, 0), ("solarize", 8, 3)),
  (("equalize", 8, 0), ("invert", 1, 0)),
  (("translate_y", 7, 9), ("autocontrast", 9, 0)),
)
_RANDAUGMENT = (
  "identity",
  "autocontrast",
  "equalize",
  "rotate",
  "solarize",
  "color",
  "posterize",
  "contrast",
  "brightness",
  "sharpness",
  "shear_x",
  "shear_y",
  "translate_x",
  "translate_y",
)


def _published(table: tuple[Any, ...]) -> Policy:
  return Policy(
    tuple(
      tuple(
        Operation(name, tenths / 10, _strengths(name, bin_ / _LAST_BIN, False))
        for name, tenths, bin_ in sub_policy
      )
      for sub_policy in table
    )
  )


AUTOAUGMENT_IMAGENET = _published(_IMAGENET)
AUTOAUGMENT_CIFAR10 = _published(_CIFAR10)


def randaugment(operations: int = 2, magnitude: float = 9.0) -> Policy:
  """RandAugment with `N` operations for each image.

  Args:
    operations: `N`, at least 1.
    magnitude: `M`, from 0 to 10.
  """
  if operations < 1:
    raise ValueError(f"operations is {operations!r}; legal: at least 1")
  if not 0 <= magnitude <= MAX_MAGNITUDE:
    raise ValueError(
      f"magnitude is {magnitude!r}; legal: from 0 to {MAX_MAGNITUDE:g}"
    )
  level = magnitude / MAX_MAGNITUDE
  return Policy(
    tuple(
      (Operation(name, strengths=_strengths(name, level, True)),)
      for name in _RANDAUGMENT
    ),
    draws=operations,
  )
