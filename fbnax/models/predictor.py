"""The accuracy predictor: a multi-layer perceptron with two heads.

After Figure 4.3 of Wan 2022. One layer embeds the architecture's features
(width 24). The proxy head reads costs, and scores of untrained networks where
there are some, from the embedding, which pretrains it on free labels; the
accuracy head reads embedding and recipe features through one hidden layer. The
paper leaves the nonlinearity open; SiLU is smooth, so that no two candidates
tie because a unit is off.

Symbols: `F` features of a space, the `A` of the architecture first; `T` free
labels.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

NUM_PROXIES = 2  # Log MACs and log parameters.


class Predictor(nn.Module):
  """Scores architecture-recipe pairs.

  Attributes:
    architecture_features: `A`; 0 where only recipes are searched, then there
      is no embedding.
    embedding: width of the embedding.
    hidden: width of the accuracy head's hidden layer.
    free_labels: `T`, outputs of the proxy head; MACs and parameters first.
  """

  architecture_features: int
  embedding: int = 24
  hidden: int = 24
  free_labels: int = NUM_PROXIES

  def setup(self) -> None:
    """Names the layers; `encoder` is what pretraining hands over."""
    self.encoder = nn.Dense(self.embedding)
    self.proxy_head = nn.Dense(self.free_labels)
    self.hidden_layer = nn.Dense(self.hidden)
    self.score_head = nn.Dense(1)

  def __call__(self, features: jax.Array) -> jax.Array:
    """Standardised accuracy, `f32[..., F]` to `f32[...]`."""
    recipe = features[..., self.architecture_features :]
    parts = [recipe]
    if self.architecture_features:
      parts = [self.embed(features), recipe]
    hidden = nn.silu(self.hidden_layer(jnp.concatenate(parts, axis=-1)))
    return self.score_head(hidden)[..., 0]

  def proxies(self, features: jax.Array) -> jax.Array:
    """Standardised free labels, `f32[..., F]` to `f32[..., T]`."""
    return self.proxy_head(self.embed(features))

  def embed(self, features: jax.Array) -> jax.Array:
    """The embedding, `f32[..., F]` to `f32[..., embedding]`."""
    return nn.silu(self.encoder(features[..., : self.architecture_features]))
