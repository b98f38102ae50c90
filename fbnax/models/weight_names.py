"""What the layers of a network are called in files of other programs.

Three layouts of PyTorch's state dicts: `timm`; `official`, that of the
published models (mobile-vision); and `lukemelas`, that of the EfficientNets
which follow that author's program. All name modules; a module's arrays are
`weight`, `bias`, `running_mean` and `running_var`. Facts were read off the
state dicts of the programs. What the layers of blocks are called is in
`fbnax.spaces.kinds`.

* `timm` numbers blocks by stages that are its own. Those of its four networks
  are in `STAGES`; in others each width is a stage. Identities are not counted.
* `official` numbers stages as the zoo does, identities included; the stem is
  stage 0, the head the stage after the last.
* `lukemelas` numbers all blocks that have weights from 0.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from fbnax.spaces import kinds, zoo
from fbnax.spaces.architecture import Architecture, Block

LAYOUTS = ("timm", "official", "lukemelas")

# Blocks of each of timm's stages.
STAGES = {
  "timm_fbnetc_100": (1, 3, 4, 4, 4, 4, 1),
  "timm_fbnetv3_b": (2, 4, 5, 5, 6, 7),
  "timm_fbnetv3_d": (2, 6, 5, 5, 7, 7),
  "timm_fbnetv3_g": (3, 5, 5, 5, 9, 9),
}
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_COPY = re.compile(
  r"(?P<prefix>|.*?\.)(_?conv_stem\.weight|backbone\.stages\.xif.*)"
)

Module = tuple[str, ...]


def layout_of(names: Collection[str]) -> str | None:
  """The layout that a file with those names has, None if of none."""
  if "conv_stem.weight" in names:
    return "timm"
  if "_conv_stem.weight" in names:
    return "lukemelas"
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
    layout: one of `LAYOUTS`.
    names: all names of a file; its stages are taken if it has as many blocks.

  Raises:
    ValueError: the layout has no place for something in the network.
  """
  if layout == "official":
    return dict(_official(architecture))
  if layout == "lukemelas":
    return dict(_lukemelas(architecture))
  if layout != "timm":
    raise ValueError(f"layout is {layout!r}; legal: {', '.join(LAYOUTS)}")
  return dict(_timm(architecture, _stages(architecture, names)))


def _blocks(architecture: Architecture) -> Iterator[tuple[str, Block, int]]:
  """Module, entry and input width of each block that has weights."""
  c_in = architecture.stem.channels
  for name, block in zip(
    architecture.block_names, architecture.blocks, strict=True
  ):
    if kinds.layers(architecture, block, c_in):
      yield name.replace(".", "_"), block, c_in
    c_in = block.channels


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


def _layers(
  architecture: Architecture, layout: str, block: Block, c_in: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
  """A block's layers and what a layout calls them, in call order."""
  layers = kinds.layers(architecture, block, c_in)
  expanded = any(layer.when == "expands" for layer in layers)
  for layer in layers:
    if layout not in layer.names:
      raise ValueError(
        f"layout {layout} has no {kinds.KINDS[block.op].label}; legal layouts:"
        f" {', '.join(layer.names)}"
      )
    names = layer.names[layout]
    if layer.op != "squeeze_excite":
      names = names[:1] if expanded else names[-1:]
    yield layer.name, names


def _squeeze_excite(
  module: str, at: str, names: tuple[str, ...]
) -> Iterator[tuple[Module, str]]:
  for inner, name in zip(("squeeze", "excite"), names, strict=True):
    yield (module, "squeeze_excite", inner), f"{at}.{name}"


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
    norms = iter((f"{at}.bn1", f"{at}.bn2", f"{at}.bn3"))
    for layer, names in _layers(architecture, "timm", block, c_in):
      if layer == "squeeze_excite":
        yield from _squeeze_excite(module, at, names)
      else:
        yield from _conv_norm((module, layer), f"{at}.{names[0]}", next(norms))
  if architecture.head.expansion:
    at = f"blocks.{len(stages)}.0"
    yield from _conv_norm(("head", "expand"), f"{at}.conv", f"{at}.bn1")
    yield ("head", "project"), "conv_head"
  else:
    yield from _conv_norm(("head", "expand"), "conv_head", "bn2")
  yield ("head", "classifier"), "classifier"


def _lukemelas(architecture: Architecture) -> Iterator[tuple[Module, str]]:
  if architecture.head.expansion or architecture.head.kernel > 1:
    raise ValueError(
      "layout lukemelas has one convolution in the head; legal layouts: "
      + ", ".join(name for name in LAYOUTS if name != "lukemelas")
    )
  norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
  yield from _conv_norm(("stem",), "_conv_stem", "_bn0")
  for index, (module, block, c_in) in enumerate(_blocks(architecture)):
    at = f"_blocks.{index}"
    for layer, names in _layers(architecture, "lukemelas", block, c_in):
      if layer == "squeeze_excite":
        yield from _squeeze_excite(module, at, names)
      else:
        yield from _conv_norm(
          (module, layer), f"{at}.{names[0]}", f"{at}.{norms[layer]}"
        )
  yield from _conv_norm(("head", "expand"), "_conv_head", "_bn1")
  yield ("head", "classifier"), "_fc"


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
    for layer, names in _layers(architecture, "official", block, c_in):
      if layer == "squeeze_excite":
        yield from _squeeze_excite(module, at, names)
      else:
        yield from conv_norm((module, layer), f"{at}.{names[0]}")
  stages = [block.stage for block in architecture.blocks]
  at = place(max(stages, default=0) + 1, 0)
  if architecture.head.expansion:
    yield from conv_norm(("head", "expand"), f"{at}.pw")
    yield ("head", "project"), f"{at}.pwl.conv"
  else:
    yield from conv_norm(("head", "expand"), at)
  yield ("head", "classifier"), "head.conv"
