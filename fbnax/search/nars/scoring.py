"""The fitted predictor, and its scores of whole populations.

The network of `fbnax.models.predictor`, arranged for a million genotypes a
second: features are affine in indices and the first products are linear, so
encoding and the first layer of all members are one matrix product. Genotypes
are the last axis throughout.

Symbols: `n` genotypes, `D` decisions, `F` features, `C` columns, `M` members.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.spaces import SearchSpace


@flax.struct.dataclass
class FittedPredictor:
  """An ensemble that predicts accuracy.

  Attributes:
    params: parameters of the members, stacked, `[M, ...]`.
    mean: mean of the labels it was fitted to, `f32[]`.
    deviation: their standard deviation, `f32[]`.
    space: the space of its genotypes.
  """

  params: Any
  mean: jax.Array
  deviation: jax.Array
  space: SearchSpace = flax.struct.field(pytree_node=False)


class PredictedScores(NamedTuple):
  """Predicted accuracy, in the units of the labels.

  Attributes:
    score: mean over the ensemble, `f32[n]`.
    deviation: standard deviation over it, `f32[n]`.
  """

  score: jax.Array
  deviation: jax.Array


class AffineEncoding(NamedTuple):
  """`space.encode` as `columns @ matrix + offset`.

  A column is a decision's index, or whether it reaches a threshold.

  Attributes:
    columns: for each column its decision's position and the threshold, None
      for the index itself.
    matrix: `f64[C, F]`.
    offset: `f64[F]`.
  """

  columns: tuple[tuple[int, int | None], ...]
  matrix: np.ndarray
  offset: np.ndarray


@jax.jit
def predict(model: FittedPredictor, genotypes: jax.Array) -> PredictedScores:
  """Predicted accuracy of genotypes `i32[n, D]`."""
  by_member = scores(model.space, model.params, genotypes)
  by_member = by_member * model.deviation + model.mean
  return PredictedScores(by_member.mean(axis=0), by_member.std(axis=0))


def scorer(
  model: FittedPredictor, caution: float = 0.0
) -> jax.tree_util.Partial:
  """The score alone as a function of genotypes, for `evolve`.

  Its programs are compiled once for all models of a space.

  Args:
    model: the predictor.
    caution: standard deviations of the ensemble that are taken off its mean, so
      that evolution does not climb where the members only guess; 0 is the
      paper's.
  """
  return jax.tree_util.Partial(_score, model, jnp.float32(caution))


@functools.lru_cache(maxsize=32)
def affine_encoding(space: SearchSpace) -> AffineEncoding:
  """Derives the affine form of `space.encode`, from it alone."""
  positions = np.repeat(np.arange(len(space.choices)), space.choices)
  probes = np.zeros((len(positions), len(space.choices)), np.int32)
  probes[np.arange(len(positions)), positions] = np.concatenate(
    [np.arange(choices) for choices in space.choices]
  )
  with jax.ensure_compile_time_eval():
    encoded = np.asarray(jax.jit(space.encode)(probes), np.float64)
  rows: list[np.ndarray] = []
  columns: list[tuple[int, int | None]] = []
  for position, choices in enumerate(space.choices):
    steps = np.diff(encoded[positions == position], axis=0)
    if choices > 1 and np.ptp(steps, axis=0).max() < 1e-6:
      columns.append((position, None))
      rows.append(steps.mean(axis=0))
    else:
      columns += [(position, threshold) for threshold in range(1, choices)]
      rows += list(steps)
  offset = encoded[0]  # All indices 0.
  return AffineEncoding(tuple(columns), np.stack(rows), offset)


def scores(space: SearchSpace, params: Any, genotypes: jax.Array) -> jax.Array:
  """Standardised scores of each member, `f32[M, n]`.

  Args:
    space: the space.
    params: those of the members, stacked, `[M, ...]`.
    genotypes: `i32[n, D]`.
  """
  encoding = affine_encoding(space)
  genes = genotypes.T
  inputs = jnp.stack(
    [
      genes[i] if threshold is None else (genes[i] >= threshold)
      for i, threshold in encoding.columns
    ]
  ).astype(jnp.float32)
  split = space.num_architecture_features
  layer, head = params["hidden_layer"], params["score_head"]
  recipe = len(encoding.offset) - split
  embedding = layer["kernel"].shape[1] - recipe
  # The recipe's part of the hidden layer reads the features directly.
  kernel = jnp.pad(layer["kernel"][:, embedding:], ((0, 0), (split, 0), (0, 0)))
  bias = layer["bias"]
  if embedding:
    encoder = params["encoder"]
    encoder_kernel = jnp.pad(encoder["kernel"], ((0, 0), (0, recipe), (0, 0)))
    kernel = jnp.concatenate([encoder_kernel, kernel], axis=2)
    bias = jnp.concatenate([encoder["bias"], bias], axis=1)
  exact = functools.partial(jnp.einsum, precision="highest")
  bias = bias + exact("f,mfo->mo", jnp.float32(encoding.offset), kernel)
  weights = exact("cf,mfo->moc", jnp.float32(encoding.matrix), kernel)
  first = weights.reshape(-1, len(inputs)) @ inputs
  first = first.reshape(*bias.shape, -1) + bias[..., None]
  hidden = first[:, embedding:]
  if embedding:
    embedded = nn.silu(first[:, :embedding])
    hidden = hidden + jnp.einsum(
      "meh,men->mhn", layer["kernel"][:, :embedding], embedded
    )
  # A product, because a sum over a middle axis is slow on a CPU.
  heads = jnp.einsum("mh,mhn->mn", head["kernel"][..., 0], nn.silu(hidden))
  return heads + head["bias"]


def _score(
  model: FittedPredictor, caution: jax.Array, genotypes: jax.Array
) -> jax.Array:
  predicted = predict(model, genotypes)
  return predicted.score - caution * predicted.deviation
