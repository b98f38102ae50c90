"""Explanations of one sample, against a plain product over the path."""

import numpy as np
import pytest

from fbnax import nbdt
from tests.nbdt import trees

NAMES = ["cat", "dog", "car", "truck", "bus"]
# A node with one child (8) decides nothing.
CHILDREN = [[0, 1], [2, 3, 4], [6], [5, 7]]
TREE = nbdt.Hierarchy.from_children(CHILDREN)
LOGITS = np.asarray([0.1, -2.0, 1.0, 1.5, -0.5], np.float32)


@pytest.mark.parametrize("label", [None, 0, 3, 4])
def test_decisions_are_those_of_the_path(label):
  steps = np.exp(trees.node_log_probs(LOGITS[None], CHILDREN, 5))[0]
  totals = np.exp(trees.path_log_probs(LOGITS[None], CHILDREN, 5))[0]
  found = nbdt.explain(LOGITS, TREE, NAMES, label=label)
  end = int(totals.argmax()) if label is None else label
  assert found[-1].chosen.node == end
  assert found[-1].chosen.name == NAMES[end]
  path = [n for n in TREE.path(end) if n not in (7, end)]
  assert [step.node for step in found] == path
  reached = 1.0
  for step in found:
    assert step.reached == pytest.approx(reached, rel=1e-5)
    nodes = [option.node for option in step.options]
    assert nodes == CHILDREN[step.node - 5]
    got = [option.probability for option in step.options]
    np.testing.assert_allclose(got, steps[nodes], rtol=1e-5)
    assert sum(got) == pytest.approx(1.0)
    reached *= step.chosen.probability
  assert reached == pytest.approx(totals[end], rel=1e-5)


def test_the_text():
  found = nbdt.explain(LOGITS, TREE, NAMES)
  text = nbdt.describe(found)
  first, *rest = text.splitlines()
  assert first.startswith("truck: ") and len(rest) == len(found) == 2
  assert rest[0].startswith("  cat, dog, car +2: car, truck, bus ")
  shares = [option.probability for option in found[1].options]
  assert rest[1] == (
    f"  car, truck, bus: truck {shares[1]:.1%} rather than car "
    f"{shares[0]:.1%}, bus {shares[2]:.1%}"
  )
  wide = nbdt.Hierarchy.from_children([list(range(8))])
  text = nbdt.describe(nbdt.explain(np.arange(8.0), wide))
  assert text.endswith(", 4 more") and text.count("%") == 5


def test_names_of_nodes():
  all_ = [*NAMES, "animal", "vehicle", "machine", "thing"]
  found = nbdt.explain(LOGITS, TREE, all_)
  assert [step.name for step in found] == ["thing", "vehicle"]
  # A node with one child is an outcome all the same.
  assert [o.name for o in found[0].options] == ["animal", "machine"]
  labelled = nbdt.Hierarchy.from_children(CHILDREN, labels=all_)
  assert nbdt.explain(LOGITS, labelled) == found
  assert nbdt.explain(LOGITS, TREE)[-1].chosen.name == "3"


@pytest.mark.parametrize(
  ("logits", "options", "message"),
  [
    (LOGITS[:4], {}, r"shape \(4,\); legal: \[5\]"),
    (LOGITS[None], {}, r"shape \(1, 5\); legal: \[5\]"),
    (LOGITS * np.nan, {}, "not finite"),
    (LOGITS, {"label": 5}, "label is 5; legal: 0 to 4"),
    (LOGITS, {"names": ["a"]}, "class_names has 1 names; legal: 5"),
  ],
)
def test_arguments_that_are_refused(logits, options, message):
  with pytest.raises(ValueError, match=message):
    nbdt.explain(logits, TREE, **options)


def test_no_decisions_are_refused():
  with pytest.raises(ValueError, match="decisions is empty"):
    nbdt.describe([])
