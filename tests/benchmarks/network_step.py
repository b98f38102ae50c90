"""A training step of networks, and PyTorch's of the same networks beside it.

  python -m tests.benchmarks.network_step [network ...] [--json=FILE] [--quick]

`seven` is a network of seven inverted residuals, 32 x 32 pixels, batch 64;
`fbnetv2_f1` the published one at 128 pixels, batch 8; `fbnetv3_a` the same;
`small` the middle of that space at 32 pixels, batch 64. Forward, backward and
SGD with momentum from the same weights on the same batch; losses of the first
20 steps are compared, a wrong one fails. PyTorch runs eagerly, channels last,
with one thread and with all, and compiled where a compiler is there; the peer
of a network is the fastest of these. It is left out where it is not installed
(extra `torch`).
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fbnax import costs, models, spaces
from fbnax.spaces import Architecture, Block, Head, Stem
from tests.benchmarks import measuring

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


def small() -> Architecture:
  """The network in the middle of the space `small`, at 32 pixels."""
  space = spaces.get("small")
  middle = space.architecture(np.asarray(space.choices) // 2)
  return dataclasses.replace(middle, resolution=32)


NETWORKS: dict[str, tuple[Callable[[], Architecture], int]] = {
  "seven": (seven, 64),
  "fbnetv2_f1": (lambda: published("fbnetv2_f1"), 8),
  "fbnetv3_a": (lambda: published("fbnetv3_a"), 8),
  "small": (small, 64),
}


def ours(
  network: models.Network, variables: Any, images: Any, labels: Any
) -> tuple[Callable[[], float], dict[str, float]]:
  """A step as `network_torch.make_step` makes it, and what XLA says of it.

  Returns:
    The step, and `compile_s`, and `bytes` that its operations read and write.
  """
  optimizer = optax.sgd(RATE, momentum=0.9)

  # Images are arguments, or what follows from them alone would be compiled in.
  def update(variables: Any, moments: Any, images: Any, labels: Any) -> Any:
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
  lowered = jax.jit(update, donate_argnums=(0, 1)).lower(*state, images, labels)
  compiled = lowered.compile()
  told = {
    "compile_s": time.perf_counter() - start,
    "bytes": float((compiled.cost_analysis() or {}).get("bytes accessed", 0)),
  }

  def step() -> float:
    *state[:], loss = compiled(*state, images, labels)
    return float(loss)

  return step, told


@functools.cache
def limits(side: int = 2048) -> tuple[float, float]:
  """MACs and bytes per second of this device: a product, and a sum of arrays.

  Args:
    side: of the matrices; the arrays have 32 MB each.
  """
  a = jnp.ones((side, side))
  product = jax.jit(jnp.matmul)
  timing, _ = measuring.timed(lambda _: product(a, a), 5)
  x = jnp.ones(2**23)
  add = jax.jit(lambda x, y: x + y)
  copying, _ = measuring.timed(lambda _: add(x, x + 1.0), 5)
  # Two sums, which read three arrays and write two.
  return side**3 / min(timing.wall), 5 * x.nbytes / min(copying.wall)


def timed(
  step: Callable[[], float], runs: int, compared: int = COMPARED
) -> tuple[measuring.Timing, list[float]]:
  """Times of a step, and the losses of the first ones, which do not count."""
  losses = [step() for _ in range(compared)]
  return measuring.timed(lambda _: step(), runs)[0], losses


def peers(
  runs: int, compared: int, *arguments: Any
) -> tuple[dict[str, measuring.Timing], list[float]]:
  """PyTorch's ways by name, and its losses; none without it."""
  if jax.default_backend() != "cpu":
    return {}, []  # The peer is written for a CPU: no comparison is a fair one.
  try:
    import torch

    from tests.benchmarks import network_torch
  except ImportError:
    return {}, []
  found: dict[str, measuring.Timing] = {}
  reference: list[float] = []
  cores = measuring.cores()
  ways = {"eager, 1 thread": (1, False), f"eager, {cores}": (cores, False)}
  ways[f"compiled, {cores}"] = (cores, True)
  for name, (threads, compiled) in ways.items():
    torch.set_num_threads(threads)
    try:
      timing, losses = timed(
        network_torch.make_step(*arguments, RATE, compiled), runs, compared
      )
    except Exception as error:
      if not compiled:
        raise
      print(f"torch.compile failed here: {str(error).splitlines()[0]}")
      continue
    found[f"PyTorch {name}"] = timing
    reference = reference or losses
    np.testing.assert_allclose(losses, reference, atol=1e-3, err_msg=name)
  return found, reference


def measure(name: str, quick: bool) -> Iterator[measuring.Row]:
  """Our step and the fastest of PyTorch's, and all of PyTorch's."""
  make, batch = NETWORKS[name]
  architecture = make()
  runs, compared = RUNS, COMPARED
  if quick:
    runs, compared, batch = 2, 2, 4
    # The last maps of `fbnetv3_a` vanish on less than 64 pixels.
    half = architecture.resolution // 2
    architecture = dataclasses.replace(architecture, resolution=half)
  side = architecture.resolution
  random = np.random.default_rng(0)
  images = random.normal(size=(batch, side, side, 3)).astype(np.float32)
  labels = random.integers(0, CLASSES, batch).astype(np.int32)
  network = models.Network(architecture, CLASSES)
  variables = jax.jit(
    lambda key: models.initialize(network, key, images[:1], train=False)
  )(jax.random.key(0))
  kept = jax.device_get(variables)
  step, told = ours(
    network, variables, jnp.asarray(images), jnp.asarray(labels)
  )
  timing, losses = timed(step, runs, compared)
  theirs, wanted = peers(runs, compared, architecture, kept, images, labels)
  rest: dict[str, Any] = {}
  if theirs:
    np.testing.assert_allclose(losses, wanted, atol=1e-3)
    best = min(theirs, key=lambda way: theirs[way].median)
    rest = {"peer": best, "peer_value": theirs[best].median}
  macs = costs.count(architecture, CLASSES).macs
  product, copying = limits()
  # Forward, and the gradients towards inputs and weights.
  matrix = 100 * 3 * macs * batch / timing.median / product
  memory = 100 * told["bytes"] / timing.median / copying
  what = f"training step, `{name}`, {side} px, batch {batch}"
  yield measuring.seconds(
    what,
    timing,
    notes=f"{macs / 1e6:.1f} M MACs, compiled in {told['compile_s']:.1f} s; "
    f"{matrix:.0f}% of the rate of a matrix product, {memory:.0f}% of the "
    "memory's, by XLA's count of bytes",
    main=True,
    details=told
    | {"macs": macs, "macs_per_s": product, "bytes_per_s": copying},
    **rest,
  )
  for way, other in theirs.items():
    yield measuring.seconds(f"{what}: {way}", other)


def run(given: Any) -> Iterator[measuring.Row]:
  """All networks, or those that are asked for."""
  measuring.no_cache()
  for name in given.parts[:1] if given.quick else given.parts:
    yield from measure(name, given.quick)


if __name__ == "__main__":
  measuring.main(run, __doc__, parts=tuple(NETWORKS))
