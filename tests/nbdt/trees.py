"""Random trees, and their probabilities by a plain product over paths."""

from pathlib import Path

import numpy as np

SHARED = Path(__file__).parents[3] / "shared"
GOLDEN = SHARED / "golden"
DATA = SHARED / "data" / "nbdt"


def random_children(random, classes, most=4):
  """Child lists of a tree whose nodes have two to `most` children."""
  waiting = [int(i) for i in random.permutation(classes)]
  children = []
  while len(waiting) > 1:
    count = min(int(random.integers(2, most + 1)), len(waiting))
    places = random.choice(len(waiting), count, replace=False)
    children.append([waiting[i] for i in places])
    for i in sorted(places, reverse=True):
      waiting.pop(i)
    waiting.append(classes + len(children) - 1)
  return children


def chain(classes):
  """Each node splits one class off: depth `classes - 1`."""
  first = [[0, 1]]
  return first + [[classes + i, i + 2] for i in range(classes - 2)]


def parents_of(children, classes):
  return {n: classes + i for i, nodes in enumerate(children) for n in nodes}


def node_means(logits, children, classes):
  """Mean logits of the classes under each node, float64, by recursion."""
  parents = parents_of(children, classes)
  means = np.zeros((len(logits), classes + len(children)))
  counts = np.zeros(classes + len(children))
  for leaf in range(classes):
    node = leaf
    while node is not None:
      means[:, node] += logits[:, leaf]
      counts[node] += 1
      node = parents.get(node)
  return means / counts


def node_log_probs(logits, children, classes):
  """Log softmax over siblings, float64: `[N, V]`, 0 for the root."""
  means = node_means(np.asarray(logits, np.float64), children, classes)
  found = np.zeros_like(means)
  for nodes in children:
    z = means[:, nodes]
    top = z.max(1, keepdims=True)
    found[:, nodes] = z - top - np.log(np.exp(z - top).sum(1, keepdims=True))
  return found


def path_log_probs(logits, children, classes):
  """Equation 5.1, class by class and path by path, float64."""
  steps = node_log_probs(logits, children, classes)
  parents = parents_of(children, classes)
  found = np.zeros((len(logits), classes))
  for leaf in range(classes):
    node = leaf
    while node is not None:
      found[:, leaf] += steps[:, node]
      node = parents.get(node)
  return found


def hard_predictions(logits, children, classes):
  """Down from the root, sample by sample."""
  steps = node_log_probs(logits, children, classes)
  below = set(parents_of(children, classes))
  [root] = set(range(classes, classes + len(children))) - below
  found = []
  for row in steps:
    node = root
    while node >= classes:
      nodes = children[node - classes]
      node = nodes[int(np.argmax(row[nodes]))]
    found.append(node)
  return np.asarray(found)
