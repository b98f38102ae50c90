"""Networks of one repeated cell, as data: NAS-Bench-201.

Dong & Yang 2020: "NAS-Bench-201: Extending the Scope of Reproducible Neural
Architecture Search". Four nodes, an edge from each to every later one, one
operation on each edge; a node is the sum of its edges. A network is a 3x3
convolution with BN, three stages of cells at `channels`, twice and four times
as many, a residual block that halves the image in front of the second and the
third stage (3x3 of stride 2 and 3x3, beside an average pool of 2 and a 1x1
without BN), BN, ReLU, the average pool and a classifier. Convolutions on edges
and in the residual block are ReLU, convolution without bias, BN.

As with an `Architecture`, the dataclass with open fields (`Follow`) is the
table of a search space.
"""

from __future__ import annotations

import dataclasses
import json
import re

from fbnax.base import limits
from fbnax.base.json_values import shown
from fbnax.spaces.architecture import LIMITS
from fbnax.spaces.exchange import kind_fields

KIND = "cell_network"
EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
# The operations in the order in which the tables of NASLib number them, with
# their published names.
PUBLISHED_NAMES = {
  "skip": "skip_connect",
  "none": "none",
  "conv3x3": "nor_conv_3x3",
  "conv1x1": "nor_conv_1x1",
  "avgpool3x3": "avg_pool_3x3",
}
OPS = tuple(PUBLISHED_NAMES)
STAGES = 3

_EDGE = re.compile(r"([a-z0-9_]+)~([0-9]+)")


@dataclasses.dataclass(frozen=True)
class CellNetwork:
  """A whole network. Hashable; `to_json` and `from_json` exchange it.

  Attributes:
    ops: the operation of each edge, in the order of `EDGES`.
    channels: width of the first stage.
    cells: cells in each of the three stages.
    resolution: height and width of the input image, pixels.
    input_channels: channels of the input image.
  """

  ops: tuple[str, str, str, str, str, str]
  channels: int = 16
  cells: int = 5
  resolution: int = 32
  input_channels: int = 3

  @property
  def arch_str(self) -> str:
    """The published notation: the edges into each node, `operation~from`."""
    named = dict(zip(EDGES, self.ops, strict=True))
    nodes = (
      "|".join(
        f"{PUBLISHED_NAMES[named[start, end]]}~{start}" for start in range(end)
      )
      for end in range(1, 4)
    )
    return "+".join(f"|{node}|" for node in nodes)

  @classmethod
  def from_arch_str(cls, text: str) -> CellNetwork:
    """The network of the published notation, in the published size.

    Raises:
      ValueError: the text is not of that form; what is wrong is quoted.
    """
    named = {published: op for op, published in PUBLISHED_NAMES.items()}
    edges = []
    for end, node in enumerate(text.split("+"), start=1):
      for edge in node.strip("|").split("|"):
        match = _EDGE.fullmatch(edge)
        if not match or match[1] not in named:
          raise ValueError(
            f"{edge!r} in {text!r} is no edge; legal: one of "
            f"{tuple(named)}, a tilde, and the node it comes from"
          )
        edges.append(((int(match[2]), end), named[match[1]]))
    found = tuple(edge for edge, _ in edges)
    if sorted(found) != sorted(EDGES):
      raise ValueError(f"{text!r} has the edges {found}; legal: {EDGES}")
    return cls(tuple(op for _, op in sorted(edges)))  # type: ignore[arg-type]

  def to_json(self) -> str:
    """The network as a JSON object in one line; `kind` says what it is."""
    return json.dumps({"kind": KIND} | dataclasses.asdict(self))

  @classmethod
  def from_json(cls, text: str) -> CellNetwork:
    """Reads what `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object of that kind, a key is missing or
        unknown, or a value is outside what a network can be built from; the
        key is named.
    """
    data = kind_fields(cls, text, "cell network", KIND)
    if not isinstance(data["ops"], list):
      raise ValueError(f"ops must be a list, found {shown(data['ops'])}")
    network = cls(**data | {"ops": tuple(data["ops"])})
    validate(network)
    return network


def validate(network: CellNetwork) -> None:
  """Raises a ValueError that names the first field no network can have."""
  if len(network.ops) != len(EDGES):
    raise ValueError(
      f"ops has {len(network.ops)} operations; legal: one for each of the "
      f"edges {EDGES}"
    )
  for (start, end), op in zip(EDGES, network.ops, strict=True):
    if op not in OPS:
      raise ValueError(f"ops: edge {start}-{end} is {shown(op)}; legal: {OPS}")
  for name in ("channels", "cells", "resolution", "input_channels"):
    value, most = getattr(network, name), LIMITS.get(name, limits.BLOCKS)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= most:
      raise ValueError(
        f"{name} is {shown(value)}; legal: an integer from 1 to {most}"
      )
  # Where the image has an odd side, the two halvings of a residual block
  # round apart.
  halvings = 2 ** (STAGES - 1)
  if network.resolution % halvings:
    raise ValueError(
      f"resolution is {network.resolution}; legal: a multiple of {halvings}"
    )
