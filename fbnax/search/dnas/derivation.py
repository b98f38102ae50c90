"""From `theta` to a network: the most likely one, or the best of some drawn.

FBNet trains several networks sampled from `P_theta`, DMaskingNAS takes the
argmax. Here a sample is judged before it is trained, by its loss under the
supernet's shared weights, and only samples near the target are candidates.
The same draw from a `theta` of zeros gives random networks of the same cost,
which are what a search has to be better than.

Symbols: `n` genotypes, `D` decisions, `B` examples.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import data
from fbnax.search.dnas.state import SearchProblem
from fbnax.search.prices import Price
from fbnax.spaces import SearchSpace
from fbnax.training import augment, loop, losses
from fbnax.training.model import Member

DERIVATIONS = ("argmax", "sample")
_POPULATION = 1024
_SWEEPS = 400


class Band(NamedTuple):
  """The costs that are near enough to a target, both ends included."""

  low: float = 0.0
  high: float = math.inf

  def distance(self, cost: Any) -> np.ndarray:
    """How far costs are outside, on a logarithmic scale; 0 inside."""
    cost = np.asarray(cost, np.float64)
    below = np.log(max(self.low, 1e-300)) - np.log(np.maximum(cost, 1e-300))
    above = np.log(np.maximum(cost, 1e-300)) - np.log(self.high)
    return np.maximum(0.0, np.maximum(below, above))


@dataclasses.dataclass(frozen=True)
class DerivedNetwork:
  """A candidate for the network that a search ends with.

  Attributes:
    genotype: `D` choices.
    cost: what it costs.
    loss: cross entropy under the shared weights, nats; None if not measured.
    accuracy: likewise.
  """

  genotype: tuple[int, ...]
  cost: float
  loss: float | None = None
  accuracy: float | None = None


def band(target: float, tolerance: float) -> Band:
  """All costs within a tolerance of a target; any cost for a target of 0."""
  if target <= 0:
    return Band()
  return Band(target * (1.0 - tolerance), target * (1.0 + tolerance))


def most_likely(space: SearchSpace, theta: Sequence[jax.Array]) -> np.ndarray:
  """The likeliest choice of each decision, canonical, `i32[D]`."""
  chosen = jnp.asarray([int(np.argmax(np.asarray(t))) for t in theta])
  return np.asarray(space.canonical(chosen.astype(jnp.int32)[None])[0])


def draw(
  seed: int,
  price: Price,
  theta: Sequence[Any],
  allowed: Band,
  count: int,
  exclude: Sequence[Any] = (),
) -> np.ndarray:
  """Distinct networks of `P_theta` whose cost lies in a band.

  Networks are drawn; while fewer than `count` lie in the band, those that do
  not take a random decision anew, and keep the new choice where it brings them
  no farther from it. New choices are drawn from `P_theta` too, and from all
  choices alike once that no longer helps.

  Args:
    seed: of the draw.
    price: what is paid, and the space.
    theta: `f32[choices]` per decision; zeros for random networks.
    allowed: the band.
    count: how many to find.
    exclude: genotypes that are left out.

  Returns:
    At most `count` genotypes, those that needed fewer changes first,
    `i32[n, D]`; fewer, or none, where the band holds no more or is not found.
  """
  rng = np.random.default_rng(seed)
  space = price.space
  probabilities = [_softmax(np.asarray(t, np.float64)) for t in theta]
  even = [np.full(len(p), 1.0 / len(p)) for p in probabilities]
  open_decisions = [i for i, p in enumerate(probabilities) if len(p) > 1]
  current = _canonical(space, _draw(rng, probabilities, _POPULATION))
  cost = price.batch(current)
  seen = {tuple(np.asarray(g).tolist()) for g in exclude}
  genotypes: list[tuple[int, ...]] = []
  for sweep in range(_SWEEPS):
    for i in np.flatnonzero(allowed.distance(cost) == 0):
      genotype = tuple(current[i].tolist())
      if genotype not in seen:
        seen.add(genotype)
        genotypes.append(genotype)
    if len(genotypes) >= count or not open_decisions:
      break
    source = probabilities if sweep < _SWEEPS // 2 else even
    fresh = _draw(rng, source, _POPULATION)
    tried = current.copy()
    columns = rng.choice(open_decisions, _POPULATION)
    rows = np.arange(_POPULATION)
    tried[rows, columns] = fresh[rows, columns]
    tried = _canonical(space, tried)
    tried_cost = price.batch(tried)
    better = allowed.distance(tried_cost) <= allowed.distance(cost)
    current = np.where(better[:, None], tried, current)
    cost = np.where(better, tried_cost, cost)
  return np.asarray(genotypes[:count], np.int32).reshape(-1, len(probabilities))


def derive(
  problem: SearchProblem,
  variables: Any,
  theta: Sequence[jax.Array],
  batches: Sequence[tuple[Any, Any]],
  *,
  derivation: str,
  samples: int,
  allowed: Band,
  seed: int,
) -> list[DerivedNetwork]:
  """The candidates for the end of a search, the one to take first.

  The most likely network is a candidate too, where its cost is allowed.

  Args:
    problem: the search.
    variables: of the supernet.
    theta: `f32[choices]` per decision.
    batches: images `u8[B, H, W, C]` and labels `i32[B]`, none that the weights
      were trained on.
    derivation: `argmax`: the most likely network, whatever it costs; `sample`:
      the best of those drawn by loss under the shared weights.
    samples: how many to draw.
    allowed: costs of candidates. Where no network with such a cost is drawn
      the most likely one is all there is.
    seed: of the draw.

  Raises:
    ValueError: an unknown derivation, or no samples.
  """
  if derivation not in DERIVATIONS:
    raise ValueError(
      f"search.derivation is {derivation!r}; legal: {', '.join(DERIVATIONS)}"
    )
  if samples < 1:
    raise ValueError(f"search.samples is {samples!r}; legal: at least 1")
  price = problem.price
  first = most_likely(price.space, theta)
  cost = price.exact(first)
  genotypes = [first]
  if derivation == "sample":
    drawn = draw(seed, price, theta, allowed, samples, [first])
    inside = allowed.distance(cost) == 0
    genotypes = [*([first] if inside else []), *drawn] or [first]
  candidates = []
  for genotype in genotypes:
    loss = accuracy = None
    if len(genotypes) > 1 or derivation == "sample":
      loss, accuracy = shared_loss(problem, variables, genotype, batches)
    candidates.append(
      DerivedNetwork(
        tuple(int(i) for i in genotype),
        price.exact(genotype),
        loss,
        accuracy,
      )
    )
  return sorted(candidates, key=lambda c: c.loss if c.loss is not None else 0.0)


def batches(
  problem: SearchProblem, feed: loop.Feed
) -> list[tuple[np.ndarray, np.ndarray]]:
  """Whole batches of the images that `theta` was trained on, in their order.

  BN needs them whole; the images that are left over are left out.
  """
  size = problem.settings.batch_size
  if isinstance(feed, loop.Examples):
    images, labels = (np.asarray(part) for part in feed)
    starts = range(0, len(labels) - size + 1, size)
    return [(images[i : i + size], labels[i : i + size]) for i in starts]
  made = data.stream(
    feed,
    batch_size=size,
    resolution=problem.settings.resolution,
    seed=0,
    train=False,
    workers=8,
  )
  return [(x, y) for x, y in made if (y >= 0).all()]


def shared_loss(
  problem: SearchProblem,
  variables: Any,
  genotype: Any,
  batches: Sequence[tuple[Any, Any]],
) -> tuple[float, float]:
  """Loss (nats) and accuracy of a network under the supernet's weights.

  BN uses each batch's statistics: the running ones are those of mixtures.
  """
  chosen = jnp.asarray(genotype, jnp.int32)
  measured = [
    _shared(problem, variables, chosen, jnp.asarray(x), jnp.asarray(y))
    for x, y in batches
  ]
  loss, accuracy = np.asarray(measured, np.float64).mean(0)
  return float(loss), float(accuracy)


@functools.partial(jax.jit, static_argnums=0)
def _shared(
  problem: SearchProblem,
  variables: Any,
  genotype: jax.Array,
  images: jax.Array,
  labels: jax.Array,
) -> jax.Array:
  choices = problem.price.space.choices
  weights = tuple(jax.nn.one_hot(genotype[i], k) for i, k in enumerate(choices))
  x = augment.prepare(images, problem.settings)
  key = jax.random.key(0)  # Nothing is dropped.
  member = Member(_NoRates(), weights, key)  # type: ignore[arg-type]
  logits, _ = problem.model.train_logits(variables, member, x, key)
  logits = logits.astype(jnp.float32)
  targets = losses.smooth_labels(labels, logits.shape[-1], 0.0)
  return jnp.stack(
    [
      losses.cross_entropy(logits, targets),
      losses.count_correct(logits, labels).mean(),
    ]
  )


class _NoRates(NamedTuple):
  """A recipe that drops nothing."""

  dropout: float = 0.0
  stochastic_depth: float = 0.0


def _draw(
  rng: np.random.Generator, probabilities: Sequence[np.ndarray], count: int
) -> np.ndarray:
  """Independent draws of all decisions, `i32[count, D]`."""
  columns = [
    np.searchsorted(np.cumsum(p)[:-1], rng.random(count), side="right")
    for p in probabilities
  ]
  return np.stack(columns, 1).astype(np.int32)


def _canonical(space: SearchSpace, genotypes: np.ndarray) -> np.ndarray:
  return np.asarray(space.canonical(jnp.asarray(genotypes, jnp.int32)))


def _softmax(logits: np.ndarray) -> np.ndarray:
  powers = np.exp(logits - logits.max())
  return powers / powers.sum()
