"""Neural-backed decision trees: a tree of decisions on logits.

A tree needs the logits of any classifier and a hierarchy; the classifier's own
last weights induce one (Wan 2022, chapter 5):

  tree = nbdt.wrap(f, fc_weights, class_names)  # f: images to logits, [K, D]
  tree(images)  # log path probabilities, f32[N, K]; tree.predict(images)
  tree.explain(images)  # the decisions on the way, with their names

  hierarchy = nbdt.induce(fc_weights)  # or Hierarchy.load("graph.json"), …
  log_probs = nbdt.path_log_probs(logits, hierarchy)  # also of [B, H, W, K]
  loss = nbdt.soft_tree_loss(logits, labels, hierarchy)  # beside the usual one
  nbdt.path_entropy(logits, hierarchy)  # large where a label is ambiguous
  nbdt.node_accuracy(logits, labels, hierarchy)  # which decision errs
  nbdt.tree_superclass(logits, hierarchy, superclasses)  # of unseen classes

All of these jit, vmap and, but for the predictions, differentiate. In a
training loop of your own `published("soft", "constant")` is the loss with its
weights over time. Other hierarchies, and names for inner nodes:

  nbdt.random_hierarchy(10, seed=0)  # pairs merged at random
  nbdt.information_gain(features, labels)  # [N, D], [N]: tests of one feature
  nbdt.oblique(features, labels)  # OC1-like: tests of weighted sums
  nbdt.wordnet_hierarchy(["airplane", "cat", "dog"])  # nouns or ids
  hierarchy = nbdt.name_nodes(hierarchy, class_names)  # "carnivore", …

Why a class was chosen, as text and as pictures:

  print(nbdt.describe(nbdt.explain(logits[0], hierarchy)))
  # frog: 75.5%
  #   whole: chordate 94.7% rather than vehicle 5.3%
  #   chordate: vertebrate 90.5% rather than placental 9.5%
  #   vertebrate: frog 88.0% rather than bird 12.0%
  samples = nbdt.Samples(images, logits, labels)  # u8[n, H, W, C], f32[n, K]
  page = nbdt.tree_page(hierarchy, title="CIFAR-10", samples=samples)
  nbdt.save_picture("tree.svg", hierarchy, logits=logits[0])  # or .png
"""

from fbnax.nbdt import schedules
from fbnax.nbdt.alternatives import (
  information_gain,
  oblique,
  random_hierarchy,
)
from fbnax.nbdt.drawing import save_picture, tree_svg
from fbnax.nbdt.entropy import (
  TopTwo,
  ambiguous_labels,
  decision_entropies,
  path_entropy,
  top_two_entropy,
)
from fbnax.nbdt.explaining import PathDecision as Decision
from fbnax.nbdt.explaining import describe, explain
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.induce import induce
from fbnax.nbdt.inference import (
  Decisions,
  decision_log_probs,
  decisions,
  hard_predict,
  node_log_probs,
  path_log_probs,
  soft_predict,
)
from fbnax.nbdt.losses import (
  hard_tree_loss,
  hard_tree_loss_per_node,
  original_hard_tree_loss,
  original_soft_tree_loss,
  soft_tree_loss,
)
from fbnax.nbdt.page import Samples, tree_page
from fbnax.nbdt.similarity import (
  node_logits,
  representatives,
  similar_examples,
)
from fbnax.nbdt.superclasses import (
  Divider,
  divider,
  hypothesis_accuracy,
  node_predict,
  plain_superclass,
  superclass_log_probs,
  tree_superclass,
)
from fbnax.nbdt.supervision import Given, Supervision, given, published
from fbnax.nbdt.traversal import (
  NodeAccuracy,
  chosen_children,
  node_accuracy,
  traversals,
)
from fbnax.nbdt.wordnet import (
  find_wnids,
  hypernym_names,
  name_nodes,
  wordnet_hierarchy,
)
from fbnax.nbdt.wrapping import TreeClassifier, wrap

__all__ = [
  "Decision",
  "Decisions",
  "Divider",
  "Given",
  "Hierarchy",
  "NodeAccuracy",
  "Samples",
  "Supervision",
  "TopTwo",
  "TreeClassifier",
  "ambiguous_labels",
  "chosen_children",
  "decision_entropies",
  "decision_log_probs",
  "decisions",
  "describe",
  "divider",
  "explain",
  "find_wnids",
  "given",
  "hard_predict",
  "hard_tree_loss",
  "hard_tree_loss_per_node",
  "hypernym_names",
  "hypothesis_accuracy",
  "induce",
  "information_gain",
  "name_nodes",
  "node_accuracy",
  "node_log_probs",
  "node_logits",
  "node_predict",
  "oblique",
  "original_hard_tree_loss",
  "original_soft_tree_loss",
  "path_entropy",
  "path_log_probs",
  "plain_superclass",
  "published",
  "random_hierarchy",
  "representatives",
  "save_picture",
  "schedules",
  "similar_examples",
  "soft_predict",
  "soft_tree_loss",
  "superclass_log_probs",
  "top_two_entropy",
  "traversals",
  "tree_page",
  "tree_superclass",
  "tree_svg",
  "wordnet_hierarchy",
  "wrap",
]
