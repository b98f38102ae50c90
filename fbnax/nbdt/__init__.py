"""Neural-backed decision trees: a tree of decisions on logits."""

from fbnax.nbdt import schedules
from fbnax.nbdt.alternatives import (
  information_gain,
  oblique,
  random_hierarchy,
)
from fbnax.nbdt.drawing import save_picture, tree_svg
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
from fbnax.nbdt.wordnet import (
  find_wnids,
  hypernym_names,
  name_nodes,
  wordnet_hierarchy,
)

__all__ = [
  "Decision",
  "Decisions",
  "Hierarchy",
  "Samples",
  "decision_log_probs",
  "decisions",
  "describe",
  "explain",
  "find_wnids",
  "hard_predict",
  "hard_tree_loss",
  "hypernym_names",
  "induce",
  "information_gain",
  "name_nodes",
  "node_log_probs",
  "oblique",
  "original_hard_tree_loss",
  "original_soft_tree_loss",
  "path_log_probs",
  "random_hierarchy",
  "save_picture",
  "schedules",
  "soft_predict",
  "soft_tree_loss",
  "tree_page",
  "tree_svg",
  "wordnet_hierarchy",
]
