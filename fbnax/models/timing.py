"""How long modules take on this device.

A module runs in inference, with its weights as constants of the program. A
small one takes less than the overhead of a call, so a program runs it `loops`
times, each time after the other; the overhead is measured with a program that
does next to nothing, and taken off.

A time is the median of many calls; its spread is the standard deviation that
their quartiles have in a normal distribution. Both hardly move when something
else runs on the device for a moment.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.costs.latency_json import Entry

# Quartiles of a normal distribution are this many deviations apart.
_QUARTILES = 1.349
# What takes long is timed less often: not longer than so many seconds, but so
# many calls at least.
_SECONDS = 1.0
_FEWEST = 5


@dataclasses.dataclass(frozen=True)
class TimingSettings:
  """How one measures.

  Attributes:
    batch_size: `B`.
    warmup: calls that are not timed, after the one that compiles.
    repeats: calls that are; fewer where they take more than a second, but 5.
    loops: how often a call runs a part; 1 times calls as they are.
    num_classes: outputs of the classifier.
  """

  batch_size: int = 1
  warmup: int = 2
  repeats: int = 100
  loops: int = 16
  num_classes: int = 10

  def __post_init__(self) -> None:
    """Refuses what measures nothing."""
    for name in ("batch_size", "warmup", "repeats", "loops", "num_classes"):
      low = 0 if name == "warmup" else 1
      if getattr(self, name) < low:
        raise ValueError(
          f"{name} is {getattr(self, name)!r}; legal: at least {low}"
        )


def device() -> str:
  """The device's name as a table has it."""
  found = jax.devices()[0]
  if found.platform == "cpu":
    return f"CPU, {_processor()}"
  return f"{found.platform.upper()}, {found.device_kind}"


def overhead(settings: TimingSettings) -> Entry:
  """What a call takes that computes next to nothing."""
  images = np.zeros((settings.batch_size, 1, 1, 1), np.float32)
  return _summary(_times(lambda x: x + 1.0, images, settings))


def measure(
  module: nn.Module,
  arguments: Mapping[str, Any],
  shape: tuple[int, ...],
  settings: TimingSettings,
  overhead: float,
) -> Entry:
  """What a module takes besides the overhead of a call.

  Args:
    module: any module.
    arguments: of its call, but the images.
    shape: of the images, `(B, H, W, C)`.
    settings: how.
    overhead: of a call, ms.
  """
  images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  shapes = jax.eval_shape(
    lambda key, x: module.init(key, x, **arguments), jax.random.key(0), images
  )
  variables = jax.device_put(_filled(shapes))

  def forward(x: jax.Array) -> Any:
    return module.apply(variables, x, **arguments)

  times = _times(repeated(forward, settings.loops), images, settings)
  return _summary(np.maximum(times - overhead, 0.0) / settings.loops)


def measure_function(
  function: Callable[[jax.Array], jax.Array],
  images: np.ndarray,
  settings: TimingSettings,
) -> Entry:
  """What a call of a function takes, its overhead included."""
  return _summary(_times(function, images, settings))


def repeated(
  function: Callable[[jax.Array], jax.Array], times: int
) -> Callable[[jax.Array], jax.Array]:
  """A function that calls `function` so often, each call after the other.

  A number of each result, times zero, is added to the next argument, so that
  no compiler can leave a call out or let two run at a time.
  """

  def run(x: jax.Array) -> jax.Array:
    shape = jax.eval_shape(function, x)
    return jax.lax.fori_loop(
      0,
      times,
      lambda _, y: function(x + 0.0 * y.reshape(-1)[0]),
      jnp.zeros(shape.shape, shape.dtype),
    )

  return run if times > 1 else function


def _filled(shapes: Any) -> Any:
  """Variables of those shapes, made without compiling an initialisation.

  They keep activations at their size: what overflows or vanishes may take
  another time.
  """
  random = np.random.default_rng(0)

  def fill(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    name = path[-1].key
    if name in ("scale", "var"):
      return np.ones(leaf.shape, np.float32)
    if name in ("bias", "mean"):
      return np.zeros(leaf.shape, np.float32)
    taps = max(int(np.prod(leaf.shape[:-1])), 1)
    drawn = random.normal(size=leaf.shape, scale=(2 / taps) ** 0.5)
    return drawn.astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, shapes)


def _times(
  function: Callable[[jax.Array], jax.Array],
  images: np.ndarray,
  settings: TimingSettings,
) -> np.ndarray:
  """What each call of a compiled function takes, ms, `f64[repeats]`."""
  compiled = jax.jit(function)
  x = jax.device_put(images)
  for _ in range(1 + settings.warmup):
    jax.block_until_ready(compiled(x))
  times: list[float] = []
  while len(times) < settings.repeats:
    start = time.perf_counter()
    jax.block_until_ready(compiled(x))
    times.append(1000 * (time.perf_counter() - start))
    if len(times) >= _FEWEST and sum(times) > 1000 * _SECONDS:
      break
  return np.asarray(times)


def _summary(times: np.ndarray) -> Entry:
  low, median, high = np.quantile(times, [0.25, 0.5, 0.75])
  return Entry(float(median), float(high - low) / _QUARTILES, len(times))


def _processor() -> str:
  """The processor's name where the system tells it, else its architecture."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      for line in file:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
          return value.strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()
