"""Two searches under the latency tables of two devices, each net on both.

  python -m tests.benchmarks.latency_search hwnas_fbnet_lut.json cifar10.npz \
    WORKDIR [DEVICE DEVICE]

The job `dnas` in the space `fbnet_cifar`, asked for 0.7 times the mean latency
of random networks of the space on the device. The loss is a cheap one, of 600
images and few epochs by single paths: what is looked at is the latency. Each
derived network is then costed on both devices (section 4.3 of the review): the
one that was searched for a device should be the faster there. Started again, it
goes on; what was searched is in WORKDIR/DEVICE, the numbers in
WORKDIR/latency.json.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import numpy as np

from fbnax import spaces
from fbnax.costs.latency_convert import convert
from fbnax.jobs import compiling, dnas_search, inputs
from fbnax.jobs.networks import read_recipe
from fbnax.jobs.workdir import open_workdir
from fbnax.training.progress import open_progress

ROOT = Path(__file__).parents[2]
DEVICES = ("pixel3", "1080ti_1")
SHARE = 0.7
CHANGES = {
  "data.max_images": 600,
  "data.validation_fraction": 0.5,
  "search.cost": "latency",
  "search.cost_of": "theta",
  "search.combination": "target",
  "search.relaxation": "single_path",
  "search.epochs": 6,
  "search.frozen_epochs": 1,
  "search.annealing": 0.25,
  "search.batch_size": 8,
  "search.theta_learning_rate": 0.1,
  "search.derivation": "sample",
  "search.samples": 8,
}


def configure(images: str, table: Path, target: float) -> Any:
  """The preset `cifar10` of FBNet, cut down."""
  path = ROOT / "configs" / "fbnet.py"
  spec = importlib.util.spec_from_file_location("fbnet", path)
  assert spec is not None and spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config("cifar10")
  config.update_from_flattened_dict(
    CHANGES
    | {
      "data.path": images,
      "search.table": str(table),
      "search.target": target,
    }
  )
  return config


def search(config: Any, folder: Path) -> dict[str, Any]:
  """The end of a search: the derived network, and what theta came to."""
  with open_workdir(folder, config.to_dict()) as work:
    dataset = inputs.dataset(config)
    space = dnas_search.space(config, dataset.channels, read_recipe(config))
    task = dnas_search.task(config, dataset, space)
    with open_progress() as progress:
      found = dnas_search.run(config, task, work, progress)
  last = found["rows"][-1]
  return {
    "genotype": found["candidates"][0]["genotype"],
    "ms": found["candidates"][0]["cost"],
    "expected_ms": last["expected"],
    "most_likely_ms": last["derived"],
  }


def main(arguments: list[str]) -> None:
  """Searches for both devices; prints a table and writes it as JSON."""
  compiling.deepen()
  source, images, folder = arguments[0], arguments[1], Path(arguments[2])
  devices = tuple(arguments[3:]) or DEVICES
  folder.mkdir(parents=True, exist_ok=True)
  space = spaces.get("fbnet_cifar")
  sample = space.sample(jax.random.key(0), 20_000)
  tables, rows = {}, []
  for device in devices:
    tables[device] = convert(source, device)
    path = folder / f"{device}.table.json"
    tables[device].save(path)
    mean = float(np.asarray(tables[device].batch(space, sample)).mean())
    config = configure(images, path, SHARE * mean)
    found = search(config, folder / device)
    rows.append({"device": device, "mean_ms": mean, "target_ms": SHARE * mean})
    rows[-1] |= found
  for row in rows:
    network = space.architecture(row["genotype"])
    row["on"] = {d: float(t.latency(network)) for d, t in tables.items()}
    gap = row["ms"] / row["target_ms"] - 1.0
    print(
      f"for {row['device']}: asked for {row['target_ms']:.3f} ms (0.7 x mean), "
      f"derived {row['ms']:.3f} ms ({100 * gap:+.1f}%), most likely "
      f"{row['most_likely_ms']:.3f} ms, expected {row['expected_ms']:.3f} ms"
    )
  for device in devices:
    each = ", ".join(
      f"{row['on'][device]:.3f} ms searched for {row['device']}" for row in rows
    )
    best = min(rows, key=lambda row: row["on"][device])["device"]
    print(f"on {device}: {each}; best at home: {best == device}")
  text = json.dumps(rows, indent=2) + "\n"
  (folder / "latency.json").write_text(text, "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
