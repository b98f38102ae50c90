"""One optimizer whose kind and numbers are traced.

A population holds members with different optimizers, so each step computes the
update of all three and takes the member's own; on the sizes that are trained
together this is lost beside the convolutions. Equal to `optax.rmsprop`,
`optax.sgd` (both with momentum) and `optax.adamw` (tested).

A gradient that is too long (`clip_norm`) is shortened before anything else, as
by `optax.clip_by_global_norm` (tested).

Weight decay is the L2 term in the gradient for RMSProp and SGD, decoupled for
AdamW, and leaves biases and BN alone (Wan 2022, section 4.6).

In fine-tuning all layers but the classifier, the trunk, may stand still in the
beginning and be slower afterwards. Its moments are averaged all the same, or
its first steps would be those of moments that start at 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from fbnax.models import classifier
from fbnax.training.recipes import REFERENCE_BATCH, RecipeNumbers, Settings

ADAM_SQUARE_DECAY = 0.999
ADAM_EPSILON = 1e-8
_LAST_STEP = 2**31 - 1  # Steps are counted in 32 bits.


class OptimizerState(NamedTuple):
  """Two vectors as long as all parameters together, `f32[n]`.

  Attributes:
    trace: momentum, or the first moment.
    square: the average of squared gradients.
  """

  trace: jax.Array
  square: jax.Array


def init(params: Any) -> OptimizerState:
  """Momentum 0 and squares 0, as optax starts."""
  flat, _ = ravel_pytree(params)
  # Two arrays, since a step donates both.
  return OptimizerState(trace=jnp.zeros_like(flat), square=jnp.zeros_like(flat))


def update(
  gradients: Any,
  state: OptimizerState,
  params: Any,
  *,
  step: jax.Array,
  learning_rate: jax.Array,
  recipe: RecipeNumbers,
  settings: Settings,
  trunk: jax.Array | None = None,
) -> tuple[Any, OptimizerState]:
  """One step of the recipe's optimizer.

  All parameters are one vector here: an operation for each of a hundred small
  arrays takes longer to compile than the network itself.

  Args:
    gradients: a tree like `params`.
    state: of the step before.
    params: the parameters.
    step: number of steps before this one, `i32[]`.
    learning_rate: of this step, `f32[]`.
    recipe: which optimizer, and its weight decay.
    settings: momentum, clipping and the like.
    trunk: factor of the learning rate outside the classifier, `f32[]`; None
      for one rate.

  Returns:
    The new parameters and state.

  Raises:
    ValueError: there is a factor, and no layer is called `classifier`.
  """
  beta = settings.momentum
  square_decay = jnp.where(
    recipe.adamw > 0, ADAM_SQUARE_DECAY, settings.rms_decay
  )
  count = step.astype(jnp.float32) + 1.0
  p, unravel = ravel_pytree(params)
  g, _ = ravel_pytree(gradients)
  if settings.clip_norm > 0:
    norm = jnp.sqrt((g * g).sum())
    g = jnp.where(norm < settings.clip_norm, g, g / norm * settings.clip_norm)
  decay = recipe.weight_decay * _decayed(params)
  g = g + decay * (1.0 - recipe.adamw)
  square = square_decay * state.square + (1.0 - square_decay) * g * g
  scaled = g * jax.lax.rsqrt(square + settings.rms_epsilon)
  gain = jnp.where(recipe.adamw > 0, 1.0 - beta, 1.0)
  trace = beta * state.trace + gain * jnp.where(recipe.rmsprop > 0, scaled, g)
  adam = (trace / (1.0 - beta**count)) / (
    jnp.sqrt(square / (1.0 - square_decay**count)) + ADAM_EPSILON
  )
  direction = jnp.where(recipe.adamw > 0, adam + decay, trace)
  if trunk is not None:
    direction = direction * _shares(params, trunk)
  new = p - learning_rate * direction
  return unravel(new), OptimizerState(trace=trace, square=square)


def _decayed(params: Any) -> jax.Array:
  """Weights, and 0 for biases and BN; `f32[n]`.

  Those are vectors, or stacks of vectors where blocks are searched. A mask
  would be a constant as large as the network in every program.
  """

  def kept(path: Any, leaf: jax.Array) -> jax.Array:
    name = jax.tree_util.keystr(path[-1:], simple=True)
    if leaf.ndim > 1 and name not in ("scale", "bias"):
      return leaf
    return jnp.zeros_like(leaf)

  return ravel_pytree(jax.tree_util.tree_map_with_path(kept, params))[0]


def _shares(params: Any, trunk: jax.Array) -> jax.Array:
  """1 for the classifier and the factor for all others; `f32[n]`."""
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
  if not any(_is_classifier(path) for path in paths):
    raise ValueError(
      "training.head_epochs and training.trunk_rate need a network with a layer"
      f" called {classifier.NAME!r}; legal for this one: 0 and 1"
    )

  def share(path: Any, leaf: jax.Array) -> jax.Array:
    factor = 1.0 if _is_classifier(path) else trunk
    return jnp.broadcast_to(jnp.asarray(factor, leaf.dtype), leaf.shape)

  return ravel_pytree(jax.tree_util.tree_map_with_path(share, params))[0]


def _is_classifier(path: Any) -> bool:
  return any(step.key == classifier.NAME for step in path)


def trunk_factor(
  settings: Settings, step: jax.Array, steps_per_epoch: int
) -> jax.Array | None:
  """The factor of the trunk's learning rate in a step, None where it is 1."""
  if settings.head_epochs == 0 and settings.trunk_rate == 1:
    return None
  held = min(round(settings.head_epochs * steps_per_epoch), _LAST_STEP)
  return jnp.where(step < held, 0.0, settings.trunk_rate)


def learning_rate(
  recipe: RecipeNumbers,
  settings: Settings,
  step: jax.Array,
  steps_per_epoch: int,
) -> jax.Array:
  """The learning rate of a step, `f32[]`.

  The recipe's is meant for 256 images; it is scaled in proportion to the batch.
  """
  factor = schedule(settings, steps_per_epoch)(step)
  scale = settings.batch_size / REFERENCE_BATCH
  return recipe.learning_rate * scale * factor


def schedule(settings: Settings, steps_per_epoch: int) -> optax.Schedule:
  """The learning rate over steps, as a factor of its initial value."""
  warmup = min(round(settings.warmup_epochs * steps_per_epoch), _LAST_STEP)
  rest = settings.epochs * steps_per_epoch - warmup
  rest = min(max(rest, 1), _LAST_STEP)
  if settings.schedule == "cosine":
    decay = optax.cosine_decay_schedule(1.0, rest)
  elif settings.schedule == "step":
    steps = [rest // 3, 2 * rest // 3]
    if settings.milestones:
      steps = [round(share * rest) for share in settings.milestones]
    factors: dict[int, float] = {}
    for at in steps:
      at = max(at, 1)  # The first step has the whole rate.
      factors[at] = factors.get(at, 1.0) * settings.decay
    decay = optax.piecewise_constant_schedule(1.0, factors)
  else:
    decay = optax.exponential_decay(1.0, steps_per_epoch, settings.decay)
  if not warmup:
    return decay
  grow = optax.linear_schedule(1.0 / warmup, 1.0, warmup - 1 or 1)
  return optax.join_schedules([grow, decay], [warmup])
