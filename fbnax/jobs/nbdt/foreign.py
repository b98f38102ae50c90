"""A classifier from elsewhere, explained as it is: part of the job `nbdt`."""

from __future__ import annotations

from typing import Any

from fbnax.jobs.nbdt import weights
from fbnax.jobs.runtime.trees import explaining, measuring, settings
from fbnax.jobs.runtime.trees.explaining import Seen
from fbnax.jobs.runtime.workdir import WorkDir


def explained(config: Any, work: WorkDir) -> dict[str, Any]:
  """The part of `result.json` of a classifier from elsewhere."""
  with work.phase("reading"):
    foreign = weights.read(config)
  with work.phase("hierarchy"):
    tree = settings.hierarchy(
      config.tree, foreign.class_names, foreign.weights, seed=config.seed
    )
  seen = None
  accuracies: dict[str, Any] = {}
  analyses: dict[str, Any] = {}
  if foreign.logits is not None:
    seen = Seen(foreign.logits, foreign.labels, foreign.images)
    with work.phase("analyses"):
      analyses = explaining.analyse(seen, tree, foreign.weights)
      if foreign.labels is not None:
        accuracies["given"] = measuring.accuracies(
          foreign.logits, foreign.labels, tree
        )
  with work.phase("pictures"):
    pictures = explaining.draw(
      work.path, tree, "Decision tree", seen, analyses.get("nodes")
    )
  return {
    "dataset": {
      "name": config.foreign.weights,
      "source": config.foreign.logits or config.foreign.weights,
      "num_classes": len(foreign.class_names),
      "class_names": list(foreign.class_names),
      "test": None if seen is None else len(seen.logits),
    },
    "hierarchy": {"kind": config.tree.hierarchy} | explaining.described(tree),
    "accuracies": accuracies,
    "members": [],
    "pictures": pictures,
    **analyses,
  }
