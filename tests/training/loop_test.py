"""Training to the end, and again from where it stopped."""

import dataclasses
import functools
import os
import signal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.data import Split
from fbnax.spaces.recipe import Recipe
from fbnax.training import (
  checkpoints,
  loop,
  population,
  recipes,
  step,
  stopping,
)
from fbnax.training.recipes import Settings
from fbnax.training.step import Member, Model
from tests.data.streams import streamed

K = 3


class Net(nn.Module):
  """Dense, BN, ReLU, Dense."""

  @nn.compact
  def __call__(self, images, *, train):
    x = nn.Dense(16)(images.reshape(images.shape[0], -1))
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    return nn.Dense(K)(nn.relu(x))


MODEL = Model(Net())
SETTINGS = Settings(
  epochs=4,
  batch_size=16,
  resolution=4,
  mean=(0.5,),
  std=(0.25,),
  ema_decay=0.9,
  flip=True,
)
RECIPE = Recipe("sgd", 1.0, 1e-5, True, 0.0, 0.0, 0.1)


def _split(n, seed=0, side=4):
  """Three classes: bright above, bright below, grey; with noise."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, K, n).astype(np.int32)
  images = rng.integers(60, 160, (n, side, side, 1))
  images[labels == 0, : side // 2] += 60
  images[labels == 1, side // 2 :] += 60
  return Split(images.astype(np.uint8), labels)


@functools.partial(jax.jit, static_argnums=1)
def _init(key, side=4):
  images = jnp.zeros((1, side, side, 1))
  return step.start(MODEL.module.init(key, images, train=False))


def _member(recipe=RECIPE, seed=0):
  return Member(recipes.as_numbers(recipe), None, jax.random.key(seed))


TRAIN, VALIDATION = _split(100), _split(40, seed=1)
FEEDS = {"in memory": loop.place, "streamed": streamed}


def _fit(feed, epochs, seed=0, **more):
  return loop.fit(
    MODEL,
    SETTINGS,
    _init(jax.random.key(seed)),
    _member(seed=seed),
    FEEDS[feed](TRAIN),
    **({"validation": FEEDS[feed](VALIDATION)} | more),
    epochs=epochs,
  )


@functools.cache
def _whole(feed):
  return _fit(feed, 4)


def _assert_same(found, expected):
  """Bit for bit, the curves too."""
  chex.assert_trees_all_equal(found.state, expected.state)
  for a, b in zip(found.curves, expected.curves, strict=True):
    assert a.dtype == np.float64
    np.testing.assert_array_equal(a, b)


def test_images_in_memory_go_to_the_device_and_others_do_not():
  placed = loop.place(TRAIN)
  assert isinstance(placed, loop.Examples)
  np.testing.assert_array_equal(placed.images, TRAIN.images)
  np.testing.assert_array_equal(placed.labels, TRAIN.labels)
  assert placed.images.dtype == np.uint8
  one_by_one = streamed(TRAIN)
  assert loop.place(one_by_one) is one_by_one


def test_it_learns():
  loss, accuracy, log_loss = _whole("in memory").curves
  assert loss.shape == accuracy.shape == log_loss.shape == (4,)
  assert loss[-1] < 0.75 * loss[0]
  assert log_loss[-1] < log_loss[0] < 2
  assert accuracy[-1] > 0.9


def test_it_learns_from_a_stream():
  """Random crops hide where the light is: better than chance will do."""
  fitted = _whole("streamed")
  assert fitted.state.step == 4 * (100 // 16)
  assert fitted.curves.accuracy[-1] > 0.5
  assert np.isfinite(fitted.curves).all()


@pytest.mark.parametrize("feed", FEEDS)
def test_a_run_that_is_set_going_again_ends_as_if_it_had_not_stopped(
  feed, tmp_path
):
  saving = loop.Checkpointing(tmp_path, every=1, keep=1)
  for epochs in (1, 3):
    stopped = _fit(feed, epochs, checkpointing=saving)
    assert stopped.state.step == epochs * 6
    assert checkpoints.steps(tmp_path) == (epochs,)
  seen = []
  found = _fit(
    feed, 4, checkpointing=saving, on_epoch=lambda i, *_: seen.append(i)
  )
  assert seen == [4]
  _assert_same(found, _whole(feed))
  # A run that has ended is not trained further.
  _assert_same(_fit(feed, 4, checkpointing=saving), _whole(feed))


def test_an_interruption_in_an_epoch_costs_that_epoch_alone(tmp_path):
  class PowerCutError(Exception):
    pass

  def cut(epoch, trained, found):
    if epoch == 3:
      raise PowerCutError

  saving = loop.Checkpointing(tmp_path, every=2, keep=5)
  with pytest.raises(PowerCutError):
    _fit("in memory", 4, checkpointing=saving, on_epoch=cut)
  assert checkpoints.steps(tmp_path) == (2,)
  seen = []
  found = _fit(
    "in memory", 4, checkpointing=saving, on_epoch=lambda *e: seen.append(e[0])
  )
  assert seen == [3, 4]
  _assert_same(found, _whole("in memory"))


WILD = dataclasses.replace(RECIPE, learning_rate=1e30)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_training_that_diverges_ends_with_its_epoch_and_saves_nothing(
  feed, tmp_path
):
  saving = loop.Checkpointing(tmp_path)
  for _ in range(2):  # Started again it says the same.
    seen = []
    with pytest.raises(loop.DivergedError, match="in epoch 1: a weight is"):
      loop.fit(
        MODEL,
        SETTINGS,
        _init(jax.random.key(0)),
        _member(WILD),
        FEEDS[feed](TRAIN),
        epochs=4,
        checkpointing=saving,
        on_epoch=lambda epoch, *_: seen.append(epoch),  # noqa: B023
      )
    assert seen == [1]
    assert checkpoints.steps(tmp_path) == ()


def _poisoned(monkeypatch, epoch, poison):
  """Lets a program's state or metrics be no number after an epoch."""
  program = loop.programs.epoch
  calls = []

  def run(*arguments):
    calls.append(program)
    state, metrics = program(*arguments)
    return poison(state, metrics) if len(calls) == epoch else (state, metrics)

  monkeypatch.setattr(loop.programs, "epoch", run)


def _bad_ema(state, metrics):
  return state._replace(ema=state.ema.at[3].set(-jnp.inf)), metrics


def test_what_diverges_later_goes_on_from_the_last_good_epoch(
  tmp_path, monkeypatch
):
  saving = loop.Checkpointing(tmp_path)
  with monkeypatch.context() as patch:
    _poisoned(patch, 3, _bad_ema)
    with pytest.raises(loop.DivergedError, match="epoch 3"):
      _fit("in memory", 4, checkpointing=saving)
  assert checkpoints.steps(tmp_path) == (1, 2)
  _assert_same(_fit("in memory", 4, checkpointing=saving), _whole("in memory"))


def test_a_checkpoint_of_what_diverged_is_not_gone_on_from(tmp_path):
  saving = loop.Checkpointing(tmp_path)
  state = _whole("in memory").state
  state = jax.tree.map(jnp.copy, state)
  rows = [[0.5, 0.5, 0.5]] * 2
  loop.save(saving, _bad_ema(state, None)[0], loop.Done(rows, []), None)
  with pytest.raises(loop.DivergedError, match="epoch 2"):
    _fit("in memory", 4, checkpointing=saving, on_epoch=pytest.fail)


def test_a_loss_that_is_infinite_once_is_no_divergence(monkeypatch):
  infinite = jnp.asarray(jnp.inf)
  _poisoned(monkeypatch, 2, lambda state, m: (state, m._replace(loss=infinite)))
  found = _fit("in memory", 4)
  chex.assert_trees_all_equal(found.state, _whole("in memory").state)
  assert np.isinf(found.curves.train_loss).tolist() == [
    False,
    True,
    False,
    False,
  ]
  assert found.finite


def test_members_that_diverge_are_known():
  state = _init(jax.random.key(0))
  states = _stack(_bad_ema(state, None)[0], state)
  assert loop.programs.finite(states).tolist() == [False, True]


@pytest.mark.parametrize(
  ("feed", "after", "saved"), [("streamed", 8, 1), ("in memory", 0, 1)]
)
def test_told_to_stop_it_saves_where_it_is(
  feed, after, saved, tmp_path, monkeypatch
):
  """Of a stream within an epoch; of an epoch in one program, at its end."""
  saving = loop.Checkpointing(tmp_path, every=3)
  wanted = _whole(feed)
  calls = []

  def told(program, count):
    def run(*arguments):
      calls.append(program)
      if len(calls) == count + 1:
        os.kill(os.getpid(), signal.SIGTERM)
      return program(*arguments)

    return run

  for name in ("one_step", "epoch"):
    program = getattr(loop.programs, name)
    monkeypatch.setattr(loop.programs, name, told(program, after))
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  stopping.listen()
  try:
    with pytest.raises(KeyboardInterrupt) as stop:
      _fit(feed, 4, checkpointing=saving)
  finally:
    stopping.heard()
    for number, handler in zip(
      (signal.SIGTERM, signal.SIGINT), before, strict=True
    ):
      signal.signal(number, handler)
  assert stop.value.args == (128 + signal.SIGTERM,)
  assert len(calls) == after + 1
  assert checkpoints.steps(tmp_path) == (saved,)
  _assert_same(_fit(feed, 4, checkpointing=saving), wanted)
  assert len(calls) == 4 * (6 if feed == "streamed" else 1)


@pytest.mark.parametrize(
  ("every", "keep", "saved"),
  [(1, 9, (1, 2, 3)), (2, 9, (2, 3)), (9, 9, (3,)), (1, 2, (2, 3))],
)
def test_checkpoints_every_so_often_and_at_the_end(
  every, keep, saved, tmp_path
):
  _fit("in memory", 3, checkpointing=loop.Checkpointing(tmp_path, every, keep))
  assert checkpoints.steps(tmp_path) == saved


def test_an_epoch_is_told_before_it_is_saved(tmp_path):
  """A kill between the two must not lose the epoch's line of metrics."""
  told = []

  def on_epoch(epoch, *_):
    told.append((epoch, checkpoints.newest(tmp_path)))

  _fit(
    "in memory",
    3,
    checkpointing=loop.Checkpointing(tmp_path),
    on_epoch=on_epoch,
  )
  assert told == [(1, 0), (2, 1), (3, 2)]


def test_epochs_are_told():
  told = []
  fitted = _fit("in memory", 2, on_epoch=lambda *row: told.append(row))
  assert [epoch for epoch, _, _ in told] == [1, 2]
  for i, (_, trained, found) in enumerate(told):
    assert float(trained.loss) == fitted.curves.train_loss[i]
    assert float(found.accuracy) == fitted.curves.accuracy[i]
    assert float(found.loss) == fitted.curves.log_loss[i]


def test_what_is_measured_is_the_result():
  """With EMA, the averaged weights: on them the validation was made."""
  fitted, member = _whole("in memory"), _member()
  examples = loop.place(VALIDATION)
  variables = loop.result(fitted.state, member)
  found = loop.measure(MODEL, SETTINGS, variables, None, examples)
  np.testing.assert_allclose(found.loss, fitted.curves.log_loss[-1], rtol=1e-6)
  last = loop.measure(MODEL, SETTINGS, fitted.state.variables, None, examples)
  assert abs(last.loss - found.loss) > 1e-4


def test_without_validation_its_curves_are_nan(tmp_path):
  told = []
  saving = loop.Checkpointing(tmp_path)
  for epochs in (1, 2):  # The second goes on from what the first saved.
    fitted = _fit(
      "in memory",
      epochs,
      validation=None,
      checkpointing=saving,
      on_epoch=lambda *row: told.append(row[2]),
    )
  assert told == [None, None]
  np.testing.assert_array_equal(fitted.curves.accuracy, [np.nan] * 2)
  np.testing.assert_array_equal(fitted.curves.log_loss, [np.nan] * 2)
  np.testing.assert_allclose(
    fitted.curves.train_loss, _whole("in memory").curves.train_loss[:2]
  )


@jax.jit
def _stack(*trees):
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_population_trains_as_its_members_do(backend, tmp_path, monkeypatch):
  """One after the other as on a CPU, and side by side as on accelerators."""
  settings = SETTINGS
  if backend == "gpu":
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    # Without a teacher it is nothing but another program.
    settings = dataclasses.replace(settings, distillation=0.7)
  other = Recipe("rmsprop", 0.05, 1e-4, False, 0.0, 0.0, 0.0)
  members = _member(), _member(other, 1)
  states = [_init(jax.random.key(i)) for i in range(2)]
  saving = loop.Checkpointing(tmp_path)
  for epochs in (1, 2):  # It is set going again too.
    together = loop.fit(
      MODEL,
      settings,
      _stack(*(_init(jax.random.key(i)) for i in range(2))),
      _stack(*members),
      loop.place(TRAIN),
      epochs=epochs,
      validation=loop.place(VALIDATION),
      stacked=True,
      checkpointing=saving,
    )
  assert together.curves.accuracy.shape == (2, 2)
  results = loop.result(together.state, _stack(*members), stacked=True)
  for i, member in enumerate(members):
    alone = loop.fit(
      MODEL,
      SETTINGS,
      states[i],
      member,
      loop.place(TRAIN),
      epochs=2,
      validation=loop.place(VALIDATION),
    )
    chex.assert_trees_all_close(
      population.pick(jax.device_get(together.state), i),
      alone.state,
      rtol=1e-4,
      atol=1e-5,
    )
    chex.assert_trees_all_close(
      population.pick(jax.device_get(results), i),
      loop.result(alone.state, member),
      rtol=1e-4,
      atol=1e-5,
    )
    for both, one in zip(together.curves, alone.curves, strict=True):
      np.testing.assert_allclose(both[:, i], one, rtol=1e-4)


def test_measure_of_a_stream_is_that_of_its_central_crops():
  """0.875 of 16 pixels are 14: the crop needs no resize."""
  split = _split(37, side=16)
  variables = _init(jax.random.key(0), 14).variables
  settings = dataclasses.replace(SETTINGS, resolution=14)
  found = loop.measure(MODEL, settings, variables, None, streamed(split))
  central = Split(split.images[:, 1:15, 1:15], split.labels)
  placed = loop.measure(MODEL, settings, variables, None, loop.place(central))
  np.testing.assert_allclose(found.loss, placed.loss, rtol=1e-6)
  np.testing.assert_allclose(found.accuracy, placed.accuracy, rtol=1e-6)


def test_a_population_is_measured_on_a_stream():
  fits = [_init(jax.random.key(i)).variables for i in range(2)]
  validation = streamed(VALIDATION)
  found = loop.measure(
    MODEL, SETTINGS, _stack(*fits), None, validation, stacked=True
  )
  assert found.loss.shape == found.accuracy.shape == (2,)
  for i, variables in enumerate(fits):
    alone = loop.measure(MODEL, SETTINGS, variables, None, validation)
    np.testing.assert_allclose(found.loss[i], alone.loss, rtol=1e-5)
    np.testing.assert_allclose(found.accuracy[i], alone.accuracy, rtol=1e-6)


def test_a_teacher_teaches(tmp_path):
  """A student of a trained network beats one of an untrained network."""
  teacher = _whole("in memory").state.variables
  model = Model(MODEL.module, teacher=MODEL, teacher_resolution=4)
  losses = [
    loop.fit(
      model,
      dataclasses.replace(SETTINGS, distillation=1.0),
      _init(jax.random.key(3)),
      _member(),
      loop.place(TRAIN),
      epochs=3,
      validation=loop.place(VALIDATION),
      teacher=variables,
    ).curves.accuracy[-1]
    for variables in (teacher, _init(jax.random.key(9)).variables)
  ]
  assert losses[0] > 0.9
  assert losses[1] < 0.7


def test_streams_are_drawn_and_turned_as_the_settings_say():
  """Of 40 images of a class and 8 of another: 8 of each in a batch."""
  images = np.arange(48, dtype=np.uint8)[:, None, None, None]
  ramp = np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 10
  split = Split(images + ramp, np.repeat([0, 1], [40, 8]).astype(np.int32))
  balanced = dataclasses.replace(
    SETTINGS, sampling="balanced", quarter_turns=True, vertical_flip=True
  )
  parts = loop.batches(balanced, streamed(split), 16, train=True)
  slopes = set()
  for _ in range(6):
    shown, labels = next(parts)
    assert np.bincount(labels).tolist() == [8, 8]
    down = np.sign(shown.astype(int)[:, -1, 0] - shown[:, 0, 0])[:, 0]
    right = np.sign(shown.astype(int)[:, 0, -1] - shown[:, 0, 0])[:, 0]
    slopes |= set(zip(down.tolist(), right.tolist(), strict=True))
  assert {(1, 1), (1, -1), (-1, 1), (-1, -1)} <= slopes
