"""How well sums of a fitted table tell what networks take on 23 devices.

  python -m tests.benchmarks.latency fbnet_latency_help.npz [result.json]

The file holds 5,000 FBNet architectures (`arch`, 22 indices of types) and their
latency on each device (`latency_ms`, by `devices`). A table is fitted to 4,000
of them (`fbnax.costs.fit_table`) and judged on the other 1,000. Four of the 27
devices were not measured: their latencies are sums of a table already, which
the fit must find; a fit that does not fails.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from scipy import stats

from fbnax import spaces
from fbnax.costs import fit_table

FITTED = 4000
SUMS = ("eyeriss", "fpga", "pixel3", "raspi4")


def measure(device: str, genotypes: np.ndarray, latency: np.ndarray) -> dict:
  """One device's row."""
  space = spaces.get("fbnet_cifar")
  start = time.perf_counter()
  table = fit_table(space, genotypes[:FITTED], latency[:FITTED], device=device)
  seconds = time.perf_counter() - start
  sums = np.asarray(table.batch(space, genotypes[FITTED:]))
  truth = latency[FITTED:]
  errors = np.abs(sums - truth) / truth
  always = np.abs(np.median(latency[:FITTED]) - truth) / truth
  return {
    "device": device,
    "median_ms": float(np.median(truth)),
    "median_error": float(np.median(errors)),
    "error_90": float(np.quantile(errors, 0.9)),
    "median_error_of_a_constant": float(np.median(always)),
    "spearman": float(stats.spearmanr(sums, truth).statistic),
    "fit_s": seconds,
  }


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  with np.load(arguments[0]) as file:
    genotypes = file["arch"].astype(np.int32)
    rows = [
      measure(device, genotypes, latency)
      for device, latency in zip(
        file["devices"].tolist(), file["latency_ms"], strict=True
      )
    ]
  for row in rows:
    if row["device"] in SUMS:
      assert row["median_error"] < 1e-6, row
  rows.sort(key=lambda row: row["median_error"])
  print(
    f"{'device':16} {'median ms':>10} {'error':>7} {'90%':>7} {'constant':>9} "
    f"{'Spearman':>9} {'fit s':>6}"
  )
  for row in rows:
    print(
      f"{row['device']:16} {row['median_ms']:10.2f} "
      f"{100 * row['median_error']:6.2f}% {100 * row['error_90']:6.2f}% "
      f"{100 * row['median_error_of_a_constant']:8.2f}% "
      f"{row['spearman']:9.4f} {row['fit_s']:6.2f}"
      + ("  (sums)" if row["device"] in SUMS else "")
    )
  measured = [r for r in rows if r["device"] not in SUMS]
  print(
    f"median over {len(measured)} measured devices: error "
    f"{100 * np.median([r['median_error'] for r in measured]):.2f}%, Spearman "
    f"{np.median([r['spearman'] for r in measured]):.4f}"
  )
  if len(arguments) > 1:
    Path(arguments[1]).write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
