"""The NAS-Bench-201 space: Dong & Yang 2020.

Six edges, five operations on each: 15,625 cells, each of which the benchmark
trained on CIFAR-10. Decisions and values are ordered such that a genotype is a
row of operation indices as NASLib's tables have it (0 skip, 1 none, 2 conv3x3,
3 conv1x1, 4 avgpool3x3). Different genotypes may compute the same function;
the benchmark trained each on its own, so every one is canonical here.
"""

from __future__ import annotations

from fbnax.spaces.cell import EDGES, OPS, CellNetwork
from fbnax.spaces.space import Decision, SearchSpace, follow


def space() -> SearchSpace:
  """The whole space, in the size of the benchmark."""
  decisions = tuple(
    Decision(f"edge{start}_{end}", OPS, categorical=True)
    for start, end in EDGES
  )
  first, second, third, fourth, fifth, sixth = map(follow, decisions)
  return SearchSpace(
    name="nasbench201",
    decisions=decisions,
    table=CellNetwork(ops=(first, second, third, fourth, fifth, sixth)),
  )
