"""The original program's values: hierarchies, predictions, losses, merges."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax import nbdt
from tests.nbdt import trees

CASES = {
  "nbdt_CIFAR10_induced-ResNet18": "cifar10_induced_resnet18.json",
  "nbdt_CIFAR10_wordnet": "cifar10_wordnet.json",
  "nbdt_randfc_K10_struct": None,
}

pytestmark = pytest.mark.skipif(
  not (trees.GOLDEN / "nbdt_CIFAR10_wordnet.npz").exists(),
  reason="no golden values beside the repository",
)


def described(name):
  """The hierarchy that the golden file describes, and its inner nodes."""
  text = (trees.GOLDEN / f"{name}.json").read_text("utf-8")
  described = json.loads(text)
  nodes = {node["id"]: node for node in described["nodes"]}
  classes = described["num_classes"]
  inner = described["inode_order"]
  number = {node: classes + i for i, node in enumerate(inner)}
  for node in nodes.values():
    if node["leaf_index"] is not None:
      number[node["id"]] = node["leaf_index"]
  children = [[number[c] for c in nodes[i]["children"]] for i in inner]
  return nbdt.Hierarchy.from_children(children, classes), described


@pytest.fixture(params=CASES, scope="module")
def case(request):
  hierarchy, description = described(request.param)
  with np.load(trees.GOLDEN / f"{request.param}.npz") as file:
    golden = {key: file[key] for key in file.files}
  return hierarchy, golden, description, CASES[request.param]


def test_probabilities_and_predictions(case):
  hierarchy, golden, _, _ = case
  logits = jnp.asarray(golden["logits"])
  found = jnp.exp(nbdt.path_log_probs(logits, hierarchy))
  np.testing.assert_allclose(found, golden["soft_probs_f64"], atol=1e-6, rtol=0)
  soft = nbdt.soft_predict(logits, hierarchy)
  np.testing.assert_array_equal(soft, golden["soft_pred_f64"])
  hard = nbdt.hard_predict(logits, hierarchy)
  np.testing.assert_array_equal(hard, golden["hard_pred_f64"])


def test_node_probabilities(case):
  hierarchy, golden, _, _ = case
  logits = jnp.asarray(golden["logits"][:4])
  steps = jnp.exp(nbdt.decision_log_probs(logits, hierarchy))
  order = np.concatenate(hierarchy.children)
  np.testing.assert_allclose(
    steps[:, order], golden["node_probs_first4_f64"], atol=1e-6, rtol=0
  )


def test_the_file_gives_the_same_tree(case):
  hierarchy, golden, _, file = case
  if file is None:
    pytest.skip("a made-up hierarchy, in no file")
  loaded = nbdt.Hierarchy.load(trees.DATA / file, trees.DATA / WNIDS)
  logits = jnp.asarray(golden["logits"])
  found = jnp.exp(nbdt.path_log_probs(logits, loaded))
  np.testing.assert_allclose(found, golden["soft_probs_f64"], atol=1e-6, rtol=0)
  np.testing.assert_array_equal(
    nbdt.hard_predict(logits, loaded), golden["hard_pred_f64"]
  )
  assert sorted(map(len, loaded.children)) == sorted(
    map(len, hierarchy.children)
  )


WNIDS = "wnids_cifar10.txt"


def numeric_gradient(loss, logits, step=1e-5):
  """Central differences, float64."""
  found = np.zeros_like(logits)
  for place in np.ndindex(*logits.shape):
    up, down = logits.copy(), logits.copy()
    up[place] += step
    down[place] -= step
    found[place] = (loss(up) - loss(down)) / (2 * step)
  return found


@pytest.mark.parametrize(
  ("loss", "value"),
  [
    (nbdt.soft_tree_loss, "s_np_soft_nll_true"),
    (nbdt.hard_tree_loss, "s_np_hard_mean_per_decision"),
  ],
)
def test_the_equations_losses(case, loss, value):
  hierarchy, golden, description, _ = case
  logits = jnp.asarray(golden["logits"])
  labels = jnp.asarray(golden["targets"], jnp.int32)
  found, gradient = jax.value_and_grad(loss)(logits, labels, hierarchy)
  np.testing.assert_allclose(found, golden[value], rtol=1e-5)
  # The independent product, and its finite differences.
  children, classes = hierarchy.children, hierarchy.num_classes
  rows = np.arange(len(labels))
  count = len(labels)
  if loss is nbdt.hard_tree_loss:
    count = description["scalars"]["hard_decisions_on_path"]
    assert count == np.asarray(hierarchy.decisions)[golden["targets"]].sum()

  def plain(z):
    paths = trees.path_log_probs(z, children, classes)
    return -paths[np.arange(len(z)), golden["targets"][: len(z)]].sum() / count

  first = golden["logits"][:6].astype(np.float64)
  np.testing.assert_allclose(
    gradient[:6], numeric_gradient(plain, first), atol=1e-5, rtol=0
  )
  # One-hot targets are the same loss.
  hot = jax.nn.one_hot(labels, classes)
  again, other = jax.value_and_grad(loss)(logits, hot, hierarchy)
  np.testing.assert_allclose(again, found, rtol=1e-5)
  np.testing.assert_allclose(other, gradient, atol=1e-6)
  assert rows.size == golden["logits"].shape[0]


def test_the_original_programs_losses(case):
  hierarchy, golden, _, _ = case
  logits = jnp.asarray(golden["logits"])
  labels = jnp.asarray(golden["targets"], jnp.int32)

  soft, gradient = jax.value_and_grad(nbdt.original_soft_tree_loss)(
    logits, labels, hierarchy
  )
  value = golden["s_np_soft_ce_on_probs_as_logits"]
  np.testing.assert_allclose(soft, value, rtol=1e-5)
  np.testing.assert_allclose(
    gradient, golden["soft_tree_grad_f64"], atol=1e-5, rtol=0
  )
  hard, gradient = jax.value_and_grad(nbdt.original_hard_tree_loss)(
    logits, labels, hierarchy
  )
  np.testing.assert_allclose(hard, golden["s_np_hard_loss"], rtol=1e-5)
  np.testing.assert_allclose(
    gradient, golden["hard_tree_grad_f64"], atol=1e-5, rtol=0
  )
  for weight in (0.5, 10.0):
    hard = nbdt.original_hard_tree_loss(
      logits, labels, hierarchy, weight=weight
    )
    value = golden[f"s_hard_tree_loss_tsw{weight}_f64"]
    np.testing.assert_allclose(hard, value, rtol=1e-5)
    total = golden["s_xent_f64"] + weight * hard
    np.testing.assert_allclose(
      total, golden[f"s_hard_total_tsw{weight}_f64"], rtol=1e-5
    )


def test_the_original_programs_schedule(case):
  _, golden, _, _ = case

  def weights(progress):
    return nbdt.schedules.original(
      progress,
      omega_start=0.5,
      omega_end=5.0,
      omega_power=2.0,
      beta_end=0.0,
    )

  xent = golden["s_xent_f64"]
  trees_loss = {
    "soft": golden["s_np_soft_ce_on_probs_as_logits"],
    "hard": 0.5 * golden["s_np_hard_loss"],
  }
  for name, tree in trees_loss.items():
    for when, progress in (
      ("before_set_epoch", 1.0),
      ("epoch0of10", 0.0),
      ("epoch3of10", 0.3),
      ("epoch9of10", 0.9),
    ):
      beta, omega = weights(progress)
      wanted = golden[f"s_{name}_sched_{when}_f64"]
      np.testing.assert_allclose(beta * xent + omega * tree, wanted, rtol=1e-5)


@pytest.mark.parametrize(
  "name", ["nbdt_induced_K10_iid", "nbdt_induced_K37_struct"]
)
def test_merges(name):
  description = json.loads((trees.GOLDEN / f"{name}.json").read_text("utf-8"))
  with np.load(trees.GOLDEN / f"{name}.npz") as file:
    weights = file["W"]
    for setting in description["settings"]:
      linkage, metric, _ = setting.split("_")
      found = nbdt.induce(weights, linkage, metric=metric)
      wanted = file[f"children_{setting}"]
      assert [set(pair) for pair in found.children] == [
        set(pair) for pair in wanted.tolist()
      ], setting
