"""Steps of differentiable architecture search: pure functions of one state.

A step of either kind draws choice weights, and then changes the weights by SGD
on the cross entropy, or `theta` by Adam on the cross entropy and the cost
together (`penalties`). An epoch is first all weight steps,
then all theta steps, on images of their own (Wan 2022, section 3.4). What is
random, the order of the images and the temperature follow from the key and the
number of the step.

Symbols: `B` examples of a batch, `N` images.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fbnax.search.dnas.penalties import combine
from fbnax.search.dnas.state import (
  SearchPlan,
  SearchProblem,
  SearchState,
  Sums,
  adam,
  choice_weights,
  temperature,
)
from fbnax.training import (
  augment,
  gradients,
  losses,
  mesh,
  optimizers,
  sampling,
)
from fbnax.training.model import Member
from fbnax.training.precision import lowered
from fbnax.training.recipes import RecipeNumbers


def weight_step(
  problem: SearchProblem,
  state: SearchState,
  images: jax.Array,
  labels: jax.Array,
) -> SearchState:
  """SGD on the cross entropy under sampled choices; `theta` stays.

  Args:
    problem: the search.
    state: before the step.
    images: `u8[B, H, W, C]`.
    labels: `i32[B]`.

  Returns:
    The state after it.
  """
  settings, plan = problem.settings, problem.plan
  images, labels = mesh.spread(settings.mesh, (images, labels), mesh.DATA)
  epoch, place = jnp.divmod(state.step, problem.steps)
  image_key, choice_key, drop_key = _keys(state)
  member = _member(
    plan,
    choice_weights(
      plan, choice_key, state.theta, temperature(plan, epoch), len(labels)
    ),
    state.key,
  )
  gradient = gradients.of_batch(
    problem.model,
    settings,
    state.variables,
    member,
    augment.distort(image_key, images, settings),
    labels,
    ratio=jnp.ones(()),
    key=drop_key,
  )
  taken = epoch * problem.weight_steps + place
  params, optimizer = optimizers.update(
    gradient.params,
    state.optimizer,
    state.variables["params"],
    step=taken,
    learning_rate=optimizers.learning_rate(
      member.recipe, settings, taken, problem.weight_steps
    ),
    recipe=member.recipe,
    settings=settings,
  )
  sums = _since(state, place)
  after = state._replace(
    step=state.step + 1,
    variables={
      **state.variables,
      "params": params,
      "batch_stats": gradient.batch_stats,
    },
    optimizer=optimizer,
    sums=sums._replace(
      loss=sums.loss + gradient.loss, accuracy=sums.accuracy + gradient.accuracy
    ),
    failed=_failed(state, gradient.loss),
  )
  return mesh.spread(settings.mesh, after)


def theta_step(
  problem: SearchProblem,
  state: SearchState,
  images: jax.Array,
  labels: jax.Array,
) -> SearchState:
  """Adam on cross entropy and cost; the supernet stays as it is.

  BN uses the batch's statistics, as in training, and the running ones are not
  touched.

  Args:
    problem: the search.
    state: before the step.
    images: `u8[B, H, W, C]`, none that the weights are trained on.
    labels: `i32[B]`.

  Returns:
    The state after it.
  """
  settings, plan = problem.settings, problem.plan
  images, labels = mesh.spread(settings.mesh, (images, labels), mesh.DATA)
  epoch = state.step // problem.steps
  image_key, choice_key, drop_key = _keys(state)
  x = augment.prepare(augment.distort(image_key, images, settings), settings)
  x = lowered(settings, x)
  params = lowered(settings, state.variables["params"])
  variables = {**state.variables, "params": params}

  def loss_of(theta: tuple[jax.Array, ...]) -> tuple[jax.Array, Any]:
    weights = choice_weights(
      plan, choice_key, theta, temperature(plan, epoch), len(labels)
    )
    member = _member(plan, weights, state.key)
    now = member._replace(choice=lowered(settings, member.choice))
    logits, _ = problem.model.train_logits(variables, now, x, drop_key)
    logits = logits.astype(jnp.float32)
    targets = losses.smooth_labels(
      labels,
      logits.shape[-1],
      settings.label_smoothing,
      settings.class_weights,
    )
    cross_entropy = losses.cross_entropy(logits, targets)
    paid = weights
    if plan.cost_of == "theta":
      paid = tuple(jax.nn.softmax(t) for t in theta)
    cost = problem.price.expected(paid) * cost_factor(problem)
    objective = combine(problem.penalty, cross_entropy, cost)
    accuracy = losses.count_correct(logits, labels).mean()
    return objective, (cross_entropy, accuracy)

  (objective, (cross_entropy, accuracy)), slope = jax.value_and_grad(
    loss_of, has_aux=True
  )(state.theta)
  updates, moments = adam(plan).update(slope, state.adam, state.theta)
  theta = optax.apply_updates(state.theta, updates)
  sums = state.sums
  after = state._replace(
    step=state.step + 1,
    theta=theta,
    adam=moments,
    sums=sums._replace(
      theta_loss=sums.theta_loss + cross_entropy,
      theta_accuracy=sums.theta_accuracy + accuracy,
      objective=sums.objective + objective,
    ),
    failed=_failed(state, objective, *theta),
  )
  return mesh.spread(settings.mesh, after)


STEPS = (weight_step, theta_step)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def run_steps(
  problem: SearchProblem,
  kind: int,
  state: SearchState,
  images: jax.Array,
  labels: jax.Array,
  stop: jax.Array,
) -> SearchState:
  """Steps of one kind, within one epoch, on images on the device.

  The bits do not depend on how an epoch is cut into calls. Images that do not
  fill a batch are left for another epoch's order.

  Args:
    problem: the search.
    kind: of the steps, 0 for the weights', 1 for theta's.
    state: its arrays are used up (donated).
    images: all images of this kind of step, `u8[N, H, W, C]`.
    labels: `i32[N]`.
    stop: the step before which to stop, `i32[]`.

  Returns:
    The state at `stop`.
  """
  order = _order(problem, kind, state, labels)

  def body(state: SearchState) -> SearchState:
    rows = _rows(problem, kind, state, order)
    return STEPS[kind](problem, state, images[rows], labels[rows])

  return jax.lax.while_loop(lambda s: s.step < stop, body, state)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def run_next(
  problem: SearchProblem,
  kind: int,
  state: SearchState,
  images: jax.Array,
  labels: jax.Array,
) -> SearchState:
  """The next of the steps that `run_steps` takes, in a program of its own."""
  order = _order(problem, kind, state, labels)
  rows = _rows(problem, kind, state, order)
  return STEPS[kind](problem, state, images[rows], labels[rows])


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def run_step(
  problem: SearchProblem,
  kind: int,
  state: SearchState,
  images: jax.Array,
  labels: jax.Array,
) -> SearchState:
  """One step on a batch that was streamed; as `run_steps`."""
  return STEPS[kind](problem, state, images, labels)


def _order(
  problem: SearchProblem, kind: int, state: SearchState, labels: jax.Array
) -> jax.Array:
  """The order of a kind's images in this epoch, `i32[N]`."""
  # A constant far above any step keeps the order's key apart from theirs.
  key = jax.random.fold_in(state.key, 2**31 - 1)
  epoch = state.step // problem.steps
  key = jax.random.fold_in(key, 2 * epoch + kind)
  settings = problem.settings
  batch = min(settings.batch_size, len(labels))
  return sampling.order(key, labels, batch, settings.sampling)


def _rows(
  problem: SearchProblem, kind: int, state: SearchState, order: jax.Array
) -> jax.Array:
  """The places of a step's images, `i32[B]`."""
  batch = min(problem.settings.batch_size, len(order))
  epoch = state.step // problem.steps
  first = epoch * problem.steps + kind * problem.weight_steps
  return jax.lax.dynamic_slice(order, ((state.step - first) * batch,), (batch,))


def cost_factor(problem: SearchProblem) -> float:
  """The logarithm of latency is of microseconds; all else is as it is."""
  logarithm = problem.penalty.combination == "multiplicative"
  return problem.price.cost.log_factor if logarithm else 1.0


def _keys(state: SearchState) -> tuple[jax.Array, jax.Array, jax.Array]:
  keys = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
  return keys[0], keys[1], keys[2]


def _member(plan: SearchPlan, weights: Any, key: jax.Array) -> Member:
  """A member of plain numbers: what is 0 is not compiled."""
  numbers: dict[str, Any] = dict.fromkeys(RecipeNumbers._fields, 0.0)
  numbers |= {
    "sgd": 1.0,
    "learning_rate": plan.learning_rate,
    "weight_decay": plan.weight_decay,
  }
  recipe = RecipeNumbers(**numbers)
  return Member(recipe, weights, key)


def _since(state: SearchState, place: jax.Array) -> Sums:
  """The sums of this epoch, which begins at its first step."""
  fresh = place == 0
  return Sums(*(jnp.where(fresh, 0.0, s) for s in state.sums))


def _failed(state: SearchState, *values: jax.Array) -> jax.Array:
  finite = functools.reduce(
    jnp.logical_and, (jnp.isfinite(v).all() for v in values)
  )
  first = (state.failed < 0) & ~finite
  return jnp.where(first, state.step, state.failed)
