"""Programs of a trained network that run without this package.

A program takes images and gives logits: `u8[B, H, W, C]` with normalisation
inside, or `f32[B, H, W, C]`, normalised; any batch. BN is folded
(`fbnax.models.folded`).

* StableHLO, `jax.export`'s serialised form, for several platforms at once; JAX
  alone runs it (its reader needs the package flatbuffers), as `LOADER` shows.
* ONNX, opset 18, the same images in and logits out; made with the extra `onnx`.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models import folded
from fbnax.models.folded import FoldedStep

PLATFORMS = ("cpu", "cuda", "tpu")

LOADER = '''"""Runs model.stablehlo; needs JAX, and flatbuffers, which reads it.

    python load.py IMAGES.npy    # {kind}[B, {side}, {side}, {channels}]
"""

import pathlib
import sys

import jax
import numpy as np

file = pathlib.Path(__file__).with_name("model.stablehlo")
model = jax.export.deserialize(bytearray(file.read_bytes()))
logits = jax.jit(model.call)(np.load(sys.argv[1]))
np.save("logits.npy", logits)
print(np.asarray(logits).argmax(-1).tolist())
'''


def normalizing(
  steps: tuple[FoldedStep, ...], mean: Sequence[float], std: Sequence[float]
) -> tuple[FoldedStep, ...]:
  """The steps behind one that normalises pixels from 0 to 255.

  Args:
    steps: of a network.
    mean: of each channel, where white is 1.
    std: likewise.
  """
  scale = 1.0 / (255.0 * np.asarray(std, np.float64))
  offset = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
  arrays = {
    "scale": scale.astype(np.float32),
    "offset": offset.astype(np.float32),
  }
  moved = [
    step._replace(inputs=tuple(i + 1 for i in step.inputs)) for step in steps
  ]
  return (FoldedStep("scale", (0,), arrays, {}), *moved)


def function(
  steps: tuple[FoldedStep, ...],
) -> Callable[[jax.Array], jax.Array]:
  """The program as a function of images, of integers or not."""
  return lambda images: folded.run(steps, images.astype(jnp.float32))


def stablehlo(
  steps: tuple[FoldedStep, ...],
  shape: tuple[int, int, int],
  dtype: Any,
  platforms: Sequence[str] = PLATFORMS,
) -> bytes:
  """The serialised program, for any batch.

  Args:
    steps: of a network.
    shape: `(H, W, C)`.
    dtype: of the images.
    platforms: names of `PLATFORMS`.

  Raises:
    ValueError: there is no such platform, or none is named.
  """
  wrong = [p for p in platforms if p not in PLATFORMS]
  if wrong or not platforms:
    raise ValueError(
      f"platforms is {list(platforms)}; legal: some of {', '.join(PLATFORMS)}"
    )
  from jax import export  # Not imported with jax.

  (batch,) = export.symbolic_shape("b")
  images = jax.ShapeDtypeStruct((batch, *shape), dtype)
  exported = export.export(jax.jit(function(steps)), platforms=tuple(platforms))
  return bytes(exported(images).serialize())


def run_stablehlo(program: bytes) -> Callable[[Any], jax.Array]:
  """A serialised program as a compiled function of images."""
  from jax import export

  return jax.jit(export.deserialize(bytearray(program)).call)


def loader(shape: tuple[int, int, int], dtype: Any) -> str:
  """The text of a program that runs `model.stablehlo` beside it."""
  kind = {"uint8": "u8", "float32": "f32"}[np.dtype(dtype).name]
  return LOADER.format(kind=kind, side=shape[0], channels=shape[2])
