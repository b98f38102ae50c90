"""How long the predictor takes to pretrain and to fit.

  python -m tests.benchmarks.predictor [result.json]

The accuracy it is fitted to is a formula, with noise. A predictor that does not
learn fails; a slow one does not. First calls include compilation.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import costs, spaces
from fbnax.search import predictor
from fbnax.search.pretraining import correlations, pretrain
from fbnax.spaces import SearchSpace

POOL = 20_000
RUNS = 5


def accuracy(space: SearchSpace, genotypes: jax.Array) -> jax.Array:
  """An accuracy in percent that grows with MACs and depends on the recipe."""
  features = space.encode(genotypes)
  macs = jnp.log(costs.batch(space, genotypes).macs)
  recipe = features[:, space.num_architecture_features :]
  depth = features[:, : space.num_architecture_features].mean(axis=1)
  noise = 0.1 * jax.random.normal(jax.random.key(1), macs.shape)
  rate = (recipe[:, 0] - 0.4) ** 2
  return 10.0 + 4.0 * macs + 2.0 * depth - 3.0 * rate + recipe[:, -1] + noise


def timed(function: Callable[[int], Any]) -> tuple[Any, dict[str, float]]:
  """The last result, the first call's time and the median of later ones."""
  times = []
  for i in range(RUNS + 1):
    start = time.perf_counter()
    result = function(i)
    # Results hold host arrays too, which are ready.
    jax.block_until_ready(result)
    times.append(time.perf_counter() - start)
  return result, {
    "first_call_s": times[0],
    "median_s": statistics.median(times[1:]),
  }


def measure(name: str) -> list[dict]:
  """Times and qualities of one space."""
  space = spaces.get(name)
  pool = space.sobol(POOL)
  pool_costs = jax.block_until_ready(costs.batch(space, pool))
  (pretrained, proxies), times = timed(
    lambda i: pretrain(jax.random.key(i), space, pool, pool_costs)
  )
  rows = [
    {
      "step": "pretrain 20,000",
      "quality": min(p.kendall for p in proxies.values()),
      **times,
    }
  ]
  labels = np.asarray(accuracy(space, pool))
  unseen = slice(POOL // 2, POOL // 2 + 2000)
  for count in (48, 192):
    trials = pool[:count], labels[:count]
    model, times = timed(
      lambda i, t=trials: predictor.fit(
        jax.random.key(i), space, pretrained, *t
      )
    )
    score = predictor.predict(model, pool[unseen]).score
    rank = correlations(score, labels[unseen])[0]
    rows.append({"step": f"fit {count} labels", "quality": rank, **times})
  found, times = timed(
    lambda i: predictor.cross_validate(
      jax.random.key(i), space, pretrained, *trials
    )
  )
  rows.append({"step": "8 folds of 192", "quality": found.kendall, **times})
  for row in rows:
    row["space"] = name
    assert row["quality"] > 0.5, row
  return rows


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  rows = [row for name in ("fbnetv3", "small") for row in measure(name)]
  print(
    f"{'space':8} {'step':16} {'first s':>8} {'median s':>9} {'Kendall':>8}"
  )
  for row in rows:
    print(
      f"{row['space']:8} {row['step']:16} {row['first_call_s']:8.2f} "
      f"{row['median_s']:9.3f} {row['quality']:8.3f}"
    )
  if arguments:
    Path(arguments[0]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
