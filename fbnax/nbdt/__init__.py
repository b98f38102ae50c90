"""Neural-backed decision trees: a tree of decisions on logits."""

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
from fbnax.nbdt.explaining import Decision, describe, explain
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
