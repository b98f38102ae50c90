"""One network trained with all its smaller ones: the shared supernet.

A supernet's weights are those of its largest network, and a smaller one has
their leading parts. (A layer that only some smaller ones have is there, too.)
In a step the largest network learns from the labels and, where there is one,
from an outer teacher; the others learn from its detached probabilities on the
same images, each at its resolution. Their gradients are summed, and one step of
the optimizer is taken with the sum (the sandwich rule, Yu et al. 2020, BigNAS,
section 3; `fbnax.training.corners` has other rules). Only the largest network
is regularised by dropout and drop-path, as there.

BN takes each network's batch. The running statistics are recorded from the
largest network's pass alone; those of the others are computed when they are
needed (`fbnax.training.recalibration`).

The form depends on the device. On a CPU each corner has a program of its sizes,
so that the smallest network costs what it costs; an accelerator has masks over
the whole space, one program for each resolution. What is trained is the same.
A step is a gradient program for each network and one that takes the sum.

Symbols: `B` batch, `H`, `W`, `C` the images' shape, `K` classes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.models.initial import initialize
from fbnax.models.network import Network, Supernet, narrow, one_hot
from fbnax.spaces.follow import smallest
from fbnax.spaces.space import SearchSpace
from fbnax.training import augment, corners, loop, losses, mesh, step
from fbnax.training.corners import Corner
from fbnax.training.gradients import plain_loss
from fbnax.training.model import Member, Model
from fbnax.training.precision import lowered
from fbnax.training.recipes import Settings
from fbnax.training.step import Metrics, TrainState

FORMS = ("auto", "corners", "masks")


@dataclasses.dataclass(frozen=True)
class Sharing:
  """How the networks of a space are trained together.

  Attributes:
    strategy: which networks a step trains, a name of `corners.STRATEGIES`.
    subnets: random networks in a step.
    distillation: weight of the largest network's distribution beside the
      label's, for the others.
    middle: corners between the largest and the smallest network.
    share: of the largest network's MACs that such a corner may have.
    form: "corners" for a program of each corner's sizes, "masks" for one of
      each resolution, "auto" for what suits the device.
  """

  strategy: str = "sandwich"
  subnets: int = 2
  distillation: float = 1.0
  middle: int = 3
  share: float = 0.5
  form: str = "auto"

  def __post_init__(self) -> None:
    """Refuses what nothing can be trained by."""
    corners.strategy(self.strategy)
    for name, value, legal, words in (
      ("subnets", self.subnets, self.subnets >= 0, "0 or more"),
      (
        "distillation",
        self.distillation,
        0 <= self.distillation <= 1,
        "from 0 to 1",
      ),
      ("form", self.form, self.form in FORMS, ", ".join(FORMS)),
    ):
      if not legal:
        raise ValueError(f"sharing: {name} is {value!r}; legal: {words}")


class SharedBatch(NamedTuple):
  """What all networks of a step have in common.

  Attributes:
    images: distorted, `[B, H, W, C]`, values of 0..255.
    labels: `i32[B]`.
    ratio: of mixup, `f32[]`.
    key: of dropout.
  """

  images: jax.Array
  labels: jax.Array
  ratio: jax.Array
  key: jax.Array


class Lesson(NamedTuple):
  """What a network of a step gives.

  Attributes:
    gradients: a tree like the parameters of the largest network.
    logits: `f32[B, K]`.
    batch_stats: the running statistics after it, of its program's shapes.
    metrics: loss, and accuracy against the unmixed labels.
  """

  gradients: Any
  logits: jax.Array
  batch_stats: Any
  metrics: Metrics


def largest(space: SearchSpace) -> corners.Genotype:
  """The genotype of a space's largest network, `int[D]`.

  Raises:
    ValueError: see `corners.check_space`.
  """
  corners.check_space(space)
  return tuple(count - 1 for count in space.choices)


@functools.partial(jax.jit, static_argnums=(0, 1))
def initial(space: SearchSpace, num_classes: int, key: jax.Array) -> Any:
  """Random variables of a supernet, drawn for its largest network.

  Args:
    space: see `corners.check_space`.
    num_classes: `K`.
    key: random key.
  """
  # Variables do not depend on the resolution, so the smallest will do.
  side = smallest(int, space.table.resolution)
  images = jnp.zeros((1, side, side, space.table.input_channels))
  choice = one_hot(space, jnp.asarray(largest(space), jnp.int32))
  supernet = Supernet(space, num_classes)
  return initialize(supernet, key, images, choice, train=False)


def fit(
  model: Model,
  space: SearchSpace,
  sharing: Sharing,
  settings: Settings,
  state: TrainState,
  member: Member,
  train: loop.Feed,
  *,
  epochs: int,
  validation: loop.Feed | None = None,
  teacher: Any = None,
  seed: int = 0,
  checkpointing: loop.Checkpointing | None = None,
  on_epoch: Callable[[int, Metrics, Metrics | None], None] | None = None,
) -> loop.Fitted:
  """Trains a network with all its smaller ones, or what is left of it.

  The curves are those of the first network of each step, the largest one's
  where the strategy has it, and its accuracy by its running statistics.

  Args:
    model: of the space's largest network, `Network(space.architecture(
      largest(space)), K)`, with the outer teacher if there is one.
    space: see `corners.corners`.
    sharing: how its networks are trained together.
    settings: as in `loop.fit`, at the largest network's resolution.
    state: the first state, of the variables of `Supernet(space, K)`; those of
      the largest network are the same where it lacks no layer. Its arrays are
      used up (donated).
    member: recipe and key, without choice weights.
    train: images to train on.
    epochs: as in `loop.fit`.
    validation: images to measure the largest network on after each epoch.
    teacher: variables of `model.teacher`.
    seed: of the networks that are drawn, and of a stream's order and crops.
    checkpointing: where to save states; training goes on from the newest.
    on_epoch: as in `loop.fit`.

  Returns:
    The last state and the curves.

  Raises:
    DivergedError: as in `loop.fit`.
    ValueError: the space cannot be trained so, the model is not its largest
      network's, the variables are not the supernet's, or a setting is none of
      these trainings.
  """
  take = step_of(model, space, sharing, settings, seed)
  _check_variables(space, model.module.num_classes, state.variables)
  return loop.fit(
    model,
    settings,
    state,
    member,
    train,
    epochs=epochs,
    validation=validation,
    teacher=teacher,
    seed=seed,
    checkpointing=checkpointing,
    on_epoch=on_epoch,
    take=take,
  )


def step_of(
  model: Model,
  space: SearchSpace,
  sharing: Sharing,
  settings: Settings,
  seed: int,
) -> loop.TakeStep:
  """What takes a step of all networks of a space; arguments as in `fit`."""
  _check(model, space, settings)
  num_classes = model.module.num_classes
  boxes = corners.corners(
    space, num_classes, middle=sharing.middle, share=sharing.share
  )
  masks = sharing.form == "masks" or (
    sharing.form == "auto" and jax.default_backend() != "cpu"
  )
  # Whose program trains the networks of a corner.
  programs = dict(zip(boxes, boxes, strict=True))
  if masks:
    whole = corners.whole(space, num_classes)
    programs = {box: corners.smallest_holding(whole, box.top) for box in boxes}
  choose = corners.strategy(sharing.strategy)

  def take(
    settings: Settings,
    steps_per_epoch: int,
    at: int,
    state: TrainState,
    member: Member,
    batch: loop.Examples,
    teacher: Any,
  ) -> tuple[TrainState, Metrics]:
    progress = min(at / (settings.epochs * steps_per_epoch), 1.0)
    random = np.random.default_rng((seed, at))
    subnets = choose(boxes, sharing.subnets, progress, random)
    # A training of another length has the same programs but for its sum.
    of_any = dataclasses.replace(settings, epochs=1, head_epochs=0.0)
    shared, outer = prepared(model, of_any, state.step, member, *batch, teacher)
    lessons: list[Lesson] = []
    stats, spared = None, _spared(member, np.float32(0))
    for subnet in subnets:
      box = programs[subnet.corner]
      is_largest = subnet.corner is boxes[0]
      taught, weight = outer, settings.distillation
      if model.teacher is None:
        weight = 0.0
      if subnet.taught:
        taught, weight = lessons[0].logits, sharing.distillation
      lesson = gradient(
        num_classes,
        box,
        dataclasses.replace(of_any, resolution=box.resolution),
        is_largest or masks,
        state.variables,
        member if is_largest else spared,
        np.asarray(box.inside(subnet.genotype), np.int32),
        shared,
        taught,
        np.float32(weight),
      )
      if is_largest:
        stats = lesson.batch_stats
      lessons.append(lesson)
    state = summed(
      settings,
      steps_per_epoch,
      state,
      member,
      [lesson.gradients for lesson in lessons],
      stats,
    )
    return state, lessons[0].metrics

  return take


def _spared(member: Member, rate: Any) -> Member:
  """A member without dropout and drop-path."""
  recipe = member.recipe._replace(dropout=rate, stochastic_depth=rate)
  return member._replace(recipe=recipe)


@functools.partial(jax.jit, static_argnums=(0, 1))
def prepared(
  model: Model,
  settings: Settings,
  at: jax.Array,
  member: Member,
  images: jax.Array,
  labels: jax.Array,
  teacher: Any,
) -> tuple[SharedBatch, jax.Array]:
  """A batch as all networks of a step see it, and the outer teacher's logits.

  Everything random is that of `step.train_step`.

  Args:
    model: of the largest network.
    settings: likewise.
    at: steps before this one, `i32[]`.
    member: whose step it is.
    images: `u8[B, H, W, C]`.
    labels: `i32[B]`.
    teacher: variables of `model.teacher`.

  Returns:
    The batch, and `f32[B, K]`, zeros without a teacher.
  """
  images, labels = mesh.spread(settings.mesh, (images, labels), mesh.DATA)
  key = jax.random.fold_in(member.key, at)
  image_key, mix_key, drop_key = jax.random.split(key, 3)
  images = augment.distort(image_key, images, settings)
  ratio = augment.mixup_ratio(mix_key, member.recipe.mixup)
  logits = model.taught(teacher, settings, images, ratio)
  if logits is None:
    logits = jnp.zeros((len(labels), model.module.num_classes), jnp.float32)
  return SharedBatch(images, labels, ratio, drop_key), logits


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def gradient(
  num_classes: int,
  box: Corner,
  settings: Settings,
  regularised: bool,
  variables: Any,
  member: Member,
  genotype: jax.Array,
  batch: SharedBatch,
  taught: jax.Array,
  weight: jax.Array,
) -> Lesson:
  """What one network of a box says of a batch.

  Args:
    num_classes: `K`.
    box: whose program it is.
    settings: at its resolution.
    regularised: whether the rates of dropout and drop-path are traced; without
      there are none.
    variables: of the largest network.
    member: for these rates.
    genotype: of `box.part`, `i32[D]`.
    batch: what all have.
    taught: a teacher's logits, `f32[B, K]`.
    weight: of the teacher's distribution beside the label's, `f32[]`.
  """
  if not regularised:
    member = _spared(member, 0.0)  # A number that the network sees is 0.
  choice = lowered(settings, one_hot(box.part, genotype))
  member = member._replace(choice=choice)
  module = Model(Supernet(box.part, num_classes))
  x = augment.mix(augment.prepare(batch.images, settings), batch.ratio)
  x = lowered(settings, x)

  def loss_of(params: Any) -> tuple[jax.Array, Any]:
    now = {**variables, "params": lowered(settings, params)}
    logits, batch_stats = module.train_logits(
      narrow(box.part, now), member, x, batch.key
    )
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    loss, _ = plain_loss(
      settings, logits, batch.labels, batch.ratio, taught, weight
    )
    return loss, (logits, batch_stats)

  (loss, (logits, batch_stats)), gradients = jax.value_and_grad(
    loss_of, has_aux=True
  )(variables["params"])
  accuracy = losses.count_correct(logits, batch.labels).mean()
  lesson = Lesson(gradients, logits, batch_stats, Metrics(loss, accuracy))
  return mesh.spread(settings.mesh, lesson)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def summed(
  settings: Settings,
  steps_per_epoch: int,
  state: TrainState,
  member: Member,
  gradients: Sequence[Any],
  batch_stats: Any,
) -> TrainState:
  """The state after a step with the sum of gradients; see `step.moved`.

  Statistics that are not in `batch_stats` stay as they are.
  """
  batch_stats = _updated(state.variables["batch_stats"], batch_stats)
  total = jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *gradients)
  state = step.moved(
    settings, steps_per_epoch, state, member.recipe, total, batch_stats
  )
  return mesh.spread(settings.mesh, state)


def _updated(before: Any, after: Any) -> Any:
  """A tree with what another has of it, in whose place that comes."""
  if not isinstance(before, Mapping):
    return after
  return {
    name: _updated(value, after[name]) if name in (after or {}) else value
    for name, value in before.items()
  }


def forget() -> None:
  """Drops the compiled programs; see `fbnax.training.programs.forget`."""
  compiled: tuple[Any, ...] = (initial, prepared, gradient, summed)
  for program in compiled:
    program.clear_cache()


def _check(model: Model, space: SearchSpace, settings: Settings) -> None:
  """Refuses a model of another network, and settings of other trainings."""
  architecture = space.architecture(largest(space))
  module = model.module
  if not isinstance(module, Network) or module.architecture != architecture:
    raise ValueError(
      "the model is not the largest network of space"
      f" {space.name!r}; legal: Network(space.architecture(largest(space)), K)"
    )
  if model.objective is not None:
    raise ValueError(
      f"objective is {model.objective!r}; legal with shared weights: None"
    )
  for name, value, legal in (
    ("accumulate", settings.accumulate, 1),
    ("resolution", settings.resolution, architecture.resolution),
  ):
    if value != legal:
      raise ValueError(
        f"training.{name} is {value}; legal with shared weights: {legal}"
      )


def _check_variables(
  space: SearchSpace, num_classes: int, variables: Any
) -> None:
  """Refuses variables that are not the supernet's."""
  shapes = jax.eval_shape(
    functools.partial(initial, space, num_classes), jax.random.key(0)
  )
  there = {
    jax.tree_util.keystr(path): leaf.shape
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }
  for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
    name = jax.tree_util.keystr(path)
    if there.get(name) != leaf.shape:
      raise ValueError(
        f"variables{name} has shape {there.get(name)}; legal, of the supernet"
        f" of space {space.name!r}: {leaf.shape}"
      )
