"""What the layers of a network are called in files of other programs.

Two layouts of PyTorch's state dicts: `timm`, and `official`, that of the
published models (mobile-vision). Both name modules; a module's arrays are
`weight`, `bias`, `running_mean` and `running_var`. Facts were read off the
state dicts of the programs.

* `timm` numbers blocks by stages that are its own. Those of its four networks
  are in `STAGES`; in others each width is a stage. Identities are not counted.
* `official` numbers stages as the zoo does, identities included; the stem is
  stage 0, the head the stage after the last.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from fbnax.spaces import zoo
from fbnax.spaces.architecture import Architecture, Block
from fbnax.spaces.widths import mid_width

LAYOUTS = ("timm", "official")

# Blocks of each of timm's stages.
STAGES = {
  "timm_fbnetc_100": (1, 3, 4, 4, 4, 4, 1),
  "timm_fbnetv3_b": (2, 4, 5, 5, 6, 7),
  "timm_fbnetv3_d": (2, 6, 5, 5, 7, 7),
  "timm_fbnetv3_g": (3, 5, 5, 5, 9, 9),
}
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_COPY = re.compile(
  r"(?P<prefix>|.*?\.)(conv_stem\.weight|backbone\.stages\.xif.*)"
)

Module = tuple[str, ...]


def layout_of(names: Collection[str]) -> str | None:
  """The layout that a file with those names has, None if neither."""
  if "conv_stem.weight" in names:
    return "timm"
  if any(name.startswith("backbone.stages.xif") for name in names):
    return "official"
  return None


def prefixes(names: Collection[str]) -> list[str]:
  """What stands in front of the names of each copy of a network in a file.

  A copy is known by a name that every file of its layout has; "" stands in
  front of names that are as the layout has them.
  """
  found = (_COPY.fullmatch(name) for name in names)
  return sorted({match["prefix"] for match in found if match})


def shared_prefix(
  names: Collection[str], is_known: Callable[[list[str]], bool]
) -> str:
  """What wrappers put in front of all names: `module.`, `ema._orig_mod.`, ….

  Args:
    names: of a file's arrays.
    is_known: whether names are such as are looked for.

  Returns:
    The shortest dotted prefix that all names have and without which they are
    known; "" where there is none, or none is needed.
  """
  columns = zip(*(name.split(".") for name in names), strict=False)
  shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, columns)
  prefix = ""
  for wrapper in ("", *(f"{parts[0]}." for parts in shared)):
    prefix += wrapper
    if is_known([name[len(prefix) :] for name in names]):
      return prefix
  return ""


def modules(
  architecture: Architecture, layout: str, names: Collection[str] = ()
) -> dict[Module, str]:
  """Names of the modules of a `Network`, by their path in its variables.

  Args:
    architecture: of the network.
    layout: `timm` or `official`.
    names: all names of a file; its stages are taken if it has as many blocks.

  Raises:
    ValueError: the layout has no place for something in the network.
  """
  if layout == "official":
    return dict(_official(architecture))
  if layout != "timm":
    raise ValueError(f"layout is {layout!r}; legal: {', '.join(LAYOUTS)}")
  return dict(_timm(architecture, _stages(architecture, names)))


def _has_weights(block: Block, c_in: int) -> bool:
  same = block.stride == 1 and block.channels == c_in
  return block.op != "skip" or not same


def _blocks(architecture: Architecture) -> Iterator[tuple[str, Block, int]]:
  """Module, entry and input width of each block that has weights."""
  c_in = architecture.stem.channels
  for name, block in zip(
    architecture.block_names, architecture.blocks, strict=True
  ):
    if _has_weights(block, c_in):
      yield name.replace(".", "_"), block, c_in
    c_in = block.channels


def expands(architecture: Architecture, block: Block, c_in: int) -> bool:
  """Whether a block has an expanding convolution."""
  mid = mid_width(c_in, block.expansion, architecture.divisor)
  return architecture.expand_at_one or mid != c_in


def _stages(
  architecture: Architecture, names: Collection[str]
) -> tuple[int, ...]:
  """Blocks of each stage as timm counts them."""
  found = {m.groups() for m in map(_TIMM_BLOCK.match, names) if m}
  in_file = sorted((int(s), int(i)) for s, i in found)
  blocks = [block for _, block, _ in _blocks(architecture)]
  lengths = tuple(
    len(list(members))
    for _, members in itertools.groupby(in_file, key=lambda place: place[0])
  )
  if architecture.head.expansion:
    lengths = lengths[:-1]  # The head's first convolution is a stage, too.
  if sum(lengths) == len(blocks):
    return lengths
  for name, known in STAGES.items():
    if zoo.get(name).blocks == architecture.blocks:
      return known
  return tuple(
    len(list(members))
    for _, members in itertools.groupby(blocks, key=lambda b: b.channels)
  )


def _conv_norm(path: Module, conv: str, norm: str) -> Iterator[Any]:
  yield (*path, "conv"), conv
  yield (*path, "norm"), norm


def _timm(
  architecture: Architecture, stages: tuple[int, ...]
) -> Iterator[tuple[Module, str]]:
  lacking = _not_of_timm(architecture)
  if lacking:
    raise ValueError(
      f"timm has no networks with {', '.join(lacking)}; legal layout: official"
    )
  yield from _conv_norm(("stem",), "conv_stem", "bn1")
  places = [(s, i) for s, count in enumerate(stages) for i in range(count)]
  for (stage, index), (module, block, c_in) in zip(
    places, _blocks(architecture), strict=True
  ):
    at = f"blocks.{stage}.{index}"
    if block.op == "skip":
      yield from _conv_norm((module, "skip"), f"{at}.conv", f"{at}.bn1")
      continue
    norms = iter((f"{at}.bn1", f"{at}.bn2", f"{at}.bn3"))
    wide = expands(architecture, block, c_in)
    if wide:
      yield from _conv_norm((module, "expand"), f"{at}.conv_pw", next(norms))
    yield from _conv_norm((module, "depthwise"), f"{at}.conv_dw", next(norms))
    if block.squeeze_excite:
      inner = (module, "squeeze_excite")
      yield (*inner, "squeeze"), f"{at}.se.conv_reduce"
      yield (*inner, "excite"), f"{at}.se.conv_expand"
    yield from _conv_norm(
      (module, "project"),
      f"{at}.conv_pwl" if wide else f"{at}.conv_pw",
      next(norms),
    )
  if architecture.head.expansion:
    at = f"blocks.{len(stages)}.0"
    yield from _conv_norm(("head", "expand"), f"{at}.conv", f"{at}.bn1")
    yield ("head", "project"), "conv_head"
  else:
    yield from _conv_norm(("head", "expand"), "conv_head", "bn2")
  yield ("head", "classifier"), "classifier"


def _not_of_timm(architecture: Architecture) -> list[str]:
  """What timm's modules do not have."""
  blocks = architecture.blocks
  lacking = {
    "grouped 1x1 convolutions": any(b.groups > 1 for b in blocks),
    "padding of its own": any(
      b.padding not in (None, b.kernel // 2) for b in blocks
    ),
    "a depthwise convolution in the head": architecture.head.kernel > 1,
  }
  return [name for name, has in lacking.items() if has]


def _official(architecture: Architecture) -> Iterator[tuple[Module, str]]:
  if architecture.head.kernel > 1:
    raise ValueError(
      "the official models have no depthwise convolution in the head"
    )

  def conv_norm(path: Module, name: str) -> Iterator[Any]:
    return _conv_norm(path, f"{name}.conv", f"{name}.bn")

  def place(stage: int, index: int) -> str:
    return f"backbone.stages.xif{stage}_{index}"

  yield from conv_norm(("stem",), place(0, 0))
  for module, block, c_in in _blocks(architecture):
    stage, index = module.removeprefix("stage").split("_block")
    at = place(int(stage), int(index))
    if block.op == "skip":
      yield from conv_norm((module, "skip"), f"{at}.conv")
      continue
    if expands(architecture, block, c_in):
      yield from conv_norm((module, "expand"), f"{at}.pw")
    yield from conv_norm((module, "depthwise"), f"{at}.dw")
    if block.squeeze_excite:
      inner = (module, "squeeze_excite")
      yield (*inner, "squeeze"), f"{at}.se.se.0.conv"
      yield (*inner, "excite"), f"{at}.se.se.1"
    yield from conv_norm((module, "project"), f"{at}.pwl")
  stages = [block.stage for block in architecture.blocks]
  at = place(max(stages, default=0) + 1, 0)
  if architecture.head.expansion:
    yield from conv_norm(("head", "expand"), f"{at}.pw")
    yield ("head", "project"), f"{at}.pwl.conv"
  else:
    yield from conv_norm(("head", "expand"), at)
  yield ("head", "classifier"), "head.conv"
