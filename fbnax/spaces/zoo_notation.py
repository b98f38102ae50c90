"""The notation in which the zoo writes networks: one line per row of blocks.

A network is a `stem` line, rows of blocks and a `head` line, for example::

  stem c16 hs
  2 c24 k5/3 e4/2 x4 s2 p1 se hs
  4 skip c80
  head c1984 e6 hs

A row starts with its stage. `c` is channels, `k` kernel, `e` expansion, `x`
how many blocks the row makes (one if absent), `s` stride, `p` depthwise
padding, `g` groups, `se` squeeze-excite, `hs` hard swish instead of ReLU.
`a/b` is `a` in the first block and `b` in the others; stride and padding are
the first block's alone. A head without `e` is a plain last convolution.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fbnax.spaces.architecture import Architecture, Block, Head, Stem, validate

_TOKEN = re.compile(r"([a-z]+)([0-9./]*)")


def _flag(text: str) -> bool:
  if text:
    raise ValueError(f"a flag takes no value, found {text!r}")
  return True


def _pair(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, Any]]:
  def read(text: str) -> tuple[Any, Any]:
    first, _, rest = text.partition("/")
    return kind(first), kind(rest or first)

  return read


_READERS: dict[str, Callable[[str], Any]] = {
  "c": int,
  "k": _pair(int),
  "e": _pair(float),
  "x": int,
  "s": int,
  "p": int,
  "g": int,
  "se": _flag,
  "hs": _flag,
  "skip": _flag,
}


def parse(text: str, resolution: int, **rules: Any) -> Architecture:
  """The architecture that `text` notes.

  Args:
    text: a stem line, rows of blocks, a head line.
    resolution: height and width of the input image, pixels.
    **rules: further fields of the architecture; `stem_bias` and `head_bias`
      go to stem and head.

  Raises:
    ValueError: a line is malformed (it is quoted), or no network can have
      these values.
  """
  lines = [line.split() for line in text.strip().splitlines()]
  if len(lines) < 3 or lines[0][0] != "stem" or lines[-1][0] != "head":
    raise ValueError(f"a network is a stem, rows and a head, found {text!r}")
  stem = _tokens(lines[0], needed=("c",), legal=("hs",))
  head = _tokens(lines[-1], needed=("c",), legal=("e", "hs"))
  architecture = Architecture(
    resolution=resolution,
    stem=Stem(
      channels=stem["c"],
      activation=_activation(stem),
      bias=rules.pop("stem_bias", True),
    ),
    blocks=tuple(block for line in lines[1:-1] for block in _row(line)),
    head=Head(
      channels=head["c"],
      expansion=head.get("e", (0.0, 0.0))[0],
      activation=_activation(head),
      bias=rules.pop("head_bias", False),
    ),
    **rules,
  )
  validate(architecture)
  return architecture


def _row(line: list[str]) -> tuple[Block, ...]:
  """The blocks of one row."""
  if not line[0].isdigit():
    raise ValueError(f"row {' '.join(line)!r} does not start with a stage")
  stage = int(line[0])
  if "skip" in line:
    row = _tokens(line, needed=("skip", "c"), legal=("x",))
    skip = Block(channels=row["c"], stage=stage, op="skip")
    return (skip,) * row.get("x", 1)
  row = _tokens(line, ("c", "k", "e"), ("x", "s", "p", "g", "se", "hs"))
  return tuple(
    Block(
      channels=row["c"],
      stage=stage,
      kernel=row["k"][min(i, 1)],
      expansion=row["e"][min(i, 1)],
      stride=row.get("s", 1) if i == 0 else 1,
      squeeze_excite=row.get("se", False),
      activation=_activation(row),
      groups=row.get("g", 1),
      padding=row.get("p") if i == 0 else None,
    )
    for i in range(row.get("x", 1))
  )


def _tokens(
  line: list[str], needed: tuple[str, ...], legal: tuple[str, ...]
) -> dict[str, Any]:
  """The values of a line's tokens by their letters."""
  found: dict[str, Any] = {}
  for token in line[1:]:
    match = _TOKEN.fullmatch(token)
    name = match[1] if match else ""
    if not match or name not in needed + legal or name in found:
      raise ValueError(
        f"{token!r} in {' '.join(line)!r} is misplaced; "
        f"needed: {needed}, also legal, each once: {legal}"
      )
    try:
      found[name] = _READERS[name](match[2])
    except ValueError as error:
      raise ValueError(f"{token!r} in {' '.join(line)!r}: {error}") from error
  missing = [name for name in needed if name not in found]
  if missing:
    raise ValueError(f"row {' '.join(line)!r} lacks {missing}")
  return found


def _activation(row: dict[str, Any]) -> str:
  return "hswish" if "hs" in row else "relu"
