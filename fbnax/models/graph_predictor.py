"""AutoBuild's graph predictor, on batches of chains.

Mills et al. 2024, "Building Optimal Neural Architectures using Interpretable
Knowledge", sections 4.1, 4.3 and 7.1. A network is the chain of its layers. The
feature-embedding MLP gives every feature of a layer a scalar of its own; their
absolute values are the layer's embedding at hop 0. Each hop of graph attention
(GATv2, one head, self-loops, separate weights for sources and targets) with BN
and ReLU, and from the second on a residual, lets a layer hear of the layer
before it, so that at hop h a node stands for the h + 1 layers that end in it.
An MLP on the mean over the nodes at the last hop predicts the label.

No embedding is negative, so the L1 norm of a chain's mean embedding is the mean
of its nodes' L1 norms: `node_norms` and `chain_norms` are sums. The attention's
bias and those of the sources are left out, since the BN that follows takes
them off again.

Symbols: `B` chains, `N` nodes, `K` columns, `F` features, `D` hidden width, `H`
hops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fbnax.ops.chain import (
  affine_relu,
  feature_sum,
  normalize_relu,
  project,
)
from fbnax.ops.graph_attention import attend_chain

EPSILON = 1e-5  # Of every BN.


class Embedded(NamedTuple):
  """What the predictor makes of chains.

  Attributes:
    prediction: standardised labels, `f32[B]`.
    hops: node embeddings at hop 0, 1, …, `f32[F or D, N, B]` each; none is
      negative, and 0 stands where there is no node.
  """

  prediction: jax.Array
  hops: tuple[jax.Array, ...]


def node_norms(embedded: Embedded) -> jax.Array:
  """L1 norms of the nodes at every hop, `f32[H + 1, N, B]`."""
  return jnp.stack([feature_sum(hop) for hop in embedded.hops])


def chain_norms(embedded: Embedded, mask: jax.Array) -> jax.Array:
  """L1 norms of the chains' mean embeddings at every hop, `f32[H + 1, B]`."""
  found = node_norms(embedded).sum(axis=1) / mask.sum(axis=0)
  # A product with the identity changes nothing, and keeps XLA from computing
  # the gradients of these few numbers again for every node and feature.
  return jnp.eye(len(found)) @ found


class FeatureMLP(nn.Module):
  """Every feature of a node as one scalar, `f32[K, N, B]` to `f32[F, N, B]`.

  A categorical feature is an embedding and a linear map, a number two linear
  maps. Starts are PyTorch's, as the original's; see also
  `fbnax.search.autobuild.graph_fit`.

  Attributes:
    categories: how many values each categorical feature has.
    numbers: how many features are numbers; their columns are the last.
  """

  categories: Sequence[int]
  numbers: int = 0

  def setup(self) -> None:
    """Embeddings have 2 features for up to 3 values, 3 for more."""
    tables, maps = [], []
    for i, count in enumerate(self.categories):
      width = 2 if count < 4 else 3
      tables.append(
        self.param(f"table{i}", nn.initializers.normal(1.0), (count, width))
      )
      maps.append(self.param(f"map{i}", _uniform(width), (width + 1,)))
    for i in range(self.numbers):
      maps.append(self.param(f"number{i}", _uniform(1), (2, 3)))
      maps.append(self.param(f"number_map{i}", _uniform(3), (4,)))
    self.tables, self.maps = tables, maps

  def __call__(self, features: jax.Array) -> jax.Array:
    """Embeddings at hop 0."""
    weights, offsets = self.matrix()
    return jnp.abs(project(weights, features) + offsets[:, None, None])

  def matrix(self) -> tuple[jax.Array, jax.Array]:
    """The map from columns to features, `f32[F, K]`, and offsets `f32[F]`."""
    count = len(self.categories)
    entries, offsets = [], []
    for table, row in zip(self.tables, self.maps[:count], strict=True):
      entries.append(table @ row[:-1] + row[-1])
      offsets.append(jnp.zeros(()))
    for i in range(self.numbers):
      first, second = self.maps[count + 2 * i : count + 2 * i + 2]
      entries.append((first[0] @ second[:-1])[None])
      offsets.append(first[1] @ second[:-1] + second[-1])
    sizes = [*self.categories, *[1] * self.numbers]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    places = np.arange(len(sizes))[:, None] == owner
    return places * jnp.concatenate(entries), jnp.stack(offsets)


class Hop(nn.Module):
  """Graph attention along the chain, BN and ReLU.

  In training BN uses the statistics of the batch, and leaves them in
  `batch_stats`: no moving average, a fit ends with a pass over all it learned
  from.

  Attributes:
    hidden: `D`.
    residual: the nodes are added to what they become.
  """

  hidden: int
  residual: bool = True

  @nn.compact
  def __call__(
    self, nodes: jax.Array, mask: jax.Array, train: bool
  ) -> tuple[jax.Array, jax.Array]:
    """The nodes one hop further, `f32[D, N, B]`, twice (for `nn.scan`)."""
    width = len(nodes)
    weights = self.param(
      "weights", _glorot(width, self.hidden), (2 * self.hidden, width)
    )
    offset = self.param("offset", nn.initializers.zeros, (self.hidden,))
    attention = self.param("attention", _glorot(1, self.hidden), (self.hidden,))
    scale = self.param("scale", nn.initializers.ones, (self.hidden,))
    bias = self.param("bias", nn.initializers.zeros, (self.hidden,))
    zeros, ones = jnp.zeros(self.hidden), jnp.ones(self.hidden)
    mean = self.variable("batch_stats", "mean", lambda: zeros)
    variance = self.variable("batch_stats", "variance", lambda: ones)
    sources = project(weights[: self.hidden], nodes)
    targets = project(weights[self.hidden :], nodes) + offset[:, None, None]
    messages = attend_chain(sources, targets, attention)
    if train:
      found, *statistics = normalize_relu(messages, mask, scale, bias, EPSILON)
      if self.is_mutable_collection("batch_stats"):
        mean.value, variance.value = statistics
    else:
      factor = scale * jax.lax.rsqrt(variance.value + EPSILON)
      found = affine_relu(messages, mask, factor, bias - mean.value * factor)
    if self.residual:
      found = found + nodes
    return found, found


class GraphPredictor(nn.Module):
  """Predicts a label of chains, with embeddings whose norms can be ranked.

  Attributes:
    categories: how many values each categorical feature of a node has.
    numbers: how many features are numbers.
    hidden: `D`.
    num_hops: `H`.
  """

  categories: Sequence[int]
  numbers: int = 0
  hidden: int = 32
  num_hops: int = 4

  def setup(self) -> None:
    """Names the parts."""
    self.features = FeatureMLP(self.categories, self.numbers)
    if self.num_hops:
      self.first = Hop(self.hidden, residual=False)
    if self.num_hops > 1:
      # A loop, since what is compiled once is compiled faster, and a CPU runs
      # what stands in one faster than the same written out.
      self.rest = nn.scan(
        Hop,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
        in_axes=(nn.broadcast, nn.broadcast),
        length=self.num_hops - 1,
      )(self.hidden)
    features = len(self.categories) + self.numbers
    width = self.hidden if self.num_hops else features
    self.dense = [Dense(width, i in (1, 3)) for i in range(4)]
    self.label = Dense(1, False)

  def __call__(
    self, features: jax.Array, mask: jax.Array, train: bool = False
  ) -> Embedded:
    """Embeds and predicts.

    Args:
      features: one-hot columns of the categorical features in order, then the
        numbers, `f32[K, N, B]`. A chain's nodes come first.
      mask: 1 where there is a node, 0 elsewhere, `f32[N, B]`.
      train: BN uses the statistics of these chains.
    """
    nodes = self.features(features) * mask
    hops = [nodes]
    if self.num_hops:
      nodes, _ = self.first(nodes, mask, train)
      hops.append(nodes)
    if self.num_hops > 1:
      nodes, later = self.rest(nodes, mask, train)
      hops += list(later)
    rows = nodes.sum(axis=1) / mask.sum(axis=0)
    for layer in [*self.dense, self.label]:
      rows = layer(rows)
    return Embedded(rows[0], tuple(hops))

  def feature_matrix(self) -> tuple[jax.Array, jax.Array]:
    """What hop 0 makes of columns: see `FeatureMLP.matrix`."""
    found: tuple[jax.Array, jax.Array] = self.features.matrix()
    return found


class Dense(nn.Module):
  """A linear map of columns, `f32[D, B]` to `f32[count, B]`.

  Attributes:
    count: rows of the result.
    relu: a ReLU follows.
  """

  count: int
  relu: bool

  @nn.compact
  def __call__(self, rows: jax.Array) -> jax.Array:
    """The map of `f32[D, B]`."""
    width = len(rows)
    weights = self.param("weights", _uniform(width), (self.count, width))
    bias = self.param("bias", _uniform(width), (self.count,))
    found = weights @ rows + bias[:, None]
    return nn.relu(found) if self.relu else found


def _uniform(width: int) -> Any:
  """PyTorch's start of a linear map from `width` features."""
  bound = 1 / math.sqrt(width)
  return lambda key, shape: jax.random.uniform(
    key, shape, minval=-bound, maxval=bound
  )


def _glorot(width: int, count: int) -> Any:
  bound = math.sqrt(6 / (width + count))
  return lambda key, shape: jax.random.uniform(
    key, shape, minval=-bound, maxval=bound
  )
