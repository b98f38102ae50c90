"""What a network costs, put together with how well it does: one number.

Combinations of a cross entropy `CE` (nats) and a cost `c`, each of which
gradient descent makes small:

* `additive`: `CE + alpha c / reference`, as DMaskingNAS adds the total cost
  (Wan 2022, section 3.3, below equation 3.10);
* `multiplicative`: `CE x alpha log(c)^beta`, FBNet's latency-aware loss (Wu et
  al. 2019) with its alpha of 0.2 and beta of 0.6;
* `target`: `CE x |c / target|^omega`, where `|x|` is the larger of `x` and
  `1 / x`: the distance from the target on a logarithmic scale, from either
  side. MnasNet's exponent, which this is above the target, pays for every
  network below it too; here a cheaper one is as wrong as a dearer one, so that
  what is asked for is what comes out;
* `none`: `CE` alone, as DARTS, which pays for nothing.

The logarithm wants a cost above 1: MACs and parameters are counts, latencies
enter in microseconds, as FBNet's.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from fbnax.base.checks import check_section

COMBINATIONS = ("additive", "multiplicative", "target", "none")


@dataclasses.dataclass(frozen=True)
class Penalty:
  """A combination and its constants.

  Attributes:
    combination: one of `COMBINATIONS`.
    alpha: weight of the cost in `additive`, factor of the loss in
      `multiplicative`.
    beta: exponent of the logarithm in `multiplicative`.
    omega: exponent of the ratio in `target`.
    reference: the cost that `additive` counts in, and the target of `target`;
      in the units of the cost. Used by no other.
  """

  combination: str = "target"
  alpha: float = 0.2
  beta: float = 0.6
  omega: float = 1.0
  reference: float = 1.0

  def __post_init__(self) -> None:
    """Refuses constants that penalise nothing, or the wrong side."""
    checks = {
      "combination": (
        self.combination in COMBINATIONS,
        ", ".join(COMBINATIONS),
      ),
      "alpha": (_finite(self.alpha) and self.alpha > 0, "above 0"),
      "beta": (_finite(self.beta) and self.beta > 0, "above 0"),
      "omega": (_finite(self.omega) and self.omega > 0, "above 0"),
      "reference": (_finite(self.reference) and self.reference > 0, "above 0"),
    }
    check_section("search", self, checks)


def combine(
  penalty: Penalty, cross_entropy: jax.Array, cost: jax.Array
) -> jax.Array:
  """The loss of the architecture's parameters.

  Args:
    penalty: which combination.
    cross_entropy: nats, `f32[]`.
    cost: above 0, `f32[]`; above 1 in `multiplicative`.

  Returns:
    `f32[]`.
  """
  if penalty.combination == "none":
    return cross_entropy
  if penalty.combination == "additive":
    return cross_entropy + penalty.alpha * cost / penalty.reference
  if penalty.combination == "multiplicative":
    return cross_entropy * penalty.alpha * jnp.log(cost) ** penalty.beta
  distance = jnp.abs(jnp.log(cost / penalty.reference))
  return cross_entropy * jnp.exp(penalty.omega * distance)


def _finite(value: Any) -> bool:
  return isinstance(value, int | float) and math.isfinite(value)
