"""The schema of `result.json` (version 1) of the job `zero_cost`.

Rules as in `schema`. Accuracies are fractions of 1; a score that is null ranked
last.
"""

from __future__ import annotations

import dataclasses

from fbnax.report.schema import JobResult, Rows, check_share


@dataclasses.dataclass(frozen=True)
class ScoredNetwork:
  """A network: its accuracy in the table, and its scores."""

  genotype: tuple[int, ...] = ()
  accuracy: float | None = None
  scores: dict[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ProxyRow:
  """How a score, or a vote of several, orders the networks.

  Correlations with the accuracies are of all networks, of the best, and given
  the MACs; low and high are the ends of 95% intervals. `ndcg` is the normalised
  discounted cumulative gain. `within_macs` is the mean correlation within
  groups of networks of nearly equal MACs.
  """

  name: str = ""
  combination: bool = False
  finite: int | None = None
  distinct: int | None = None
  macs: float | None = None
  spearman: float | None = None
  low: float | None = None
  high: float | None = None
  kendall: float | None = None
  ndcg: float | None = None
  best: float | None = None
  best_low: float | None = None
  best_high: float | None = None
  given_macs: float | None = None
  within_macs: float | None = None


@dataclasses.dataclass(frozen=True)
class ScoreSummary:
  """Rows of all scores, and their correlations with each other."""

  names: tuple[str, ...] = ()
  proxies: tuple[ProxyRow, ...] = ()
  matrix: tuple[tuple[float | None, ...], ...] = ()
  best_share: float | None = None
  best_networks: int | None = None


@dataclasses.dataclass(frozen=True)
class ScoredBatch:
  """What the networks were scored on."""

  name: str | None = None
  source: str | None = None
  images: int | None = None


@dataclasses.dataclass(frozen=True)
class ZeroCostResult(JobResult):
  """Everything the report of zero-cost scores is made of."""

  dataset: ScoredBatch = dataclasses.field(default_factory=ScoredBatch)
  space: Rows = dataclasses.field(default_factory=Rows)
  networks: tuple[ScoredNetwork, ...] = ()
  summary: ScoreSummary = dataclasses.field(default_factory=ScoreSummary)

  def check(self) -> None:
    """Raises a ValueError where parts do not fit together."""
    summary = self.summary
    count = len(summary.names)
    if (
      summary.matrix and [len(row) for row in summary.matrix] != [count] * count
    ):
      raise ValueError(
        f"summary.matrix must have {count} rows of {count}, one for each of "
        "summary.names"
      )
    for i, network in enumerate(self.networks):
      check_share(f"networks[{i}].accuracy", network.accuracy)
