import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fbnax import ops

LOGITS = jnp.asarray([0.5, -1.0, 2.0, 0.0])


def test_the_largest_weight_has_the_softmaxs_probabilities():
  drawn = ops.gumbel_softmax(jax.random.key(0), LOGITS, 0.5, (4000,))
  counts = np.bincount(np.asarray(drawn.argmax(-1)), minlength=4)
  powers = np.exp(np.asarray(LOGITS, np.float64))
  wanted = powers / powers.sum() * 4000
  assert stats.chisquare(counts, wanted).pvalue > 0.001
  np.testing.assert_allclose(drawn.sum(-1), 1.0, rtol=1e-5)


def test_it_is_equation_3_4_with_its_gradient():
  key, temperature = jax.random.key(1), 0.7
  noise = np.asarray(jax.random.gumbel(key, (4,)), np.float64)

  def weights(logits):
    powers = np.exp((logits + noise) / temperature)
    return powers / powers.sum()

  logits = np.asarray(LOGITS, np.float64)
  found = ops.gumbel_softmax(key, LOGITS, temperature)
  np.testing.assert_allclose(found, weights(logits), rtol=1e-5)
  slopes = jax.jacobian(lambda x: ops.gumbel_softmax(key, x, temperature))
  differences = [
    (weights(logits + 1e-5 * e) - weights(logits - 1e-5 * e)) / 2e-5
    for e in np.eye(4)
  ]
  np.testing.assert_allclose(
    slopes(LOGITS), np.transpose(differences), rtol=1e-3, atol=1e-5
  )


def test_a_small_temperature_makes_it_one_hot():
  drawn = ops.gumbel_softmax(jax.random.key(2), LOGITS, 1e-3, (20,))
  wanted = jax.nn.one_hot(drawn.argmax(-1), 4)
  np.testing.assert_allclose(drawn, wanted, atol=1e-3)
  assert jnp.isfinite(
    ops.gumbel_softmax(jax.random.key(2), 1e4 * LOGITS, 1e-3)
  ).all()


def test_each_example_has_noise_of_its_own():
  drawn = ops.relaxed(jax.random.key(3), LOGITS, 1.0, samples=(3,))
  assert drawn.shape == (3, 4)
  assert not np.allclose(drawn[0], drawn[1])
  same = ops.relaxed(jax.random.key(3), LOGITS, 2.0, "softmax", (3,))
  np.testing.assert_allclose(same, np.tile(jax.nn.softmax(LOGITS / 2), (3, 1)))


def test_a_single_path_is_hard_with_the_samples_gradient():
  key = jax.random.key(4)
  cotangent = jnp.asarray([1.0, 2.0, -3.0, 0.5])
  found, back = jax.vjp(
    lambda x: ops.relaxed(key, x, 1.5, "single_path"), LOGITS
  )
  soft, wanted = jax.vjp(lambda x: ops.gumbel_softmax(key, x, 1.5), LOGITS)
  np.testing.assert_array_equal(found, np.eye(4)[int(soft.argmax())])
  np.testing.assert_allclose(back(cotangent)[0], wanted(cotangent)[0])


def test_low_precision_is_computed_in_float32():
  drawn = ops.gumbel_softmax(jax.random.key(5), LOGITS.astype("bfloat16"), 1.0)
  assert drawn.dtype == jnp.bfloat16
  wanted = ops.gumbel_softmax(jax.random.key(5), LOGITS, 1.0)
  np.testing.assert_allclose(drawn.astype("f"), wanted, rtol=0.01)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_temperatures_are_above_zero(temperature):
  with pytest.raises(ValueError, match=r"temperature is .*; legal: above 0"):
    ops.gumbel_softmax(jax.random.key(0), LOGITS, temperature)


def test_unknown_modes_are_refused():
  with pytest.raises(ValueError, match="mode is 'hard'; legal: gumbel"):
    ops.relaxed(jax.random.key(0), LOGITS, 1.0, "hard")
