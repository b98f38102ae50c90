"""A training step of networks, and PyTorch's of the same networks beside it.

  python -m tests.benchmarks.network_step [result.json] [network ...]

`seven` is a network of seven inverted residuals, 32 x 32 pixels, batch 64;
`fbnetv2_f1` the published one at 128 pixels, batch 8; `fbnetv3_a` the same.
Forward, backward and SGD with momentum from the same weights on the same batch;
losses of the first 20 steps are compared, a wrong one fails. PyTorch runs
eagerly, channels last, with one thread and with all, and compiled where a
compiler is there; it is left out where it is not installed (extra `torch`).
"""

from __future__ import annotations

import dataclasses
import json
import os
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
import optax

from fbnax import costs, models, spaces
from fbnax.spaces import Architecture, Block, Head, Stem

CLASSES, RATE, COMPARED, RUNS = 10, 0.02, 20, 15
SHAPES = {  # Output channels, expansion, stride.
  "seven": (
    (16, 1, 1),
    (24, 4, 2),
    (24, 4, 1),
    (40, 4, 2),
    (40, 4, 1),
    (80, 4, 2),
    (80, 4, 1),
  )
}


def seven() -> Architecture:
  """Stem 3x3 to 16 and seven blocks, 3x3, BN and ReLU."""
  blocks = [
    Block(channels=c, stage=i + 1, expansion=float(e), stride=s)
    for i, (c, e, s) in enumerate(SHAPES["seven"])
  ]
  return Architecture(
    resolution=32,
    stem=Stem(16, stride=1, activation="relu", bias=False),
    blocks=tuple(blocks),
    head=Head(80, expansion=0.0, activation="relu"),
    zero_last_gamma=False,
  )


def published(name: str) -> Architecture:
  """A network of the zoo at 128 pixels."""
  return dataclasses.replace(spaces.zoo.get(name), resolution=128)


NETWORKS: dict[str, tuple[Callable[[], Architecture], int]] = {
  "seven": (seven, 64),
  "fbnetv2_f1": (lambda: published("fbnetv2_f1"), 8),
  "fbnetv3_a": (lambda: published("fbnetv3_a"), 8),
}


def ours(
  network: models.Network, variables: Any, images: Any, labels: Any
) -> tuple[Callable[[], float], float]:
  """A step as `network_torch.make_step` makes it, and seconds of compiling."""
  optimizer = optax.sgd(RATE, momentum=0.9)

  def update(variables: Any, moments: Any) -> Any:
    def loss_of(params: Any) -> Any:
      logits, changed = network.apply(
        {**variables, "params": params},
        images,
        train=True,
        mutable=["batch_stats"],
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return losses.mean(), changed

    (loss, changed), gradient = jax.value_and_grad(loss_of, has_aux=True)(
      variables["params"]
    )
    updates, moments = optimizer.update(gradient, moments)
    params = optax.apply_updates(variables["params"], updates)
    return {"params": params, **changed}, moments, loss

  state = [variables, optimizer.init(variables["params"])]
  start = time.perf_counter()
  compiled = jax.jit(update, donate_argnums=(0, 1)).lower(*state).compile()
  seconds = time.perf_counter() - start

  def step() -> float:
    *state[:], loss = compiled(*state)
    return float(loss)

  return step, seconds


def timed(step: Callable[[], float]) -> tuple[dict[str, float], list[float]]:
  """Median, least and spread of a step's time, and the first losses."""
  losses = [step() for _ in range(COMPARED)]
  times, processor = [], []
  for _ in range(RUNS):
    before, used = time.perf_counter(), time.process_time()
    step()
    times.append(time.perf_counter() - before)
    processor.append(time.process_time() - used)
  quarters = statistics.quantiles(times, n=4)
  return {
    "step_s": statistics.median(times),
    "spread_s": quarters[2] - quarters[0],
    "best_s": min(times),
    "cpu_s": min(processor),
  }, losses


def peers(*arguments: Any) -> dict[str, dict[str, float]]:
  """PyTorch's ways by name; none without it."""
  try:
    import torch

    from tests.benchmarks import network_torch
  except ImportError:
    return {}
  found, reference = {}, None
  cores = len(os.sched_getaffinity(0))
  ways = {"eager, 1 thread": (1, False), f"eager, {cores}": (cores, False)}
  ways[f"compiled, {cores}"] = (cores, True)
  for name, (threads, compiled) in ways.items():
    torch.set_num_threads(threads)
    try:
      row, losses = timed(network_torch.make_step(*arguments, RATE, compiled))
    except Exception as error:
      if not compiled:
        raise
      print(f"torch.compile failed here: {str(error).splitlines()[0]}")
      continue
    found[f"PyTorch {name}"] = row
    reference = losses if reference is None else reference
  assert reference is not None
  return found | {"losses": dict(enumerate(reference))}


def measure(name: str) -> dict[str, Any]:
  """All rows of a network."""
  make, batch = NETWORKS[name]
  architecture = make()
  side = architecture.resolution
  random = np.random.default_rng(0)
  images = random.normal(size=(batch, side, side, 3)).astype(np.float32)
  labels = random.integers(0, CLASSES, batch).astype(np.int32)
  network = models.Network(architecture, CLASSES)
  variables = jax.jit(
    lambda key: models.initialize(network, key, images[:1], train=False)
  )(jax.random.key(0))
  kept = jax.device_get(variables)
  step, seconds = ours(
    network, variables, jnp.asarray(images), jnp.asarray(labels)
  )
  row, losses = timed(step)
  rows = {"fbnax": row | {"compile_s": seconds}}
  rows |= peers(architecture, kept, images, labels)
  wanted = rows.pop("losses", None)
  if wanted is not None:
    np.testing.assert_allclose(losses, list(wanted.values()), atol=1e-3)
  return {
    "macs": costs.count(architecture, CLASSES).macs,
    "batch": batch,
    "resolution": side,
    "rows": rows,
  }


def main(arguments: list[str]) -> None:
  """Prints a table and writes it as JSON."""
  path = next((a for a in arguments if a.endswith(".json")), None)
  names = [a for a in arguments if a != path] or list(NETWORKS)
  found = {}
  for name in names:
    found[name] = measure(name)
    rows = found[name]["rows"]
    print(
      f"{name}: {found[name]['macs']:,} MACs, batch {found[name]['batch']}, "
      f"compiled in {rows['fbnax']['compile_s']:.1f} s"
    )
    for way, row in rows.items():
      ratio = rows["fbnax"]["step_s"] / row["step_s"]
      print(
        f"  {way:24} {row['step_s']:7.4f} s ± {row['spread_s']:.4f}, best "
        f"{row['best_s']:.4f}, CPU {row['cpu_s']:.4f}; fbnax takes "
        f"{ratio:.2f} of it",
        flush=True,
      )
  print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
  if path:
    Path(path).write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
  main(sys.argv[1:])
