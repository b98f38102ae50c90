"""Networks put together from the best modules of every stage.

AutoBuild (Mills et al. 2024, section 5.1): the top K modules of each stage make
a reduced space; with a small K all of its networks are the result, with a
larger one it is what a search looks at.

  data = labelled.load("labels.csv", spaces.get("mobilenetv3"))
  label = label_expressions.evaluate("acc * 100 / latency", data.columns)
  encoder = encoding(data.space)  # of fbnax.search.autobuild.chains
  network = GraphPredictor(encoder.categories, encoder.numbers)
  keys = jax.random.split(jax.random.key(0), 3)
  model = graph_fit.fit(keys, network, encoder.encode(data.genotypes), label)
  moments = modules.moments(model, data.space, data.genotypes, label)
  scores = modules.scores(model, data.space, moments)  # of 5 x 7,371 modules
  joined = construction.best(data.space, [scores], 3)
  joined.space, construction.constructed(joined)  # genotypes

Symbols: `n` networks, `D` decisions, `M` modules of a stage, `K` kept ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from fbnax.search.autobuild.modules import MOST, stages
from fbnax.spaces import SearchSpace
from fbnax.spaces.joining import Group, Joined, join


def best(
  space: SearchSpace, scores: Sequence[Sequence[np.ndarray]], top: int
) -> Joined:
  """The part of the space with the best modules of every stage.

  Args:
    space: the space.
    scores: as `modules.scores` gives them, of one or more predictors; the top
      modules by each are kept.
    top: `K`, modules of every stage for each of the predictors.

  Raises:
    ValueError: `top` is below 1.
  """
  if top < 1:
    raise ValueError(f"top is {top!r}; legal: at least 1")
  groups = {}
  for i, stage in enumerate(stages(space)):
    kept: dict[int, None] = {}
    for of_label in scores:
      order = np.argsort(-of_label[i], kind="stable")[:top]
      kept |= dict.fromkeys(order.tolist())
    names = tuple(space.decisions[p].name for p in stage.decisions)
    groups[f"{stage.name}.module"] = Group(names, stage.modules[list(kept)])
  return join(space, groups)


def constructed(joined: Joined, **decisions: int) -> np.ndarray:
  """All networks of a reduced space, genotypes of the original `i32[n, D]`.

  Args:
    joined: the reduced space.
    decisions: choices of decisions that are not to be varied.

  Raises:
    ValueError: there are more than a million.
  """
  space = joined.space
  options = [
    [decisions[d.name]] if d.name in decisions else range(len(d.values))
    for d in space.decisions
  ]
  count = math.prod(map(len, options))
  if count > MOST:
    raise ValueError(
      f"the reduced space has {count:,} networks; legal: up to {MOST:,}, keep "
      "fewer modules"
    )
  return joined.expand(np.asarray(list(itertools.product(*options)), np.int32))
