"""TinyNAS's choice of a space: where networks that fit are the largest.

Lin et al. 2020 ("MCUNet"), section 3.1: before a search on a microcontroller,
its space is chosen among scaled ones (an input resolution, a width multiplier)
without any training. Networks of each are drawn, those that fit in memory are
kept, and the space whose kept networks have the most MACs is searched: under
one limit of memory more computation is more capacity. The paper draws the
distributions (its figure 3) and compares their means; quantiles, of which a
better space has the larger throughout, are told here too.

Under memory and flash, here with int8 (`cut_spaces` are candidates of your
own):

  scaled = search.scaled_spaces(
    spaces.get("mnasnet"),
    widths=(0.3, 0.4, 0.5),
    resolutions=(96, 128, 160, 192),
  )
  limits = search.Budget(memory=(0, 320 * 1024), params=(0, 1024**2))
  for choice in search.choose_space(scaled, limits)[:3]:  # .space, .curve, …
    macs = choice.macs / 1e6
    print(choice.name, f"{choice.share:.1%} fit, {macs:.1f} M MACs,")
    print("  quantiles", [round(q / 1e6, 1) for q in choice.quantiles])
  # w0.5-r192 3.5% fit, 33.7 M MACs,
  #   quantiles [26.9, 34.8, 40.0]
  # w0.4-r192 8.0% fit, 31.6 M MACs,
  #   quantiles [25.2, 31.1, 37.8]
  # w0.5-r160 6.2% fit, 27.5 M MACs,
  #   quantiles [20.1, 27.0, 34.0]

Twelve candidates of 1,000 networks take ten CPU-seconds. 3.5% are 35 networks:
`choice.error`, 1.2 M here, says what the draw leaves open; `samples` is for
more of them.

Symbols: `n` networks, `D` decisions, `Q` quantiles.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.costs import LatencyTable
from fbnax.costs.latency_keys import made_of_blocks
from fbnax.costs.table import Context
from fbnax.search import prices
from fbnax.search.budgets import (
  Budget,
  batched,
  context_of,
  descend,
  paid,
  violation,
)
from fbnax.search.prices import Price, price_of
from fbnax.spaces import Decision, SearchSpace, follow
from fbnax.spaces.follow import Follow
from fbnax.spaces.scaling import scaled_channels

# "The top 20% of the models have more than 50.3 M" is how the paper reads it.
QUANTILES = (0.2, 0.5, 0.8)


class SubSpace(NamedTuple):
  """A part of a space.

  Attributes:
    name: what messages and results call it.
    space: the part, to search in.
    whole: what it is cut from. Costs are counted there, so that all parts of
      one space share one compiled program.
  """

  name: str
  space: SearchSpace
  whole: SearchSpace


class SpaceChoice(NamedTuple):
  """What the networks of a sub-space are that meet a budget.

  Attributes:
    name: of the sub-space.
    space: to search in.
    share: of all networks those that meet the budget, 0 to 1.
    macs: their mean MACs; NaN where there is none.
    error: standard error of the mean by chance of the draw; 0 where all
      networks were looked at.
    quantiles: of their MACs, `[Q]`; NaN where there is none.
    curve: their MACs, ascending, `f64[n]`: the distribution to draw.
  """

  name: str
  space: SearchSpace
  share: float
  macs: float
  error: float
  quantiles: tuple[float, ...]
  curve: np.ndarray


def cut_spaces(
  space: SearchSpace, cuts: Mapping[str, Mapping[str, Any]]
) -> tuple[SubSpace, ...]:
  """Parts of a space by `SearchSpace.fix`.

  Args:
    space: the space.
    cuts: by the name of the part, decisions and the values they are cut to.

  Raises:
    ValueError: as `SearchSpace.fix`; the part is named.
  """
  parts = []
  for name, decisions in cuts.items():
    try:
      parts.append(SubSpace(name, space.fix(**decisions), space))
    except ValueError as error:
      raise ValueError(f"sub-space {name!r}: {error}") from None
  return tuple(parts)


def scaled_spaces(
  space: SearchSpace, widths: Sequence[float], resolutions: Sequence[int]
) -> tuple[SubSpace, ...]:
  """The space at every width and resolution: TinyNAS's candidates.

  Widths of stem, blocks and head are scaled and rounded as
  `fbnax.spaces.scale` does it. A decision about widths keeps its values, which
  are then those at width 1. Every part has a decision `resolution` of one
  value.

  Args:
    space: of networks that are made of blocks.
    widths: multipliers of channels, above 0.
    resolutions: pixels; where the space decides about its resolution, of its
      values.

  Returns:
    `w0.5-r96` and so on, as in the paper.

  Raises:
    ValueError: a width is not above 0 or makes two widths of a decision one,
      a resolution is none of the space's, or there is none of either.
  """
  table = made_of_blocks(space.table)
  for name, values in (("widths", widths), ("resolutions", resolutions)):
    if not values or len(set(values)) != len(values):
      raise ValueError(
        f"{name} is {values!r}; legal: one or more, all distinct"
      )
  resolution: Any = table.resolution
  if not isinstance(resolution, Follow):
    wrong = [r for r in resolutions if not (r >= 1 and r == int(r))]
    if wrong:
      raise ValueError(f"resolution is {wrong[0]!r}; legal: pixels, at least 1")
    added = Decision("resolution", tuple(sorted(resolutions)))
    resolution = follow(added)
    table = dataclasses.replace(table, resolution=resolution)
    space = dataclasses.replace(
      space, decisions=(added, *space.decisions), table=table
    )
  side = resolution.decision
  parts: list[SubSpace] = []
  for width in widths:
    cuts = {f"w{width:g}-r{r}": {side: r} for r in resolutions}
    parts += cut_spaces(_widened(space, width), cuts)
  return tuple(parts)


def choose_space(
  candidates: Sequence[SubSpace],
  budget: Budget,
  *,
  seed: int = 0,
  samples: int = 1000,
  quantiles: Sequence[float] = QUANTILES,
  num_classes: int = 1000,
  table: LatencyTable | None = None,
) -> tuple[SpaceChoice, ...]:
  """Sub-spaces by the mean MACs of their networks that meet a budget.

  Networks are drawn uniformly over the choices of each decision, or all choices
  are taken where there are no more than `samples`. The draws of all candidates
  are alike where they have the same choices, so that chance favours none.

  Args:
    candidates: of `scaled_spaces` or `cut_spaces`.
    budget: limits; of memory (elements, with int8 bytes of SRAM) and parameters
      (with int8 bytes of flash), or any others.
    seed: of the draws.
    samples: networks of each candidate.
    quantiles: shares from 0 to 1.
    num_classes: outputs of the classifier.
    table: tells latencies, where they are limited.

  Returns:
    One for each candidate, the one to search in first; those of which no
    network fits are last.

  Raises:
    ValueError: no network of any candidate meets the budget (the least costs of
      each are named), there are no candidates or two of one name, the budget is
      a batch, or latency is limited and no table given.
  """
  names = [c.name for c in candidates]
  if not names or len(set(names)) != len(names):
    raise ValueError(
      f"candidates are {names}; legal: one or more, all distinct"
    )
  if samples < 1:
    raise ValueError(f"samples is {samples!r}; legal: at least 1")
  wrong = [q for q in quantiles if not 0 <= q <= 1]
  if wrong:
    raise ValueError(f"quantile {wrong[0]!r}; legal: from 0 to 1")
  limits = batched(budget)
  if len(limits.macs[0]) != 1:
    raise ValueError(f"budget has {len(limits.macs[0])} limits; legal: one")
  prices.check_tables(limits, table, "budget limits")
  context = context_of(limits.further(), num_classes, table)
  choices = []
  for candidate in candidates:
    genotypes, is_all = _networks(candidate.space, seed, samples)
    costs = _paid(
      candidate.whole,
      _in_whole(candidate, genotypes),
      context,
      limits.further(),
    )
    fits = np.asarray(violation(limits, costs)) == 0
    macs = np.sort(np.asarray(costs.macs, np.float64)[fits])
    choices.append(_summary(candidate, macs, len(fits), is_all, quantiles))
  if not any(choice.share for choice in choices):
    raise ValueError(_none_fits(candidates, limits, context))
  # Stable, and NaN is last.
  order = np.argsort([-choice.macs for choice in choices], kind="stable")
  return tuple(choices[i] for i in order)


def _widened(space: SearchSpace, width: float) -> SearchSpace:
  """The space with scaled widths."""
  if not 0 < width < math.inf:
    raise ValueError(f"width is {width!r}; legal: a number above 0")
  table = made_of_blocks(space.table)
  divisor = max(8, table.divisor)

  def scaled(part: Any) -> Any:
    channels = part.channels
    if isinstance(channels, Follow):
      values = (scaled_channels(c, width, divisor) for c in channels.values)
      channels = Follow(channels.decision, tuple(values))
    else:
      channels = scaled_channels(channels, width, divisor)
    return dataclasses.replace(part, channels=channels)

  try:
    return dataclasses.replace(
      space,
      table=dataclasses.replace(
        table,
        stem=scaled(table.stem),
        blocks=tuple(map(scaled, table.blocks)),
        head=scaled(table.head),
      ),
    )
  except ValueError as error:
    raise ValueError(
      f"width {width:g}: {error}; a space that decides about widths is cut "
      "with cut_spaces"
    ) from None


def _networks(
  space: SearchSpace, seed: int, samples: int
) -> tuple[np.ndarray, bool]:
  """Genotypes `i32[n, D]`, not canonical, and whether they are all."""
  if space.size <= samples:
    grid = np.indices(space.choices).reshape(len(space.choices), -1).T
    return grid.astype(np.int32), True
  counts = np.asarray(space.choices)
  # Choices are shares of a number, so that equal counts draw equally.
  drawn = np.random.default_rng(seed).random((samples, len(counts)))
  return np.floor(drawn * counts).astype(np.int32), False


def _in_whole(candidate: SubSpace, genotypes: Any) -> jax.Array:
  """Genotypes of the part as genotypes of the whole, `i32[n, D]`."""
  genotypes = np.asarray(genotypes)
  columns = []
  for i, (part, whole) in enumerate(
    zip(candidate.space.decisions, candidate.whole.decisions, strict=True)
  ):
    places = np.asarray([whole.values.index(v) for v in part.values])
    columns.append(places[genotypes[:, i]])
  return jnp.asarray(np.stack(columns, axis=1), jnp.int32)


_paid = jax.jit(paid, static_argnums=(0, 2, 3))


def _summary(
  candidate: SubSpace,
  macs: np.ndarray,
  count: int,
  is_all: bool,
  quantiles: Sequence[float],
) -> SpaceChoice:
  """What the MACs of the networks that fit say; `count` were looked at."""
  mean, error = math.nan, math.nan
  at = np.full(len(quantiles), math.nan)
  if len(macs):
    mean, at = float(macs.mean()), np.quantile(macs, list(quantiles))
    error = 0.0
    if not is_all:
      # One network tells nothing of its spread.
      spread = macs.std(ddof=1) if len(macs) > 1 else math.nan
      error = float(spread / math.sqrt(len(macs)))
  return SpaceChoice(
    candidate.name,
    candidate.space,
    len(macs) / count,
    mean,
    error,
    tuple(at.tolist()),
    macs,
  )


def _none_fits(
  candidates: Sequence[SubSpace], limits: Budget, context: Context
) -> str:
  """The message, with the least of what is limited for each candidate."""
  asked, rows = [], [f"{c.name}:" for c in candidates]
  for name in filter(limits.limits, limits):
    listed = [price_of(name, c.whole, context) for c in candidates]
    low, high = (float(limit[0]) for limit in limits[name])
    show = listed[0].show
    above = f"from {show(low)} " if low > 0 else ""
    asked.append(f"{name} {above}up to {show(high)}")
    for i, price in enumerate(listed):
      rows[i] += f" {show(_least(candidates[i], price))},"
  return (
    f"no network that was drawn has {' and '.join(asked)}; the least of each "
    f"sub-space: {'; '.join(row.rstrip(',') for row in rows)}"
  )


def _least(candidate: SubSpace, price: Price) -> float:
  """The least cost in a sub-space, by a price of its whole."""

  def cost(genotypes: jax.Array) -> np.ndarray:
    return prices.signed(price, 1.0, _in_whole(candidate, genotypes))

  genotype = descend(candidate.space, cost)
  return dataclasses.replace(price, space=candidate.space).exact(genotype)
