"""Equation 5.3 as the training loop's objective, and Table 5.4's epochs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import nbdt
from tests.nbdt import trees

CHILDREN = [[0, 1], [2, 3], [4, 5]]
LOGITS = np.random.default_rng(0).normal(size=(6, 4))
LABELS = np.asarray([0, 1, 2, 3, 1, 2])


def losses():
  """Plain, soft and hard loss, float64."""
  z = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
  plain = -z[np.arange(6), LABELS].mean()
  paths = trees.path_log_probs(LOGITS, CHILDREN, 4)[np.arange(6), LABELS]
  return plain, -paths.mean(), -paths.mean() / 2  # Two decisions each.


def call(supervision, progress, active=True):
  tree = nbdt.Hierarchy.from_children(CHILDREN, 4)
  found = jax.jit(lambda *a: supervision(*a))(
    jnp.float32(losses()[0]),
    jnp.asarray(LOGITS),
    jax.nn.one_hot(LABELS, 4),
    jnp.float32(progress),
    nbdt.given(tree, active),
  )
  return float(found)


def test_both_presets_at_the_start_in_the_middle_and_at_the_end():
  plain, soft, hard = losses()
  growing = nbdt.published("soft", "growing")
  for progress in (0.0, 0.4, 1.0):
    wanted = (1 - progress) * plain + 0.5 * progress * soft
    np.testing.assert_allclose(call(growing, progress), wanted, rtol=1e-5)
    wanted = plain + 10 * soft
    constant = nbdt.published("soft", "constant", "large")
    np.testing.assert_allclose(call(constant, progress), wanted, rtol=1e-5)
    # The hard loss weighs ten times as much.
    constant = nbdt.published("hard", "constant")
    wanted = plain + 10 * hard
    np.testing.assert_allclose(call(constant, progress), wanted, rtol=1e-5)


def test_without_a_hierarchy_it_is_the_plain_loss():
  found = call(nbdt.published("soft", "growing"), 0.7, active=False)
  np.testing.assert_allclose(found, losses()[0], rtol=1e-6)


def test_it_is_hashable_and_one_program_takes_all_trees():
  assert hash(nbdt.Supervision()) == hash(nbdt.published())
  traced = []

  @jax.jit
  def loss(given):
    traced.append(1)
    supervision = nbdt.Supervision()
    args = jnp.asarray(LOGITS), jax.nn.one_hot(LABELS, 4), jnp.float32(0.5)
    return supervision(jnp.float32(0.0), *args, given)

  for children in (CHILDREN, trees.chain(4)):
    tree = nbdt.Hierarchy.from_children(children, 4)
    wanted = -trees.path_log_probs(LOGITS, children, 4)[np.arange(6), LABELS]
    found = loss(nbdt.given(tree))
    np.testing.assert_allclose(found, 0.25 * wanted.mean(), rtol=1e-5)
  assert len(traced) == 1


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: nbdt.Supervision("firm"), "loss is 'firm'; legal: soft, hard"),
    (lambda: nbdt.Supervision(schedule="late"), "legal: growing, constant"),
    (lambda: nbdt.Supervision(omega=-1.0), "omega_end is -1.0"),
    (
      lambda: nbdt.published(size="huge"),
      "size is 'huge'; legal: small, large",
    ),
    (lambda: nbdt.schedules.updates(0, 5, 1), "start is 0"),
    (lambda: nbdt.schedules.updates(5, 5, 1), "the end after the start"),
    (lambda: nbdt.schedules.updates(5, 9, 0), "period 0"),
  ],
)
def test_what_is_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_the_epochs_of_table_5_4():
  assert nbdt.schedules.updates(67, 120, 10) == (67, 77, 87, 97, 107, 117)
  assert nbdt.schedules.updates(90, 140, 20) == (90, 110, 130)
  assert nbdt.schedules.updates(120, 121, 10) == (120,)
