"""The U-Net of Stable Diffusion v1.4 and its variants: AutoBuild's last space.

Mills et al. 2024, sections 5.3 and 7.9: four input stages, a middle and four
output stages of residual convolutions, each with an attention block behind it
where its stage has attention; input stages 1 to 3 end in a downsampling, output
stages 4 to 2 in an upsampling. Searched are the global channels, the stages'
multipliers, whether a stage goes without one of its residual blocks (of two, in
output stages of three), and whether input and output stages 3 and 4 have
attention; stages 1 and 2 have none. An input stage and the output stage of its
number share a multiplier, and all stages the global channels.

What the paper leaves open, and how it is here: of its eight combinations of
multipliers three are printed (the first three of `MULTIPLIERS`), the others are
ours; a stage that goes without a residual block goes without the attention
behind it, too; the middle is residual, attention, residual, as in Stable
Diffusion. That makes 98,304 networks, an eighth of the paper's "approximately
800k", of which it does not say what else varies.

Nothing here builds or counts such a network: the space is for networks that
have labels from elsewhere (`fbnax.search.autobuild.unet_ranking`), and is none
of those that `fbnax.spaces.get` knows.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any, NamedTuple

from fbnax.spaces.architecture import LARGEST
from fbnax.spaces.exchange import kind_fields
from fbnax.spaces.space import Decision, SearchSpace, follow

KIND = "unet"
STAGES = (1, 2, 3, 4)
SECTIONS = ("input", "middle", "output")
OPERATIONS = ("residual", "attention", "downsample", "upsample")
CHANNELS = (128, 192, 256)
MULTIPLIERS = (
  (1, 2, 3, 4),
  (1, 1, 2, 4),
  (1, 3, 4, 2),
  (1, 2, 2, 4),
  (1, 2, 4, 4),
  (1, 2, 3, 3),
  (1, 3, 3, 4),
  (1, 3, 4, 4),
)
RESIDUALS = {"input": (1, 2), "output": (2, 3)}
ATTENTION = (3, 4)  # Stages that may have it.


class Node(NamedTuple):
  """A block of a U-Net, in the order of computation.

  Attributes:
    operation: one of `OPERATIONS`.
    channels: of its result.
    section: one of `SECTIONS`.
    stage: 1 to 4; the middle's is 4.
  """

  operation: str
  channels: int
  section: str
  stage: int


@dataclasses.dataclass(frozen=True)
class UNet:
  """A whole U-Net. Hashable; `to_json` and `from_json` exchange it.

  Tuples have an entry for each of the stages 1 to 4, those of the output too.

  Attributes:
    channels: the global ones.
    multipliers: of the channels.
    input_residuals: residual blocks of the input stages.
    input_attention: whether each of them has attention behind it.
    output_residuals: residual blocks of the output stages.
    output_attention: whether each of them has attention behind it.
  """

  channels: int
  multipliers: tuple[int, int, int, int]
  input_residuals: tuple[int, int, int, int]
  input_attention: tuple[bool, bool, bool, bool]
  output_residuals: tuple[int, int, int, int]
  output_attention: tuple[bool, bool, bool, bool]

  def stage(self, section: str, stage: int) -> tuple[Node, ...]:
    """The blocks of a stage, in order; of the middle, whatever its stage."""
    channels = self.channels * self.multipliers[stage - 1]

    def node(operation: str) -> Node:
      return Node(operation, channels, section, stage)

    residual, attention = node("residual"), node("attention")
    if section == "middle":
      return residual, attention, residual
    count = getattr(self, f"{section}_residuals")[stage - 1]
    has_attention = getattr(self, f"{section}_attention")[stage - 1]
    each = (residual, attention) if has_attention else (residual,)
    return each * count + tuple(map(node, last_of(section, stage)))

  @property
  def nodes(self) -> tuple[Node, ...]:
    """All blocks in the order of computation."""
    return tuple(
      node for section, stage in parts() for node in self.stage(section, stage)
    )

  def to_json(self) -> str:
    """The network as a JSON object in one line; `kind` says what it is."""
    return json.dumps({"kind": KIND} | dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> UNet:
    """Reads what `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object of that kind, a key is missing or
        unknown, or a value is none that a U-Net can have; the key is named.
    """
    data = kind_fields(cls, text, "U-Net", KIND)
    for key, value in data.items():
      if key != "channels":
        if not isinstance(value, list) or len(value) != len(STAGES):
          raise ValueError(
            f"{key} is {value!r}; legal: a list of one value for each of the "
            f"{len(STAGES)} stages"
          )
        data[key] = tuple(value)
      wanted = bool if key.endswith("attention") else int
      for item in value if isinstance(value, list) else [value]:
        fits = type(item) is wanted
        if not fits or (wanted is int and not 1 <= item <= LARGEST):
          legal = (
            "true or false"
            if wanted is bool
            else f"integers from 1 to {LARGEST}"
          )
          raise ValueError(f"{key} has {item!r}; legal: {legal}")
    return cls(**data)


def parts() -> tuple[tuple[str, int], ...]:
  """Sections and stages in the order of computation."""
  return (
    *(("input", stage) for stage in STAGES),
    ("middle", STAGES[-1]),
    *(("output", stage) for stage in reversed(STAGES)),
  )


def last_of(section: str, stage: int) -> tuple[str, ...]:
  """What changes the resolution at the end of a stage, if anything."""
  if section == "input" and stage != STAGES[-1]:
    return ("downsample",)
  if section == "output" and stage != STAGES[0]:
    return ("upsample",)
  return ()


@functools.cache
def space() -> SearchSpace:
  """The whole space.

  A value of `multipliers` is written as `1-2-3-4`.
  """
  channels = Decision("channels", CHANNELS)
  multipliers = Decision(
    "multipliers",
    tuple("-".join(map(str, row)) for row in MULTIPLIERS),
    categorical=True,
  )
  decisions = [channels, multipliers]
  fields: dict[str, Any] = {}
  for section, counts in RESIDUALS.items():
    residuals, attention = [], []
    for stage in STAGES:
      count = Decision(f"{section}{stage}.residuals", counts)
      decisions.append(count)
      residuals.append(follow(count))
      if stage in ATTENTION:
        has = Decision(f"{section}{stage}.attention", (False, True), True)
        decisions.append(has)
      attention.append(follow(has) if stage in ATTENTION else False)
    fields[f"{section}_residuals"] = tuple(residuals)
    fields[f"{section}_attention"] = tuple(attention)
  table: Any = UNet(
    channels=follow(channels),
    multipliers=tuple(
      follow(multipliers, column) for column in zip(*MULTIPLIERS, strict=True)
    ),
    **fields,
  )
  return SearchSpace(name="unet", decisions=tuple(decisions), table=table)
