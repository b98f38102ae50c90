"""What a network's logits say of it, its calibration and its errors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from fbnax.data import Dataset, Split
from fbnax.jobs.runtime import judging
from fbnax.jobs.runtime.judging import Said
from fbnax.report import schema
from fbnax.training import loop, programs, scores
from fbnax.training.model_files import Calibration
from fbnax.training.recipes import Settings
from fbnax.training.step import Model
from tests.data.streams import streamed
from tests.training.linear import Linear, data

NAMES = ("defective", "sound", "dirty", "new")
SETTINGS = Settings(
  epochs=1, batch_size=16, resolution=4, mean=(0.5,), std=(0.25,)
)


def _split(n, seed):
  images, labels = data(n, seed)
  return Split(np.asarray(images), np.asarray(labels))


def _dataset(**changes):
  whole = Dataset("own", NAMES, _split(40, 0), _split(37, 1), False, 0, "here")
  return dataclasses.replace(whole, **changes)


MODULE = Linear()
VARIABLES = MODULE.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1)), train=False)


def _judge(dataset, held=None, most=12):
  return judging.judge(MODULE, SETTINGS, VARIABLES, dataset, held, most)


@pytest.mark.parametrize("feed", [loop.place, streamed])
def test_logits_come_with_the_measures_and_change_no_bit(feed):
  """Of the program for populations, which knows no logits."""
  images = feed(_split(37, 1))
  found = loop.measure_logits(Model(MODULE), SETTINGS, VARIABLES, images)
  assert found.logits.shape == (37, 4)
  expected = loop.measure(Model(MODULE), SETTINGS, VARIABLES, None, images)
  np.testing.assert_array_equal(found.metrics, expected)
  if isinstance(images, loop.Examples):
    before = programs.measured(
      Model(MODULE), SETTINGS, False, VARIABLES, None, images
    )
    np.testing.assert_array_equal(found.metrics, before)
    x = (np.asarray(images.images) / 255.0 - 0.5) / 0.25
    by_hand = x.reshape(37, -1) @ VARIABLES["params"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(found.logits, by_hand, rtol=1e-4, atol=1e-5)
  labels = np.asarray(images.labels)
  assert scores.log_loss(found.logits, labels) == pytest.approx(
    float(found.metrics.loss), rel=1e-5
  )


def test_without_held_out_images_nothing_is_calibrated():
  verdict = _judge(_dataset())
  assert verdict.calibration == Calibration()
  found = verdict.scores
  assert found.temperature is found.threshold is found.calibrated_log_loss
  assert found.temperature is None and found.calibration_images is None
  assert np.sum(found.confusion) == 37


def test_with_them_the_temperature_is_theirs():
  dataset, held = _dataset(), loop.place(_split(30, 2))
  verdict = _judge(dataset, held)
  said = loop.measure_logits(Model(MODULE), SETTINGS, VARIABLES, held)
  expected = scores.best_temperature(said.logits, np.asarray(held.labels))
  assert verdict.scores.temperature == expected
  assert verdict.scores.threshold is None  # There are four classes.
  assert verdict.scores.calibration_images == 30
  plain = _judge(dataset)
  np.testing.assert_array_equal(verdict.metrics, plain.metrics)
  assert verdict.scores.f1 == plain.scores.f1


def _binary(n, seed):
  rng = np.random.default_rng(seed)
  labels = (rng.random(n) < 0.8).astype(np.int32)
  logits = rng.normal(size=(n, 2)) + np.eye(2)[labels]
  return Said(logits.astype(np.float32), labels)


def test_of_two_classes_the_rarer_has_a_threshold():
  held, said = _binary(200, 0), _binary(300, 1)
  names = ("defective", "sound")
  calibration = judging.calibrated(held, names, held.labels)
  assert calibration.positive == "defective" and calibration.images == 200
  found = judging.judged(said, names, calibration)
  shares = scores.probability_of(said.logits, 0, calibration.temperature)
  called = shares >= calibration.threshold
  assert found.f1 == pytest.approx(metrics.f1_score(said.labels == 0, called))
  assert found.calibrated_log_loss == pytest.approx(
    metrics.log_loss(said.labels == 0, shares)
  )
  # Without a threshold the likelier class counts.
  plain = judging.judged(said, names, Calibration("defective"))
  predicted = said.logits.argmax(1)
  assert plain.f1 == pytest.approx(
    metrics.f1_score(said.labels, predicted, pos_label=0)
  )


def test_mistakes_are_the_surest_errors():
  dataset = _dataset()
  verdict = _judge(dataset, most=5)
  shown = verdict.mistakes
  said = loop.measure_logits(
    Model(MODULE), SETTINGS, VARIABLES, loop.place(dataset.test)
  )
  shares = np.asarray(jax.nn.softmax(said.logits))
  wrong = said.logits.argmax(1) != dataset.test.labels
  surest = np.flatnonzero(wrong)[np.argsort(-shares[wrong].max(1))][:5]
  assert [m.index for m in shown] == surest.tolist()
  for mistake in shown:
    assert mistake.label == NAMES[dataset.test.labels[mistake.index]]
    assert mistake.predicted == NAMES[said.logits[mistake.index].argmax()]
    assert mistake.probability == pytest.approx(
      shares[mistake.index].max(), rel=1e-5
    )
  schema.check_scores("", verdict.scores, shown)


def test_pictures_that_must_not_be_seen_are_in_nothing():
  assert not _judge(_dataset(pictures=False)).mistakes
  assert not _judge(_dataset(), most=0).mistakes


def test_many_classes_have_no_table_of_confusions():
  logits = np.random.default_rng(0).normal(size=(60, 51)).astype(np.float32)
  labels = np.arange(60, dtype=np.int32) % 51
  names = tuple(map(str, range(51)))
  found = judging.judged(Said(logits, labels), names, Calibration())
  assert found.confusion == () and found.balanced_accuracy is not None
