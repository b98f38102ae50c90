"""A result as a NARS run on the digits would leave it, made up and seeded."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

import fbnax.report
from fbnax import spaces


def _macs(architecture) -> int:
  """About what the network costs; a report takes the number as it comes."""
  size, width, total = architecture.resolution, architecture.stem.channels, 0
  total += size * size * 9 * width
  for block in architecture.blocks:
    mid = int(width * block.expansion)
    total += size * size * width * mid
    size = -(-size // block.stride)
    total += size * size * mid * (block.kernel**2 + block.channels)
    width = block.channels
  return total + size * size * width * width * 3


def make_result(trials_per_round=(24, 16, 16), members=3, epochs=60, seed=0):
  """A whole result of schema version 1, as JSON data."""
  space = spaces.get("small")
  rng = np.random.default_rng(seed)
  total = sum(trials_per_round)
  genotypes = np.asarray(space.sample(jax.random.key(seed), total + members))
  architectures = [space.architecture(g) for g in genotypes]
  recipes = [dataclasses.asdict(space.recipe(g)) for g in genotypes]
  costs = [_macs(a) for a in architectures]
  trials = []
  for i in range(total):
    edges = np.cumsum(trials_per_round)
    round_ = int(np.searchsorted(edges, i, side="right")) + 1
    quality = 0.93 + 0.012 * math.log10(costs[i] / 1e5) + 0.008 * round_
    accuracy = float(np.clip(quality + rng.normal(0, 0.012), 0, 0.995))
    if i % 17 == 3:
      accuracy = 0.31  # One that did not learn.
    epochs_run = 20 if round_ == 1 else 7
    curve = accuracy * (1 - np.exp(-np.arange(1, epochs_run + 1) / 2.5))
    trial = {
      "id": i,
      "round": round_,
      "status": "done",
      "error": None,
      "genotype": genotypes[i].tolist(),
      "macs": costs[i],
      "params": costs[i] // 6 + 9000,
      "accuracy": accuracy,
      "log_loss": 0.2,
      "epochs": epochs_run,
      "curve": curve.tolist(),
      "predicted": None if round_ == 1 else accuracy + rng.normal(0, 0.006),
      "recipe": recipes[i],
      "seconds": 1.2,
    }
    if i in (7, total - 1):
      trial |= {
        "status": "failed",
        "error": "loss is NaN after epoch 2 <learning rate 0.16>",
        "accuracy": None,
        "log_loss": None,
      }
    trials.append(trial)
  family = []
  order = np.argsort(costs[total:])
  for rank, j in enumerate(order):
    i = total + int(j)
    steps = np.arange(1, epochs + 1)
    final = min(0.972 + 0.006 * rank, 0.994)
    loss = 2.2 * np.exp(-steps / 9) + 0.11 / (1 + rank)
    accuracy = final * (1 - 0.8 * np.exp(-steps / 4))
    accuracy = np.clip(accuracy + rng.normal(0, 0.003, epochs), 0, 1)
    family.append(
      {
        "name": f"small-{costs[i] / 1e6:.1f}M",
        "budget": {
          "macs": [int(0.9 * costs[i]), int(1.02 * costs[i])],
          "params": [0, costs[i] // 5 + 9000] if rank == 0 else None,
        },
        "macs": costs[i],
        "params": costs[i] // 6 + 9000,
        "predicted": 0.961 + 0.004 * rank,
        "genotype": genotypes[i].tolist(),
        "architecture": dataclasses.asdict(architectures[i]),
        "recipe": recipes[i],
        "teacher": None if rank == members - 1 else "the largest",
        "epochs": epochs,
        "history": [
          {
            "epoch": int(e),
            "train_loss": float(x),
            "validation_accuracy": float(a) if e % 2 == 0 else None,
          }
          for e, x, a in zip(steps, loss, accuracy, strict=True)
        ],
        "test_accuracy": final,
        "test_log_loss": 0.11 / (1 + rank),
        "checkpoint": f"members/small-{costs[i] / 1e6:.1f}M",
        "seconds": 75.0 + 20 * rank,
      }
    )
  true = np.exp(rng.uniform(11.5, 14.5, 200))
  free = {
    "rmse_log": 0.021,
    "spearman": 0.998,
    "true": true.tolist(),
    "predicted": (true * np.exp(rng.normal(0, 0.03, 200))).tolist(),
  }
  measured = [[t for t in trials if t["predicted"] and t["accuracy"]]] * 3
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "nars",
    "config": {"seed": seed, "search": {"rounds": 3, "batch": 16}},
    "dataset": {
      "name": "digits",
      "source": "scikit-learn, UCI handwritten digits",
      "num_classes": 10,
      "class_names": [str(i) for i in range(10)],
      "image_shape": [8, 8, 1],
      "train": 1078,
      "validation": 359,
      "test": 360,
      "shared_images": 0,
    },
    "space": {
      "name": space.name,
      "size": space.size,
      "decisions": [
        {
          "name": d.name,
          "values": list(d.values),
          "categorical": d.categorical,
          "recipe": space.is_recipe(d),
        }
        for d in space.decisions
      ],
      "macs_range": [61234, 21234567],
    },
    "predictor": {
      "pretraining": {"macs": free, "params": free},
      "rounds": [
        {
          "round": r,
          "labels": 12 * r,
          "spearman": 0.55 + 0.1 * r,
          "kendall": 0.4 + 0.1 * r,
          "predicted": [t["predicted"] for t in of_round],
          "measured": [t["accuracy"] for t in of_round],
        }
        for r, of_round in enumerate(measured, start=1)
      ],
    },
    "early_stop": {
      "threshold": 0.92,
      "epoch": 7,
      "max_epochs": 20,
      "correlations": [
        None,
        *(1 - np.exp(-np.arange(2, 21) / 2.7)).tolist(),
      ],
    },
    "trials": trials,
    "members": family,
    "times": {
      "phases": {
        "data": 0.4,
        "pretraining": 11.2,
        "round 1": 61.0,
        "round 2": 24.5,
        "round 3": 25.1,
        "evolution": 3.3,
        "family": 285.0,
      },
      "total": 431.0,
      "compiling": {
        "data": 0.0,
        "pretraining": 3.1,
        "round 1": 22.0,
        "family": 94.0,
      },
    },
  }


@pytest.fixture(scope="session")
def _template():
  return json.dumps(make_result())


@pytest.fixture
def result(_template):
  """A whole result, to be changed at will."""
  return json.loads(_template)


@pytest.fixture
def report_of(tmp_path):
  """Writes a result into a work directory, returns its report's text."""

  def write(data) -> str:
    (tmp_path / "result.json").write_text(json.dumps(data))
    return fbnax.report.write(tmp_path).read_text(encoding="utf-8")

  return write
