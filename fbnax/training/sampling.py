"""Which images of a set in memory an epoch shows, and in which order.

"uniform" shows all of them once. "balanced" shows each class equally often, for
classes of unequal size: the expected gradient is then that of a set in which
all classes are as likely. What is streamed is drawn alike
(`fbnax.data.streaming`).

Symbols: `N` images, `B` of a batch, `P` classes that have images.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def order(
  key: jax.Array, labels: jax.Array, batch: int, sampling: str
) -> jax.Array:
  """The places of the images that an epoch shows, `i32[N]`.

  Balanced, every `B` of them have each class equally often, up to one image. A
  class goes through its images in a random order, and begins anew at its end;
  of a large class an epoch shows a part, which another epoch draws anew. Within
  a batch the order is random.

  Args:
    key: of the epoch.
    labels: `i32[N]`.
    batch: `B`, at most `N`.
    sampling: one of `fbnax.training.recipes.SAMPLINGS`.
  """
  count = labels.shape[0]
  places = jax.random.permutation(key, count)
  if sampling == "uniform":
    return places
  places = places[jnp.argsort(labels[places], stable=True)]
  in_order = labels[places]
  # Classes without images get no number.
  number = jnp.cumsum(jnp.diff(in_order, prepend=in_order[:1]) != 0)
  counts = jnp.bincount(number, length=count)
  starts = jnp.cumsum(counts) - counts
  turn, dealt = jnp.divmod(jnp.arange(count), number[-1] + 1)
  chosen = places[starts[dealt] + turn % counts[dealt]]
  # Images that do not fill a batch stay as they were dealt.
  whole = count // batch * batch
  batches = jax.random.permutation(
    jax.random.fold_in(key, 1),
    chosen[:whole].reshape(-1, batch),
    axis=1,
    independent=True,
  )
  return jnp.concatenate([batches.reshape(-1), chosen[whole:]])
