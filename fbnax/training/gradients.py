"""The gradient of a batch: at once, or in parts that follow each other.

In parts (`settings.accumulate`), a large batch takes the memory of a small one:
a scan computes the gradient of each part and adds it up. Gradient, loss and
accuracy are the means over the parts, which are equally large, so without BN,
mixup and dropout they are those of the whole batch. With them a part is a batch
of its own: BN normalises it by its own statistics, and the running ones are
updated once for each part, in their order; mixup finds partners within it, at
the batch's one ratio; dropout draws anew.

Symbols: `B` batch, `H`, `W`, `C` the images' shape.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fbnax.training import augment, losses, mesh
from fbnax.training.model import Member, Model
from fbnax.training.precision import lowered
from fbnax.training.recipes import Settings


class Gradient(NamedTuple):
  """What a batch says.

  Attributes:
    params: the gradient of the loss, a tree like the parameters.
    batch_stats: the running statistics after it.
    loss: `f32[]`.
    accuracy: against the unmixed labels, `f32[]`.
  """

  params: Any
  batch_stats: Any
  loss: jax.Array
  accuracy: jax.Array


def of_batch(
  model: Model,
  settings: Settings,
  variables: Any,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  *,
  ratio: jax.Array,
  key: jax.Array,
  teacher: Any = None,
  progress: Any = 0.0,
) -> Gradient:
  """The gradient of a batch at a network's variables.

  Args:
    model: the module.
    settings: shared by all members.
    variables: of the module.
    member: whose they are.
    images: `[B, H, W, C]`, values of 0..255.
    labels: `i32[B]`.
    ratio: of mixup, see `augment.mix`.
    key: of dropout.
    teacher: variables of `model.teacher`.
    progress: of the training, for `model.objective`.

  Raises:
    ValueError: the batch does not split into `settings.accumulate` parts.
  """
  parts, count = settings.accumulate, labels.shape[0]

  def of_part(
    variables: Any, images: jax.Array, labels: jax.Array, key: jax.Array
  ) -> Gradient:
    shared = ratio, teacher, progress
    return _of_part(
      model, settings, variables, member, images, labels, key, *shared
    )

  if parts == 1:
    return of_part(variables, images, labels, key)
  if count % parts:
    raise ValueError(
      f"training.accumulate is {parts}; legal: a divisor of the batch, which "
      f"has {count} images"
    )

  def body(
    total: Gradient, part: tuple[jax.Array, jax.Array, jax.Array]
  ) -> tuple[Gradient, None]:
    now = {**variables, "batch_stats": total.batch_stats}
    gradient = of_part(now, *part)
    added = jax.tree.map(
      lambda a, b: a + (b / parts).astype(a.dtype),
      _means(total),
      _means(gradient),
    )
    return gradient._replace(**added), None

  zeros = jax.tree.map(jnp.zeros_like, variables["params"])
  nothing = jnp.zeros((), jnp.float32)
  examples = mesh.spread(
    settings.mesh,
    (images.reshape(parts, -1, *images.shape[1:]), labels.reshape(parts, -1)),
    None,
    mesh.DATA,
  )
  split = (*examples, jax.random.split(key, parts))
  begin = Gradient(zeros, variables["batch_stats"], nothing, nothing)
  return jax.lax.scan(body, begin, split)[0]


def _means(gradient: Gradient) -> dict[str, Any]:
  """All of it but the statistics, of which the last count."""
  rest = gradient._asdict()
  del rest["batch_stats"]
  return rest


def _of_part(
  model: Model,
  settings: Settings,
  variables: Any,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  key: jax.Array,
  ratio: jax.Array,
  teacher: Any,
  progress: Any,
) -> Gradient:
  x = augment.mix(augment.prepare(images, settings), ratio)
  x = lowered(settings, x)
  member = member._replace(choice=lowered(settings, member.choice))
  taught = model.taught(teacher, settings, images, ratio)

  def loss_of(params: Any) -> tuple[jax.Array, tuple[Any, jax.Array]]:
    now = {**variables, "params": lowered(settings, params)}
    logits, batch_stats = model.train_logits(now, member, x, key)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    loss, targets = plain_loss(
      settings, logits, labels, ratio, taught, settings.distillation
    )
    if model.objective is not None:
      share = jnp.asarray(progress, jnp.float32)
      loss = model.objective(loss, logits, targets, share, member.given)
    return loss, (batch_stats, losses.count_correct(logits, labels).mean())

  (loss, (batch_stats, accuracy)), params = jax.value_and_grad(
    loss_of, has_aux=True
  )(variables["params"])
  return Gradient(params, batch_stats, loss, accuracy)


def plain_loss(
  settings: Settings,
  logits: jax.Array,
  labels: jax.Array,
  ratio: jax.Array,
  taught: jax.Array | None,
  weight: float | jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """The loss of a batch that is mixed with itself, without an objective.

  Args:
    settings: how labels are smoothed and classes weighted.
    logits: `f32[B, K]`.
    labels: `i32[B]`.
    ratio: of mixup, see `augment.mix`.
    taught: a teacher's logits, `f32[B, K]`, None without a teacher.
    weight: of the teacher's distribution beside the label's.

  Returns:
    The loss, `f32[]`, and the labels' distribution, `f32[B, K]`.
  """
  targets = augment.mix(
    losses.smooth_labels(
      labels,
      logits.shape[-1],
      settings.label_smoothing,
      settings.class_weights,
    ),
    ratio,
  )
  if taught is None:
    return losses.cross_entropy(logits, targets), targets
  weighted = bool(settings.class_weights)
  loss = losses.distillation(logits, targets, taught, weight, weighted=weighted)
  return loss, targets
