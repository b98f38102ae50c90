"""Teachers that are not ours: their normalisation, their resolution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.training.model import Model
from fbnax.training.recipes import Settings

SETTINGS = Settings(
  epochs=1,
  batch_size=4,
  resolution=6,
  mean=(0.5, 0.4, 0.3),
  std=(0.25, 0.3, 0.2),
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Stranger(nn.Module):
  """A classifier in half precision with its own ideas, and BN to switch."""

  width: int = 5

  @nn.compact
  def __call__(self, pixels, train: bool = True):
    x = nn.Conv(self.width, (3, 3), strides=2)(pixels)
    x = nn.BatchNorm(use_running_average=not train, name="normal")(x)
    return nn.Dense(7)(jnp.tanh(x).mean((1, 2))).astype(jnp.bfloat16)


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)


def _variables():
  variables = Stranger().init(
    jax.random.key(0), jnp.zeros((1, 6, 6, 3)), train=False
  )
  # Statistics that matter, so that training mode would be seen.
  return jax.tree.map(lambda v: v + 0.2, variables)


def _taught(ratio=1.0, **given):
  model = Model(nn.Dense(1), teacher=Model(Stranger()), **given)
  found = jax.jit(model.taught, static_argnums=1)(
    _variables(), SETTINGS, IMAGES, jnp.float32(ratio)
  )
  assert found.dtype == jnp.float32
  return np.asarray(found)


def _logits(x):
  found = Stranger().apply(_variables(), jnp.asarray(x, jnp.float32), False)
  return np.asarray(found, np.float32)


def test_a_teacher_sees_its_own_normalisation():
  own = (IMAGES / 255.0 - MEAN) / STD
  found = _taught(teacher_mean=MEAN, teacher_std=STD)
  # One part in 256 is the precision of its logits.
  np.testing.assert_allclose(found, _logits(own), rtol=1 / 128)
  students = _logits((IMAGES / 255.0 - SETTINGS.mean) / SETTINGS.std)
  np.testing.assert_allclose(_taught(), students, rtol=1 / 128)
  assert np.abs(found - students).max() > 0.1


def test_a_mixed_batch_is_mixed_for_the_teacher_too():
  own = (IMAGES / 255.0 - MEAN) / STD
  mixed = _logits(0.7 * own + 0.3 * own[::-1])
  found = _taught(0.7, teacher_mean=MEAN, teacher_std=STD)
  np.testing.assert_allclose(found, mixed, rtol=1 / 64)
  assert np.abs(mixed - _logits(own)).max() > 0.02


def test_a_teacher_sees_its_own_resolution():
  own = (IMAGES / 255.0 - MEAN) / STD
  large = jax.image.resize(own, (4, 9, 9, 3), "bilinear")
  found = _taught(teacher_resolution=9, teacher_mean=MEAN, teacher_std=STD)
  np.testing.assert_allclose(found, _logits(large), rtol=1 / 64)


def test_nobody_is_asked_where_there_is_no_teacher():
  assert Model(nn.Dense(1)).taught(None, SETTINGS, IMAGES, 1.0) is None


@pytest.mark.parametrize(
  ("given", "message"),
  [
    ({"teacher_mean": MEAN}, "teacher_std None; legal: both or neither"),
    ({"teacher_std": STD}, "teacher_mean is None"),
    (
      {"teacher_mean": MEAN, "teacher_std": STD[:2]},
      r"teacher_std is \(0.229, 0.224\); legal: above 0, for each of 3",
    ),
    (
      {"teacher_mean": MEAN, "teacher_std": (0.2, 0.0, 0.2)},
      r"teacher_std is \(0.2, 0.0, 0.2\); legal: above 0",
    ),
  ],
)
def test_an_illegal_normalisation_is_refused(given, message):
  with pytest.raises(ValueError, match=message):
    Model(nn.Dense(1), teacher=Model(Stranger()), **given)
