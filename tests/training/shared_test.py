"""One network trained with all its smaller ones."""

import dataclasses
import functools
import os
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import data
from fbnax.data import Split
from fbnax.models import Network
from fbnax.models.network import extract
from fbnax.spaces import Block, Decision, Recipe, SearchSpace
from fbnax.spaces.space import follow
from fbnax.training import (
  augment,
  checkpoints,
  corners,
  loop,
  recalibration,
  shared,
  step,
  stopping,
)
from fbnax.training.model import Model
from tests.data.streams import streamed
from tests.training.tiny_shared import (
  LARGEST,
  MODEL,
  NETWORK,
  PLAIN,
  SPACE,
  K,
  examples,
  member,
  settings,
  variables,
)

SEED, STEPS = 3, 2
SETTINGS = settings()
TRAIN, VALIDATION = Split(*examples(20)), Split(*examples(12, seed=1))
FEEDS = {"in memory": loop.place, "streamed": streamed}
_sharing = functools.partial(shared.Sharing, middle=2)  # Fewer programs.
SHARING = _sharing()
# The largest network and no others.
ALONE = _sharing("progressive", subnets=0)


def _step(
  sharing=SHARING,
  settings=SETTINGS,
  recipe=PLAIN,
  at=0,
  model=MODEL,
  teacher=None,
):
  """The state before a step and after it, and its metrics."""
  take = shared.step_of(model, SPACE, sharing, settings, SEED)
  batch = loop.Examples(*map(jnp.asarray, examples()))
  state = step.start(variables())._replace(step=jnp.int32(at))
  before = jax.tree.map(jnp.copy, state)
  after, metrics = take(
    settings, STEPS, at, state, member(recipe), batch, teacher
  )
  return before, after, metrics


def _drawn(at=0, sharing=SHARING):
  random = np.random.default_rng((SEED, at))
  boxes = corners.corners(SPACE, K, middle=2)
  return corners.strategy(sharing.strategy)(boxes, sharing.subnets, 0.0, random)


def _loss(network, params, stats, x, targets):
  """The cross entropy with some targets, and the logits."""
  logits, _ = network.apply(
    {"params": params, "batch_stats": stats},
    x,
    train=True,
    mutable=["batch_stats"],
  )
  logs = jax.nn.log_softmax(logits)
  return -(targets * logs).sum(-1).mean(), logits


def test_a_training_of_another_length_compiles_no_gradient_again():
  _step()
  before = shared.gradient._cache_size(), shared.prepared._cache_size()
  _step(settings=dataclasses.replace(SETTINGS, epochs=5, head_epochs=1.0))
  assert before == (
    shared.gradient._cache_size(),
    shared.prepared._cache_size(),
  )


@functools.partial(jax.jit, static_argnums=0)
def _alone(architecture, cut, images, targets):
  """The gradient of one network, by itself at its resolution."""
  side = architecture.resolution
  x = (images.astype(jnp.float32) / 255 - 0.5) / 0.25
  x = jax.image.resize(x, (len(x), side, side, 1), "bilinear")
  network = Network(architecture, K)
  return jax.grad(
    lambda params: _loss(network, params, cut["batch_stats"], x, targets),
    has_aux=True,
  )(cut["params"])


def _spread(small, large):
  """A gradient at its place in a larger weight: in front, and in the middle."""
  whole = np.zeros(large.shape)
  front = [slice(0, size) for size in small.shape]
  if small.ndim == 4:
    for axis in (0, 1):
      edge = (large.shape[axis] - small.shape[axis]) // 2
      front[axis] = slice(edge, edge + small.shape[axis])
  whole[tuple(front)] = small
  return whole


def _leaves(tree):
  return {
    jax.tree_util.keystr(path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_step_takes_the_sum_of_each_network_s_own_gradient(share):
  """Of networks that are cut out, by `jax.grad`, at SGD's rate of 8 / 256."""
  sharing = _sharing(distillation=share)
  before, after, metrics = _step(sharing)
  images, labels = map(jnp.asarray, examples())
  hard = 0.9 * jax.nn.one_hot(labels, K) + 0.1 / K
  weights = _leaves(before.variables["params"])
  total = {name: np.zeros(leaf.shape) for name, leaf in weights.items()}
  targets = hard
  for i, (_, genotype, taught) in enumerate(_drawn()):
    assert taught == (i > 0)
    cut = extract(SPACE, np.asarray(genotype), before.variables)
    architecture = SPACE.architecture(genotype)
    gradient, logits = _alone(architecture, cut, images, targets)
    for name, leaf in _leaves(gradient).items():
      total[name] += _spread(leaf, weights[name])
    if not taught:
      correct = (logits.argmax(-1) == labels).mean()
      np.testing.assert_allclose(metrics.accuracy, correct, rtol=1e-6)
      targets = share * jax.nn.softmax(logits) + (1 - share) * hard
  moved = _leaves(after.variables["params"])
  for name, leaf in weights.items():
    if leaf.ndim == 4:  # A shift in front of another BN has no gradient.
      assert np.abs(total[name]).max() > 1e-3, name
    np.testing.assert_allclose(
      moved[name] - leaf,
      -total[name] * 8 / 256,
      rtol=1e-3,
      atol=2e-5,
      err_msg=name,
    )


def test_the_drawn_networks_are_of_several_sizes():
  """What the test above is worth."""
  genotypes = [subnet.genotype for subnet in _drawn()]
  assert len(set(genotypes)) == 4
  assert {SPACE.architecture(g).resolution for g in genotypes} == {6, 8}


@pytest.mark.parametrize("strategy", ["sandwich", "random"])
def test_masks_and_corners_train_the_same(strategy):
  """With all that is random, to rounding."""
  recipe = Recipe("sgd", 1.0, 1e-3, True, 0.3, 0.2, 0.4)
  ends = [
    _step(_sharing(strategy, form=form), recipe=recipe, at=1)
    for form in ("corners", "masks")
  ]
  (before, one, first), (_, other, second) = ends
  chex.assert_trees_all_close(one, other, rtol=1e-4, atol=1e-5)
  chex.assert_trees_all_close(first, second, rtol=1e-5)
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b).max(),
    one.variables["params"],
    before.variables["params"],
  )
  # A shift in front of another BN has no gradient.
  assert np.median(jax.tree.leaves(moved)) > 1e-4


def test_the_largest_alone_is_the_usual_step():
  """With its mixup and dropout; BN's statistics are its own."""
  recipe = Recipe("rmsprop", 0.1, 1e-3, True, 0.3, 0.2, 0.4)
  _, found, metrics = _step(ALONE, recipe=recipe)
  usual, expected = jax.jit(step.train_step, static_argnums=(0, 1, 2))(
    MODEL,
    SETTINGS,
    STEPS,
    step.start(variables()),
    member(recipe),
    *map(jnp.asarray, examples()),
  )
  chex.assert_trees_all_close(found, usual, rtol=1e-4, atol=1e-5)
  chex.assert_trees_all_close(metrics, expected, rtol=1e-5)


def test_images_are_distorted_as_in_the_usual_step():
  """The key of a step is split for images, mixup and dropout."""
  changed = settings(crop_padding=2, flip=True)
  images, labels = map(jnp.asarray, examples())
  batch, taught = shared.prepared(
    MODEL, changed, jnp.int32(5), member(), images, labels, None
  )
  keys = jax.random.split(jax.random.fold_in(member().key, 5), 3)
  expected = jax.jit(augment.distort, static_argnums=2)(
    keys[0], images, changed
  )
  np.testing.assert_array_equal(batch.images, expected)
  assert (np.asarray(expected) != images).any()
  np.testing.assert_array_equal(batch.labels, labels)
  assert batch.key == keys[2] and batch.ratio == 1
  assert taught.shape == (8, K) and not taught.any()


def test_statistics_are_the_largest_network_s():
  _, sandwich, _ = _step()
  _, alone, _ = _step(ALONE)
  chex.assert_trees_all_equal(
    sandwich.variables["batch_stats"], alone.variables["batch_stats"]
  )


def test_an_outer_teacher_teaches_the_largest():
  """Its share of the loss; the others' teacher is the largest alone."""
  model = Model(NETWORK, teacher=MODEL)
  teacher = variables(1)
  before, _, metrics = _step(model=model, teacher=teacher)
  images, labels = map(jnp.asarray, examples())
  x = (images / 255 - 0.5) / 0.25
  apply = jax.jit(functools.partial(NETWORK.apply, train=False))
  soft = jax.nn.softmax(apply(teacher, x))
  targets = 0.8 * soft + 0.2 * (0.9 * jax.nn.one_hot(labels, K) + 0.1 / K)
  loss, _ = jax.jit(_loss, static_argnums=0)(
    NETWORK,
    before.variables["params"],
    before.variables["batch_stats"],
    x,
    targets,
  )
  np.testing.assert_allclose(metrics.loss, loss, rtol=1e-5)


def _fit(feed, epochs, **more):
  return shared.fit(
    MODEL,
    SPACE,
    SHARING,
    SETTINGS,
    step.start(variables()),
    member(Recipe("sgd", 1.0, 1e-3, True, 0.1, 0.1, 0.2)),
    FEEDS[feed](TRAIN),
    epochs=epochs,
    validation=loop.place(VALIDATION),
    seed=SEED,
    **more,
  )


@functools.cache
def _whole(feed):
  return _fit(feed, 3)


def _assert_same(found, expected):
  """Bit for bit, the curves too."""
  chex.assert_trees_all_equal(found.state, expected.state)
  for a, b in zip(found.curves, expected.curves, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_shared_run_that_is_set_going_again_ends_as_if_it_had_not_stopped(
  feed, tmp_path
):
  saving = loop.Checkpointing(tmp_path, every=1, keep=1)
  stopped = _fit(feed, 1, checkpointing=saving)
  assert stopped.state.step == STEPS
  seen = []
  found = _fit(
    feed, 3, checkpointing=saving, on_epoch=lambda i, *_: seen.append(i)
  )
  assert seen == [2, 3]
  _assert_same(found, _whole(feed))
  assert np.isfinite(found.curves).all()


@pytest.mark.parametrize("feed", FEEDS)
def test_a_shared_run_told_to_stop_saves_within_the_epoch(
  feed, tmp_path, monkeypatch
):
  saving = loop.Checkpointing(tmp_path, every=3)
  wanted, program, calls = _whole(feed), shared.summed, []

  def told(*arguments):
    calls.append(program)
    if len(calls) == STEPS + 1:
      os.kill(os.getpid(), signal.SIGTERM)
    return program(*arguments)

  monkeypatch.setattr(shared, "summed", told)
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  stopping.listen()
  try:
    with pytest.raises(KeyboardInterrupt):
      _fit(feed, 3, checkpointing=saving)
  finally:
    stopping.heard()
    for number, handler in zip(
      (signal.SIGTERM, signal.SIGINT), before, strict=True
    ):
      signal.signal(number, handler)
  assert len(calls) == STEPS + 1
  assert checkpoints.steps(tmp_path) == (1,)
  _assert_same(_fit(feed, 3, checkpointing=saving), wanted)
  assert len(calls) == 3 * STEPS


def test_images_in_memory_come_in_the_order_of_an_epoch():
  """That of `step.train_epoch`, by what it shows."""
  images = loop.Examples(jnp.arange(20), jnp.arange(20))
  key = jax.random.key(4)
  batches = loop.MemoryBatches(SETTINGS, images, key)
  shown = np.stack([np.asarray(next(batches).images) for _ in range(4)])
  for epoch in range(2):
    order = step.epoch_order(SETTINGS, key, jnp.int32(epoch * 2), images.labels)
    expected = np.asarray(order)[:16].reshape(2, 8)
    np.testing.assert_array_equal(shown[2 * epoch : 2 * epoch + 2], expected)
  part = loop.MemoryBatches(SETTINGS, images, key, range(4, 8))
  part.set_state({"taken": 3})
  np.testing.assert_array_equal(next(part).images, shown[3][4:])
  assert part.get_state() == {"taken": 4}


def _accuracy(state, recipe, genotype, train, test):
  """Of a network by the weights that it shares."""
  architecture = SPACE.architecture(genotype)
  at = settings(resolution=architecture.resolution, batch_size=32)
  found = recalibration.inherited(
    SPACE,
    np.asarray(genotype),
    loop.result(state, recipe),
    at,
    recalibration.sample(at, train),
  )
  model = Model(Network(architecture, K))
  return float(loop.measure(model, at, found, None, test).accuracy)


def test_the_smallest_learns_with_the_largest():
  """On three digits; cut out of a network trained alone it knows less."""
  digits = data.load("digits")
  splits = []
  for split in (digits.train, digits.test):
    few = split.take(np.flatnonzero(split.labels < K)[:256])
    splits.append(
      loop.Examples(jnp.asarray(few.images), jnp.asarray(few.labels))
    )
  train, test = splits
  recipe = member(Recipe("adamw", 0.1, 0.0, False, 0.0, 0.0, 0.0))
  accuracies = {}
  for name, sharing in (("alone", ALONE), ("shared", SHARING)):
    fitted = shared.fit(
      MODEL,
      SPACE,
      sharing,
      SETTINGS,
      step.start(variables()),
      recipe,
      train,
      epochs=3,
      validation=test,
    )
    smallest = (0,) * len(LARGEST)
    accuracies[name] = (
      fitted.curves.accuracy[-1],
      _accuracy(fitted.state, recipe, smallest, train, test),
    )
  print(accuracies)
  assert min(accuracies["alone"][0], accuracies["shared"][0]) > 0.8
  assert accuracies["shared"][1] > accuracies["alone"][1] + 0.1


@pytest.mark.parametrize(
  ("options", "words"),
  [
    ({"strategy": "all"}, "strategy is 'all'; legal: sandwich"),
    ({"subnets": -1}, "subnets is -1; legal: 0"),
    ({"distillation": 2.0}, "distillation is 2.0; legal: from 0 to 1"),
    ({"form": "sparse"}, "form is 'sparse'; legal: auto, corners, masks"),
  ],
)
def test_sharing_that_is_none_is_refused(options, words):
  with pytest.raises(ValueError, match=words):
    shared.Sharing(**options)


@pytest.mark.parametrize(
  ("model", "changes", "words"),
  [
    (MODEL, {"accumulate": 2}, "accumulate is 2; legal with shared weights: 1"),
    (MODEL, {"resolution": 6}, "resolution is 6; legal with shared weights: 8"),
    (
      Model(Network(SPACE.architecture((0,) * 6), K)),
      {},
      "not the largest network",
    ),
    (Model(NETWORK, objective=max), {}, "objective is .*max"),
  ],
)
def test_trainings_that_weights_are_not_shared_in_are_refused(
  model, changes, words
):
  with pytest.raises(ValueError, match=words):
    shared.step_of(model, SPACE, SHARING, settings(**changes), SEED)


def test_layers_that_the_largest_lacks_are_the_supernet_s():
  """A width between rounds up to mid channels, and so it is expanded."""
  stem = Decision("stem.channels", (4, 6, 8))
  table = dataclasses.replace(
    SPACE.table,
    resolution=6,
    stem=dataclasses.replace(SPACE.table.stem, channels=follow(stem)),
    blocks=(Block(channels=8, stage=1),),
  )
  space = SearchSpace("rounded", (stem,), table)
  network = Network(space.architecture(shared.largest(space)), K)
  tree = shared.initial(space, K, jax.random.key(0))
  first = jax.eval_shape(
    lambda: network.init(
      jax.random.key(0), jnp.zeros((1, 6, 6, 1)), train=False
    )
  )
  assert "expand" in tree["params"]["stage1_block0"]
  assert "expand" not in first["params"]["stage1_block0"]
  at = settings(resolution=6)
  run = functools.partial(
    shared.fit,
    Model(network),
    space,
    _sharing(share=1.0),
    at,
    member=member(),
    train=loop.place(TRAIN),
    epochs=1,
    validation=loop.place(VALIDATION),
  )
  fitted = run(step.start(jax.tree.map(jnp.copy, tree)))
  after = fitted.state.variables
  for kind, same in (("params", False), ("batch_stats", True)):
    one, other = (t[kind]["stage1_block0"]["expand"] for t in (tree, after))
    gaps = jax.tree.map(lambda a, b: np.array_equal(a, b), one, other)
    assert all(jax.tree.leaves(gaps)) == same, kind
  assert np.isfinite(fitted.curves).all()
  lacking = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), first)
  with pytest.raises(ValueError, match=r"'expand'.* has shape None; legal"):
    run(step.start(lacking))


def _operations(box, genotype):
  """Floating-point operations of a network's gradient, by XLA's count."""
  images, labels = map(jnp.asarray, examples())
  batch, taught = shared.prepared(
    MODEL, SETTINGS, jnp.int32(0), member(), images, labels, None
  )
  lowered = shared.gradient.lower(
    K,
    box,
    settings(resolution=box.resolution),
    False,
    variables(),
    member(),
    np.asarray(box.inside(genotype), np.int32),
    batch,
    taught,
    np.float32(1),
  )
  return lowered.cost_analysis()["flops"]


def test_the_smallest_costs_what_it_costs_and_masks_cost_the_largest():
  """The smallest has a 22nd of the largest's MACs on nine pixels of 16."""
  boxes = corners.corners(SPACE, K)
  largest, smallest = (_operations(b, b.top) for b in (boxes[0], boxes[-1]))
  masks = corners.smallest_holding(corners.whole(SPACE, K), boxes[-1].top)
  assert smallest < 0.15 * largest
  assert _operations(masks, boxes[-1].top) > 0.4 * largest
