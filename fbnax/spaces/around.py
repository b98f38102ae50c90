"""The space around a network: the network and everything smaller inside it.

A supernet shares weights by prefixes: a narrower layer is the leading part of a
wider one, a smaller kernel the middle of a larger one, a shallower stage its
first blocks. A trained network is thereby a supernet of all that is smaller
than itself (Cai et al. 2020, "Once-for-All"), once its leading channels are
those that matter (`fbnax.models.sorting`). `around` opens the fields of an
architecture, so that what serves other spaces serves this one.

What is decided:

* `resolution`;
* `<stream>.channels`: the width of each residual stream, which all that write
  it share (`fbnax.spaces.streams`), and `head.channels`;
* `stage<s>.expansion`: of all blocks of a stage in proportion; the values are
  those of its largest one;
* `stage<s>.kernel`: of all blocks of a stage, none above its own; likewise;
* `stage<s>.depth`: how many blocks of a stage there are. Only what writes on
  the stream before it can be absent, and only from the stage's end.

Values ascend: of each decision the last choice is the network's, and at the
largest resolution the last choices together are the network. A decision of one
value is left out.

Every block says by itself whether it adds its input and whether it expands, for
at other widths than the network's the rules of `Block` would say otherwise (a
stem cut from 32 to 16 channels in front of a block of 16, an expansion that
rounds to the width of its input).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from fbnax.base import limits
from fbnax.base.json_values import shown
from fbnax.spaces import kinds
from fbnax.spaces.architecture import Architecture, Block, validate
from fbnax.spaces.exchange import kind_fields
from fbnax.spaces.follow import Follow, joint_values
from fbnax.spaces.scaling import scaled_channels
from fbnax.spaces.space import Decision, SearchSpace, follow
from fbnax.spaces.streams import streams
from fbnax.spaces.tables import blocks_of

KIND = "around"
SHARES = (0.5, 0.75, 1.0)
KERNELS = (3, 5, 7)
_LEAST_SHARE = 0.05
_LEAST_KERNEL = 3  # The middle of a larger one under either rule of padding.
_MULTIPLE = 8  # What widths are rounded to, or to the network's divisor.


def around(
  architecture: Architecture,
  *,
  resolutions: Sequence[int] = (),
  widths: Sequence[float] = SHARES,
  expansions: Sequence[float] = SHARES,
  kernels: Sequence[int] = KERNELS,
  depths: int = 1,
) -> SearchSpace:
  """The space of a network and of what is smaller inside it.

  Args:
    architecture: the network.
    resolutions: sides of the image, pixels; none for the network's.
    widths: shares of the widths of streams and head; 1 is always among them.
      Widths are rounded as `fbnax.spaces.scale` does.
    expansions: shares of the expansions; 1 is always among them. None goes
      below 1.
    kernels: sides of convolutions, pixels; a block's own is always among them.
    depths: the least number of blocks of a stage.

  Raises:
    ValueError: an option is not legal, or the network has no such space; what
      is at fault is named with what is legal.
  """
  return Surroundings(
    architecture,
    tuple(resolutions),
    tuple(widths),
    tuple(expansions),
    tuple(kernels),
    depths,
  ).space()


@dataclasses.dataclass(frozen=True)
class Surroundings:
  """What a space around a network is made from; JSON in and out.

  The space has no name in the table of spaces: who stores something about it
  stores this, from which it is built again.

  Attributes:
    architecture: the network; the others are the arguments of `around`.
    resolutions: pixels.
    widths: shares.
    expansions: shares.
    kernels: pixels.
    depths: blocks.
  """

  architecture: Architecture
  resolutions: tuple[int, ...] = ()
  widths: tuple[float, ...] = SHARES
  expansions: tuple[float, ...] = SHARES
  kernels: tuple[int, ...] = KERNELS
  depths: int = 1

  def __post_init__(self) -> None:
    """Refuses what is no option."""
    if not isinstance(self.architecture, Architecture):
      raise ValueError(
        f"architecture is a {type(self.architecture).__name__}; legal: an"
        " Architecture"
      )
    _numbers("resolutions", self.resolutions, int, 1, limits.RESOLUTION)
    _numbers("widths", self.widths, float, _LEAST_SHARE, 1)
    _numbers("expansions", self.expansions, float, _LEAST_SHARE, 1)
    _numbers("kernels", self.kernels, int, _LEAST_KERNEL, limits.KERNEL)
    even = [k for k in self.kernels if k % 2 == 0]
    if even:
      raise ValueError(f"kernels has {even[0]}; legal: odd integers")
    _numbers("depths", (self.depths,), int, 1, limits.BLOCKS)

  def to_json(self) -> str:
    """The options as a JSON object in one line."""
    values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
    values["architecture"] = json.loads(self.architecture.to_json())
    return json.dumps({"kind": KIND, **values})

  @classmethod
  def from_json(cls, text: str) -> Surroundings:
    """Reads what `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object of this kind, a key is missing or
        unknown, or a value is not legal; the key is named.
    """
    data = kind_fields(cls, text, "surroundings", KIND)
    network = Architecture.from_json(json.dumps(data.pop("architecture")))
    for name, value in data.items():
      if name != "depths":
        if not isinstance(value, list):
          raise ValueError(f"{name} is {shown(value)}; legal: a list")
        data[name] = tuple(value)
    return cls(network, **data)

  def space(self) -> SearchSpace:
    """The space.

    Raises:
      ValueError: the network has none; the block is named.
    """
    validate(self.architecture)
    network = explicit(self.architecture)
    _check_groups(network)
    decisions: list[Decision] = []
    sides = sorted(set(self.resolutions or (network.resolution,)))
    resolution = _field(decisions, "resolution", sides)
    channels = self._channels(network, decisions)
    changes: list[dict[str, Any]] = [{"channels": c} for c in channels[1:-1]]
    for stage, places in _stages(network).items():
      blocks = [network.blocks[i] for i in places]
      open_fields = (
        _expansions(f"stage{stage}", network, places, self.expansions),
        _kernels(f"stage{stage}", blocks, self.kernels),
        _depths(f"stage{stage}", network, places, self.depths),
      )
      for name, (decision, fields) in zip(
        ("expansion", "kernel", "present"), open_fields, strict=True
      ):
        decisions += [decision] if decision else []
        for i, field in zip(places, fields, strict=True):
          changes[i][name] = field
    table = dataclasses.replace(
      network,
      resolution=resolution,
      stem=dataclasses.replace(network.stem, channels=channels[0]),
      blocks=tuple(
        dataclasses.replace(block, **change)
        for block, change in zip(network.blocks, changes, strict=True)
      ),
      head=dataclasses.replace(network.head, channels=channels[-1]),
    )
    _check_prefixes(network, table)
    space = SearchSpace(KIND, tuple(decisions), table)
    _check_sizes(space, sides)
    return space

  def _channels(
    self, network: Architecture, decisions: list[Decision]
  ) -> list[Any]:
    """Widths of stem, blocks and head, open ones with their decisions."""
    divisor = max(_MULTIPLE, network.divisor)

    def opened(name: str, channels: int) -> Any:
      values = {
        scaled_channels(channels, s, divisor) for s in (*self.widths, 1.0)
      }
      return _field(decisions, f"{name}.channels", sorted(values))

    own = [network.stem.channels, *(b.channels for b in network.blocks)]
    written = streams(network)
    fields = {
      stream: opened(stream, channels)
      for stream, channels in dict(zip(written, own, strict=True)).items()
    }
    head = network.head
    if head.expand or head.expansion:
      last = opened("head", head.channels)
    else:
      last = fields[written[-1]]
    return [*(fields[stream] for stream in written), last]


def explicit(architecture: Architecture) -> Architecture:
  """The same network, whose blocks say whether they add and expand.

  Raises:
    ValueError: a block without an expanding convolution squeezes to a width
      that depends on an expansion other than 1, which it cannot say.
  """
  blocks = []
  before = architecture.stem.channels
  for name, block in blocks_of(architecture).items():
    expands = kinds.expands(architecture, block)(before, block.expansion)
    said: dict[str, Any] = {
      "residual": bool(kinds.adds_input(block)(before, block.channels)),
      "expand": bool(expands),
    }
    said = {f: v for f, v in said.items() if kinds.means(block.op, f)}
    if said.get("expand") is False:
      said["expansion"] = 1  # Its middle has the width of its input.
    plain = dataclasses.replace(block, **said)
    if block.squeeze_excite and not _passes(block):
      squeezed = [
        kinds.squeeze_channels(architecture, b)(before, b.expansion)
        for b in (block, plain)
      ]
      if squeezed[0] != squeezed[1]:
        raise ValueError(
          f"{name}.expansion is {block.expansion}; legal: 1 in a block that"
          " squeezes and does not expand"
        )
    blocks.append(plain)
    before = block.channels
  return dataclasses.replace(architecture, blocks=tuple(blocks))


# A decision, and the field of each block of a stage that follows it or not.
_Opened = tuple[Decision | None, Sequence[Any]]


def _stages(network: Architecture) -> dict[int, list[int]]:
  """The places of each stage's blocks among all."""
  places: dict[int, list[int]] = {}
  for i, block in enumerate(network.blocks):
    places.setdefault(block.stage, []).append(i)
  return places


def _field(decisions: list[Decision], name: str, values: Sequence[Any]) -> Any:
  """An open field with a new decision, or its one value."""
  if len(values) == 1:
    return values[0]
  decisions.append(Decision(name, tuple(values)))
  return follow(decisions[-1])


def _opened(name: str, leading: Sequence[Any], rows: Sequence[Any]) -> _Opened:
  """Fields of blocks that take one row of values for each choice.

  Args:
    name: of the decision.
    leading: its values.
    rows: for each of them the values of the blocks.
  """
  columns = list(zip(*rows, strict=True))
  fields = [c[0] if len(set(c)) == 1 else Follow(name, c) for c in columns]
  decision = Decision(name, tuple(leading)) if len(rows) > 1 else None
  return decision, fields


def _expansions(
  stage: str, network: Architecture, places: list[int], shares: Sequence[float]
) -> _Opened:
  before = [network.stem.channels, *(b.channels for b in network.blocks)]
  blocks = [network.blocks[i] for i in places]
  # By their mid widths, so that what rounds to the same is one choice.
  rows: dict[tuple[int, ...], tuple[float, ...]] = {}
  for share in sorted({*shares, 1.0}, reverse=True):
    row = tuple(_narrowed(block, share) for block in blocks)
    mids = tuple(
      kinds.mid_channels(network, block)(before[i], expansion)
      for i, block, expansion in zip(places, blocks, row, strict=True)
    )
    rows.setdefault(mids, row)
  ascending = list(rows.values())[::-1]
  widest = max(range(len(blocks)), key=lambda i: ascending[-1][i])
  leading = [row[widest] for row in ascending]
  return _opened(f"{stage}.expansion", leading, ascending)


def _narrowed(block: Block, share: float) -> float:
  """A share of a block's expansion."""
  own = block.expansion
  if share == 1 or block.expand is False or _passes(block):
    return own
  return max(round(own * share, 4), min(own, 1.0))


def _kernels(
  stage: str, blocks: Sequence[Block], sizes: Sequence[int]
) -> _Opened:
  # A padding in pixels belongs to one size of the kernel.
  own = [b.kernel for b in blocks]
  is_open = [b.padding is None and not _passes(b) for b in blocks]
  most = max((k for k, o in zip(own, is_open, strict=True) if o), default=0)
  values = [*sorted({k for k in sizes if k < most}), most]
  rows = [
    [min(k, size) if o else k for k, o in zip(own, is_open, strict=True)]
    for size in values
  ]
  return _opened(f"{stage}.kernel", values, rows)


def _depths(
  stage: str, network: Architecture, places: list[int], least: int
) -> _Opened:
  written = streams(network)
  fewest = len(places)
  while fewest > max(least, 1):
    last = places[fewest - 1]
    if written[last + 1] != written[last]:
      break
    fewest -= 1
  values = range(fewest, len(places) + 1)
  rows = [[n > slot for slot in range(len(places))] for n in values]
  return _opened(f"{stage}.depth", values, rows)


def _passes(block: Block) -> bool:
  return kinds.KINDS[block.op].passes


def _numbers(
  key: str, values: Any, kind: type, least: float, most: float
) -> None:
  """Refuses what is no number of a kind between two."""
  legal = (int, float) if kind is float else (int,)
  for value in values:
    is_number = isinstance(value, legal) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
      noun = "an integer" if kind is int else "a number"
      raise ValueError(
        f"{key} has {shown(value)}; legal: {noun} from {least} to {most:,}"
      )


def _check_groups(network: Architecture) -> None:
  for name, block in blocks_of(network).items():
    if block.groups != 1:
      raise ValueError(
        f"{name}.groups is {block.groups}; legal: 1 in a network around which"
        " a space is, since groups of channels have no leading part"
      )


def _check_prefixes(network: Architecture, table: Architecture) -> None:
  """Every network's layers must be parts of the given one's."""
  before, widest = table.stem.channels, network.stem.channels
  for (name, block), whole in zip(
    blocks_of(table).items(), network.blocks, strict=True
  ):
    for layer in kinds.KINDS[block.op].layers:
      exists, fields = kinds.existence(layer, table, block, before)
      if len({bool(v) for _, v in joint_values(exists, fields)}) > 1:
        raise ValueError(
          f"{name}.op is {block.op!r}, whose convolution {layer.name} would be"
          " there at some widths alone; legal: blocks that have it at all"
          " widths, or widths=()"
        )
    if block.squeeze_excite and not _passes(block):
      squeezed = kinds.squeeze_channels(table, block)
      most = max(
        v for _, v in joint_values(squeezed, (before, block.expansion))
      )
      own = kinds.squeeze_channels(network, whole)(widest, whole.expansion)
      if most > own:
        raise ValueError(
          f"{name} would squeeze to {most} channels, and the network's does to"
          f" {own}; legal: larger shares of widths and expansions"
        )
    before, widest = block.channels, whole.channels


def _check_sizes(space: SearchSpace, sides: Sequence[int]) -> None:
  """Something must be left of the image at every resolution."""
  smallest = space.architecture([0] * len(space.decisions))
  for side in sides:
    try:
      validate(dataclasses.replace(smallest, resolution=side))
    except ValueError as error:
      raise ValueError(f"resolutions has {side}: {error}") from error
