import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import spaces
from fbnax.search.autobuild import additive, label_choice, label_expressions

SPACE = spaces.get("mobilenetv3").fix(resolution=(192, 224))


@pytest.fixture(scope="module")
def data():
  """Networks whose accuracy and log cost are sums over their layers."""
  genotypes = np.asarray(SPACE.sample(jax.random.key(0), 600))
  columns = np.asarray(additive.columns(SPACE, jnp.asarray(genotypes)))
  random = np.random.default_rng(1)
  gains = random.uniform(0, 0.01, columns.shape[1])
  # What is better is dearer, but not in the same measure.
  prices = gains * random.uniform(2, 8, columns.shape[1])
  return genotypes, 0.6 + columns @ gains, np.exp(1 + columns @ prices)


def test_sums_are_found(data):
  genotypes, accuracy, _ = data
  model = additive.fit(SPACE, genotypes[:500], accuracy[:500])
  np.testing.assert_allclose(
    model(jnp.asarray(genotypes[500:])), accuracy[500:], atol=1e-4
  )


def test_the_leave_one_out_error_is_that_of_leaving_one_out():
  random = np.random.default_rng(0)
  design, labels = random.normal(size=(12, 4)), random.normal(size=12)
  found = additive.ridge(design, labels)
  errors = []
  for penalty in additive.PENALTIES * 12:
    squares = []
    for i in range(12):
      kept = np.arange(12) != i
      # With a mean that is not shrunk, and the penalty of all twelve.
      wide = np.concatenate([design[kept], np.ones((11, 1))], axis=1)
      shrink = np.diag([penalty] * 4 + [0.0])
      solved = np.linalg.solve(wide.T @ wide + shrink, wide.T @ labels[kept])
      squares.append((labels[i] - np.append(design[i], 1.0) @ solved) ** 2)
    errors.append(np.sqrt(np.mean(squares)))
  np.testing.assert_allclose(found.error, min(errors), rtol=1e-8)


def test_wrong_shapes(data):
  with pytest.raises(ValueError, match="legal: "):
    additive.fit(SPACE, data[0][:, 1:], data[1])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_chosen_label_points_at_the_wanted_cost(data, share):
  genotypes, accuracy, cost = data
  wanted = float(np.quantile(cost, share))
  chosen = label_choice.choose(
    SPACE, genotypes, accuracy, cost, wanted, cost_name="ms"
  )
  assert chosen.reached
  np.testing.assert_allclose(chosen.cost, wanted, rtol=0.1)
  label = label_expressions.evaluate(
    chosen.expression, {"acc": accuracy, "ms": cost}
  )
  np.testing.assert_allclose(
    label, accuracy - chosen.weight * np.log(cost), rtol=1e-10
  )
  # Networks that the label ranks highest lie around there.
  top = np.argsort(-label)[:10]
  assert abs(np.log(np.median(cost[top]) / wanted)) < 0.35


def test_a_cost_that_no_network_has(data):
  genotypes, accuracy, cost = data
  with pytest.raises(ValueError, match=r"wanted cost is 1000000\.0; legal"):
    label_choice.choose(SPACE, genotypes, accuracy, cost, 1e6)
  with pytest.raises(ValueError, match=r"cost is -1\.0 in row 3"):
    label_choice.choose(
      SPACE, genotypes, accuracy, np.where(np.arange(600) == 3, -1, cost), 9.0
    )


def test_a_few_odd_labels_do_not_matter():
  random = np.random.default_rng(0)
  design = random.normal(size=(200, 12))
  weights = random.normal(size=12)
  clean = 3.0 + design @ weights + 0.01 * random.normal(size=200)
  found = additive.robust_ridge(design, clean)
  np.testing.assert_allclose(
    found.weights, additive.ridge(design, clean).weights, atol=3e-3
  )
  odd = clean.copy()
  odd[:20] += 50.0
  drawn = additive.ridge(design, odd)
  found = additive.robust_ridge(design, odd)
  assert np.abs(found.weights - weights).max() < 0.01
  assert abs(found.mean - 3.0) < 0.01
  assert abs(drawn.mean - 3.0) > 1.0
  # What is odd stays so: nothing is left out, nothing is hidden.
  assert (np.abs(odd - design @ found.weights - found.mean) > 10).sum() == 20


def test_the_error_is_that_of_those_left_out_and_constants_stay():
  random = np.random.default_rng(1)
  design, labels = random.normal(size=(12, 3)), random.normal(size=12)
  found = additive.ridge(design, labels)
  assert found.error == pytest.approx(np.sqrt(np.mean(found.left_out**2)))
  assert additive.robust_ridge(design, np.full(12, 2.0)).mean == 2.0
