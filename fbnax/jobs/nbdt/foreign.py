"""A classifier from elsewhere, explained as it is: part of the job `nbdt`."""

from __future__ import annotations

from typing import Any

from fbnax.jobs.nbdt import weights as nbdt_weights
from fbnax.jobs.runtime.trees import analyses as nbdt_analyses
from fbnax.jobs.runtime.trees import inputs as nbdt_inputs
from fbnax.jobs.runtime.trees import measure as nbdt_measure
from fbnax.jobs.runtime.trees import pictures as nbdt_pictures
from fbnax.jobs.runtime.trees.analyses import Seen
from fbnax.jobs.runtime.workdir import WorkDir


def explained(config: Any, work: WorkDir) -> dict[str, Any]:
  """The part of `result.json` of a classifier from elsewhere."""
  with work.phase("reading"):
    foreign = nbdt_weights.read(config)
  with work.phase("hierarchy"):
    tree = nbdt_inputs.hierarchy(
      config.tree, foreign.class_names, foreign.weights, seed=config.seed
    )
  seen = None
  accuracies: dict[str, Any] = {}
  analyses: dict[str, Any] = {}
  if foreign.logits is not None:
    seen = Seen(foreign.logits, foreign.labels, foreign.images)
    with work.phase("analyses"):
      analyses = nbdt_analyses.analyse(seen, tree, foreign.weights)
      if foreign.labels is not None:
        accuracies["given"] = nbdt_measure.accuracies(
          foreign.logits, foreign.labels, tree
        )
  with work.phase("pictures"):
    nbdt_pictures.write(
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
    "hierarchy": {"kind": config.tree.hierarchy}
    | nbdt_analyses.described(tree),
    "accuracies": accuracies,
    "members": [],
    "pictures": nbdt_pictures.listed(work.path),
    **analyses,
  }
