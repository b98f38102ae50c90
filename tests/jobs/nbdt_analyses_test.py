"""Analyses and measures as a result has them; against plain NumPy."""

import dataclasses

import numpy as np
import pytest

from fbnax import data, nbdt
from fbnax.jobs.nbdt import analyses
from fbnax.jobs.nbdt_tables.result import TrainedCell
from fbnax.jobs.nbdt_tables.summary import summarize
from fbnax.jobs.runtime.trees import explaining, measuring
from fbnax.jobs.runtime.trees.explaining import Seen
from fbnax.jobs.runtime.trees.unseen import HeldOut
from fbnax.report.tree_schema import UnseenClasses
from fbnax.training.outputs import Outputs
from tests.nbdt import trees

CHILDREN = [[0, 1], [2, 3], [4, 5]]
TREE = nbdt.Hierarchy.from_children(
  CHILDREN,
  4,
  labels=("plane", "ship", "cat", "<b>dog</b>", "vehicle", "pet", "all"),
)
RANDOM = np.random.default_rng(1)
LOGITS = (3 * RANDOM.normal(size=(40, 4))).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 40).astype(np.int32)
IMAGES = RANDOM.integers(0, 256, (40, 3, 3, 1), np.uint8)


def test_accuracies():
  found = measuring.accuracies(LOGITS, LABELS, TREE)
  soft = trees.path_log_probs(LOGITS, CHILDREN, 4)
  hard = trees.hard_predictions(LOGITS, CHILDREN, 4)
  plain = LOGITS.argmax(1)
  wanted = {
    "network": (plain == LABELS).mean(),
    "soft": (soft.argmax(1) == LABELS).mean(),
    "hard": (hard == LABELS).mean(),
    "agree": (plain == soft.argmax(1)).mean(),
    "tree_log_loss": -soft[np.arange(40), LABELS].mean(),
  }
  for key, value in wanted.items():
    assert getattr(found, key) == pytest.approx(value, rel=1e-5), key


def test_images_that_must_not_be_seen_are_left_out():
  said = Outputs(LOGITS, np.zeros((40, 2), np.float32), LABELS)
  split = data.Split(IMAGES, LABELS)
  dataset = data.Dataset("own", tuple("abcd"), split, split, False, 0, "here")
  assert explaining.with_images(said, dataset).images is IMAGES
  hidden = dataclasses.replace(dataset, pictures=False)
  seen = explaining.with_images(said, hidden)
  assert seen.images is None and seen.logits is LOGITS


def test_all_analyses_together():
  unseen = HeldOut(
    ("bus", "cow"),
    ("vehicle", "pet"),
    np.asarray([0, 0, 1, 1]),
    data.Split(IMAGES[:6], np.asarray([0, 0, 0, 1, 1, 1], np.int32)),
    np.asarray([0, 0, 0, 1, 1, 1]),
    np.asarray([0, 0, 0, 1, 1, 1]),
  )
  found = analyses.analyse(
    Seen(LOGITS, LABELS, IMAGES), TREE, None, unseen, LOGITS[:6]
  )
  entropy = np.asarray(nbdt.path_entropy(LOGITS, TREE))
  rows = found.ambiguous.by_tree
  assert [r.index for r in rows] == np.argsort(-entropy)[:12].tolist()
  first = rows[0]
  share = np.prod([s.probability for s in first.path])
  paths = trees.path_log_probs(LOGITS, CHILDREN, 4)[first.index]
  assert share == pytest.approx(np.exp(paths.max()), rel=1e-4)
  assert first.path[-1].name == first.predicted
  steps = trees.node_log_probs(LOGITS[:6], CHILDREN, 4)
  by_node = (steps[:, 5] > steps[:, 4]).astype(int)
  assert found.unseen.tree == pytest.approx(
    (by_node == unseen.of_images).mean()
  )
  assert found.unseen.node == 6
  [bus, cow] = found.unseen.classes
  assert (bus.superclass, cow.superclass) == ("vehicle", "pet")
  assert bus.tree == pytest.approx((by_node[:3] == 0).mean())
  [root] = [n for n in found.nodes if n.node == 6]
  right = steps_right(LOGITS, LABELS)
  assert root.accuracy == pytest.approx(right)
  shares = found.traversals
  assert shares.groups[-2:] == ("bus", "cow")
  assert shares.unseen == 2
  assert shares.nodes == (4, 0, 1, 5, 2, 3)
  row = np.asarray(shares.shares)
  np.testing.assert_allclose(row[:, 0] + row[:, 3], 1.0, rtol=1e-6)
  assert [e.node for e in found.examples] == [6, 4, 5]
  assert len(found.examples[0].images) == 6


def steps_right(logits, labels):
  steps = trees.node_log_probs(logits, CHILDREN, 4)
  return ((steps[:, 5] > steps[:, 4]) == (labels >= 2)).mean()


def test_without_labels_or_images():
  found = analyses.analyse(Seen(LOGITS, None, None), TREE)
  assert found.traversals is None
  assert found.examples == ()
  assert found.ambiguous.errors is None
  assert found.ambiguous.by_tree[0].png is None
  assert {n.accuracy for n in found.nodes} == {None}


def cases():
  """Two seeds of the cells, with accuracies that are easy to subtract."""
  found = []
  for seed in (0, 1):
    for kind, loss, schedule, network, soft in (
      ("induced", "none", "", 0.90, 0.80),
      ("random", "none", "", 0.90, 0.50),
      ("induced", "soft", "growing", 0.92, 0.91),
      ("induced", "hard", "growing", 0.91, 0.88),
      ("random", "soft", "growing", 0.90, 0.85),
      ("induced", "soft", "constant", 0.92, 0.90),
    ):
      more = 0.01 * seed
      found.append(
        TrainedCell(
          kind,
          loss,
          schedule,
          seed=seed,
          network_accuracy=network + more,
          soft_accuracy=soft + 2 * more,
          hard_accuracy=soft - 0.01,
        )
      )
  return found


def test_summary():
  found = summarize(cases())
  [cell] = [
    c
    for c in found.cells
    if (c.hierarchy, c.loss, c.schedule) == ("induced", "soft", "growing")
  ]
  assert cell.seeds == 2
  assert cell.soft_accuracy.mean == pytest.approx(0.92)
  # Against the plain network of the same seed: 0.01, 0.02.
  gain = cell.soft_accuracy_gain
  assert gain.mean == pytest.approx(0.015)
  # Student's interval of two values: 12.706 times half their difference.
  assert gain.high - gain.mean == pytest.approx(12.7062 * 0.005, rel=1e-4)
  claims = {c.table: c for c in found.claims}
  assert claims["5.1"].mean == pytest.approx(0.015)
  assert claims["5.2"].mean == pytest.approx(0.06)
  assert claims["5.3"].mean == pytest.approx(0.01)
  assert claims["5.5"].mean == pytest.approx(0.02)
  assert claims["5.7"].mean == pytest.approx(0.02)
  # Whichever of them is the main one, the paper's is the growing one.
  turned = sorted(cases(), key=lambda c: c.schedule == "growing")
  [claim] = [c for c in summarize(turned).claims if "weights" in c.name]
  assert claim.name.startswith("growing less constant")
  assert claim.mean == pytest.approx(0.01)
  names = [c.name for c in found.claims]
  assert any("less none" in n for n in names)
  assert any("soft less hard loss" in n for n in names)
  assert len(found.said) == len(names)
  assert "Table 5.1" in found.said[0]


def test_summary_of_unseen_classes():
  def case(loss, plain, tree, seed):
    return TrainedCell(
      "induced",
      loss,
      "" if loss == "none" else "growing",
      unseen=True,
      seed=seed,
      network_accuracy=0.9,
      soft_accuracy=0.9,
      hard_accuracy=0.9,
      superclasses=UnseenClasses(
        6,
        plain=plain,
        plain_within=plain + 0.02,
        tree=tree,
        plain_sum=plain + 0.04,
        tree_sum=tree,
        node=6 if seed else None,
      ),
    )

  found = summarize(
    [
      case(loss, p + 0.1 * seed, t + 0.2 * seed, seed)
      for seed in (0, 1)
      for loss, p, t in (("none", 0.5, 0.6), ("soft", 0.6, 0.7))
    ]
  )
  [none, soft] = found.superclasses
  assert soft.tree.mean == pytest.approx(0.8)
  # Over the plain network of the same seed: 0.2, 0.3.
  assert soft.gain.mean == pytest.approx(0.25)
  assert none.gain.mean == pytest.approx(0.15)
  # Over what a network says that may choose as little as the tree.
  assert soft.gain_within.mean == pytest.approx(0.23)
  assert soft.gain_sum.mean == pytest.approx(0.21)
  assert (soft.divided, soft.seeds, soft.images) == (1, 2, 6)
