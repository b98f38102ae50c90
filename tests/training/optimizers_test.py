"""The three optimizers against optax, the schedules against formulas."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fbnax.spaces.recipe import OPTIMIZERS, Recipe
from fbnax.training import optimizers
from fbnax.training.recipes import Settings, as_numbers

RATE, DECAY = 0.05, 0.03


def _settings(**changes):
  given = {
    "epochs": 10,
    "batch_size": 256,
    "resolution": 8,
    "mean": (0.5,),
    "std": (0.25,),
    "momentum": 0.85,
    "rms_decay": 0.95,
    "rms_epsilon": 0.002,
  }
  return Settings(**(given | changes))


def _tree(rng):
  def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  return {
    "conv": {"kernel": normal(3, 3, 2, 4), "bias": normal(4)},
    "bn": {"scale": normal(4), "bias": normal(4)},
    # Of blocks whose type is searched, which are stacked.
    "types": {"scale": normal(3, 4), "bias": normal(3, 4)},
    "dense": {"kernel": normal(4, 3), "bias": normal(3)},
  }


def _decays(params):
  return {k: {n: n == "kernel" for n in v} for k, v in params.items()}


def _optax(kind, settings):
  if settings.clip_norm:
    clip = optax.clip_by_global_norm(settings.clip_norm)
    free = dataclasses.replace(settings, clip_norm=0.0)
    return optax.chain(clip, _optax(kind, free))
  l2 = optax.add_decayed_weights(DECAY, mask=_decays)
  if kind == "rmsprop":
    rms = optax.rmsprop(
      RATE,
      decay=settings.rms_decay,
      eps=settings.rms_epsilon,
      momentum=settings.momentum,
    )
    return optax.chain(l2, rms)
  if kind == "sgd":
    return optax.chain(l2, optax.sgd(RATE, momentum=settings.momentum))
  return optax.adamw(
    RATE, b1=settings.momentum, weight_decay=DECAY, mask=_decays
  )


@functools.partial(jax.jit, static_argnames="settings")
def _update(gradients, state, params, step, rate, recipe, settings):
  return optimizers.update(
    gradients,
    state,
    params,
    step=step,
    learning_rate=rate,
    recipe=recipe,
    settings=settings,
  )


# Norms of the gradients are 7.1 to 11.2: none, all and some are shortened.
@pytest.mark.parametrize("clip_norm", [0.0, 5.0, 9.5])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_equal_to_optax(kind, clip_norm):
  settings, rng = _settings(clip_norm=clip_norm), np.random.default_rng(0)
  recipe = as_numbers(Recipe(kind, weight_decay=DECAY))
  ours = theirs = start = _tree(rng)
  state = optimizers.init(ours)
  reference = _optax(kind, settings)
  their_state = reference.init(theirs)
  advance = jax.jit(reference.update)
  for step in range(10):
    gradients = _tree(rng)
    ours, state = _update(
      gradients, state, ours, jnp.int32(step), RATE, recipe, settings
    )
    updates, their_state = advance(gradients, their_state, theirs)
    theirs = optax.apply_updates(theirs, updates)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-5, atol=1e-5)
  moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), ours, start)
  assert min(jax.tree.leaves(moved)) > 0.01


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_weight_decay_leaves_biases_and_bn_alone(kind):
  """Wan 2022, section 4.6; without gradients only decay moves anything."""
  params = _tree(np.random.default_rng(1))
  gradients = jax.tree.map(jnp.zeros_like, params)
  new, _ = _update(
    gradients,
    optimizers.init(params),
    params,
    jnp.int32(0),
    RATE,
    as_numbers(Recipe(kind, weight_decay=DECAY)),
    _settings(),
  )
  for name, leaves in params.items():
    for leaf, before in leaves.items():
      after = np.asarray(new[name][leaf])
      if leaf == "kernel":
        assert (np.abs(after) < np.abs(before)).all(), (name, leaf)
      else:
        np.testing.assert_array_equal(after, before, f"{name} {leaf}")


def test_decoupled_decay_shrinks_by_its_rate():
  """AdamW: w - rate x decay x w; SGD's first step is the same by L2."""
  params = _tree(np.random.default_rng(1))
  gradients = jax.tree.map(jnp.zeros_like, params)
  for kind in ("adamw", "sgd"):
    new, _ = _update(
      gradients,
      optimizers.init(params),
      params,
      jnp.int32(0),
      RATE,
      as_numbers(Recipe(kind, weight_decay=DECAY)),
      _settings(),
    )
    np.testing.assert_allclose(
      new["dense"]["kernel"],
      params["dense"]["kernel"] * (1 - RATE * DECAY),
      rtol=1e-6,
    )


SPE = 20  # Steps per epoch.
EPOCHS = 10
TOTAL = SPE * EPOCHS


def _exponential(step, length):
  return 0.963 ** (step / SPE)


def _cosine(step, length):
  return 0.5 * (1 + np.cos(np.pi * min(step, length) / length))


def _step(step, length):
  third = int(step >= length // 3) + int(step >= 2 * length // 3)
  return 0.1**third


CURVES = {"exponential": _exponential, "cosine": _cosine, "step": _step}
FACTORS = {"exponential": 0.963, "cosine": 0.5, "step": 0.1}


@pytest.mark.parametrize("warmup", [0.0, 1.5])
@pytest.mark.parametrize("name", CURVES)
def test_schedules(name, warmup):
  settings = _settings(
    epochs=EPOCHS, schedule=name, decay=FACTORS[name], warmup_epochs=warmup
  )
  grown = int(warmup * SPE)
  steps = np.arange(TOTAL)
  found = jax.vmap(optimizers.schedule(settings, SPE))(jnp.asarray(steps))
  expected = [
    (s + 1) / grown if s < grown else CURVES[name](s - grown, TOTAL - grown)
    for s in steps
  ]
  np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


def test_milestones_are_shares_of_the_training():
  """3/7 and 5/7 of the way (Wan 2022, section 5.8), after a warm-up."""
  settings = _settings(
    epochs=15,
    schedule="step",
    decay=0.1,
    milestones=(3 / 7, 5 / 7),
    warmup_epochs=1,
  )
  factor = optimizers.schedule(settings, SPE)
  for epoch, expected in ((1, 1), (6, 1), (7, 0.1), (10, 0.1), (11, 0.01)):
    np.testing.assert_allclose(
      factor(jnp.int32(epoch * SPE + 1)), expected, rtol=1e-5
    )


def test_the_first_step_of_the_shortest_training_has_the_whole_rate():
  """Milestones of few steps fall on one of them, and all of them count."""
  for epochs, expected in ((1, [1.0]), (2, [1.0, 0.01]), (3, [1.0, 0.1, 0.01])):
    settings = _settings(epochs=epochs, schedule="step", decay=0.1)
    factor = optimizers.schedule(settings, 1)
    found = [float(factor(jnp.int32(step))) for step in range(epochs)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_published_decay_is_per_epoch():
  """0.963 after each epoch (Wan 2022, appendix), also after a warm-up."""
  factor = optimizers.schedule(_settings(epochs=400), SPE)
  for epoch in (0, 1, 2, 100):
    np.testing.assert_allclose(
      factor(jnp.int32(epoch * SPE)), 0.963**epoch, rtol=1e-4
    )
  # The third epoch after a warm-up of five.
  warm = optimizers.schedule(_settings(epochs=400, warmup_epochs=5), SPE)
  np.testing.assert_allclose(warm(jnp.int32(7 * SPE)), 0.963**2, rtol=1e-4)
  assert float(warm(jnp.int32(5 * SPE))) == pytest.approx(1.0)
  assert float(warm(jnp.int32(5 * SPE - 1))) == pytest.approx(1.0)
  assert float(warm(jnp.int32(0))) == pytest.approx(1 / (5 * SPE))


def test_a_warmup_of_one_step_is_over_at_once():
  warm = optimizers.schedule(_settings(warmup_epochs=0.05), SPE)
  assert float(warm(jnp.int32(0))) == pytest.approx(1.0)
  np.testing.assert_allclose(warm(jnp.int32(1 + SPE)), 0.963, rtol=1e-5)


@pytest.mark.parametrize("name", ["exponential", "cosine", "step"])
def test_more_steps_than_32_bits_count(name):
  """The longest training that a config can ask for, on a large set."""
  longest = _settings(epochs=10**6, schedule=name, warmup_epochs=1e6)
  factor = jax.jit(optimizers.schedule(longest, 10_000))
  assert 0 <= float(factor(jnp.int32(7))) < 1e-6
  endless = _settings(epochs=10**6, schedule=name)
  factor = jax.jit(optimizers.schedule(endless, 10_000))
  assert float(factor(jnp.int32(7))) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("batch", [64, 256, 1024])
def test_the_rate_is_scaled_by_the_batch(batch):
  settings = _settings(batch_size=batch)
  recipe = as_numbers(Recipe(learning_rate=0.026))
  found = optimizers.learning_rate(recipe, settings, jnp.int32(SPE), SPE)
  np.testing.assert_allclose(found, 0.026 * batch / 256 * 0.963, rtol=1e-5)


def _classified(rng):
  tree = _tree(rng)
  return {"conv": tree["conv"], "head": {"classifier": tree["dense"]}}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_trunk_moves_at_its_part_of_the_rate(kind):
  """And its moments are those of the gradient all the same."""
  rng = np.random.default_rng(0)
  params, gradients = _classified(rng), _classified(rng)
  recipe = as_numbers(Recipe(kind, weight_decay=DECAY))
  state = optimizers.init(params)

  def moved(trunk):
    after, moments = optimizers.update(
      gradients,
      state,
      params,
      step=jnp.int32(0),
      learning_rate=jnp.float32(RATE),
      recipe=recipe,
      settings=_settings(),
      trunk=trunk,
    )
    return jax.tree.map(jnp.subtract, after, params), moments

  (usual, moments), (slow, kept) = moved(None), moved(jnp.float32(0.25))
  expected = {
    "conv": jax.tree.map(lambda leaf: leaf / 4, usual["conv"]),
    "head": usual["head"],
  }
  chex.assert_trees_all_close(slow, expected, rtol=1e-4, atol=1e-7)
  chex.assert_trees_all_equal(moments, kept)
  still, _ = moved(jnp.float32(0))
  chex.assert_trees_all_equal(
    still["conv"], jax.tree.map(jnp.zeros_like, usual["conv"])
  )


@pytest.mark.parametrize(
  ("changes", "factors"),
  [
    ({}, None),
    ({"trunk_rate": 0.2}, [0.2] * 4),
    ({"head_epochs": 1.5}, [0, 0, 0, 1]),
    ({"head_epochs": 1.0, "trunk_rate": 0.5}, [0, 0, 0.5, 0.5]),
  ],
)
def test_the_trunk_s_factor_over_steps(changes, factors):
  settings = _settings(**changes)
  found = [
    optimizers.trunk_factor(settings, jnp.int32(step), 2) for step in range(4)
  ]
  if factors is None:
    assert found == [None] * 4
  else:
    np.testing.assert_allclose(found, factors)


def test_a_network_without_a_classifier_has_no_trunk():
  params = _tree(np.random.default_rng(0))
  with pytest.raises(ValueError, match="a layer called 'classifier'"):
    optimizers.update(
      params,
      optimizers.init(params),
      params,
      step=jnp.int32(0),
      learning_rate=jnp.float32(RATE),
      recipe=as_numbers(Recipe("sgd")),
      settings=_settings(),
      trunk=jnp.float32(0.5),
    )
