r"""From labelled U-Nets to the ones that are worth training next, as a program.

  python -m fbnax.search.autobuild.unet_ranking labels.csv ranked.json \
    --label=-fid

The file holds networks of `fbnax.spaces.unet` as
`fbnax.search.autobuild.labelled` reads them. CSV has a column for each decision
and one or more of numbers:

  channels,multipliers,input1.residuals,…,output4.attention,fid
  256,1-2-3-4,2,…,True,10.54

JSON is a list of objects, `{"architecture": {"kind": "unet", …}, "fid": 10.54}`
or with the decisions as in the CSV. The label is an expression of the numbers,
the larger the better (`fbnax.search.autobuild.label_expressions`).

A label costs days here, and there are few: 20 predictors of six hops learn,
each from four fifths of the labels, and count as much as their rank correlation
on the others (`fbnax.search.autobuild.ensemble`, which takes chains of any
space).

The result is JSON: `label`, `networks` (how many were labelled), `space`,
`hops` (mean held-out rank correlation of the norms at each hop), `constrained`
and `unconstrained` (AutoBuild's networks, with and without regard to the sizes
of modules, the best first: `score`, `genotype`, `architecture`, `label`, null
where it is not known), `keep` of each, `modules` (of each stage the best:
`operations`, `channels`, `score`), and with --exhaustive `exhaustive`, the best
predictions of all 98,304 networks, and its `correlation`.

Labels of U-Nets are not published, and nothing in fbnax trains one. The tests
make labels up (channels and attention are good), which says nothing of real
ones: of 68 of these, a "FID" of 19.8 in the mean, 16.7 at the best tenth and
15.2 at the best, five predictors of 200 epochs put together networks of 16.0 to
16.1, and without regard to sizes 14.2 to 15.3 (54 CPU-seconds, AMD EPYC,
`python -m pytest -m slow tests/search/ensemble_test.py`). Scores compare
modules with those of their own size alone, so they do not say whether more
blocks are better.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.files import write_atomically
from fbnax.base.names import escaped
from fbnax.models.graph_predictor import GraphPredictor
from fbnax.search.autobuild import (
  ensemble,
  label_expressions,
  labelled,
  unet_chains,
  unet_construction,
)
from fbnax.search.autobuild.labelled import Labelled
from fbnax.search.autobuild.unet_construction import Ranked
from fbnax.spaces import SearchSpace, unet


def rank(
  data: Labelled,
  label: str,
  *,
  seed: int = 0,
  networks: int = unet_construction.NETWORKS,
  keep: int = unet_construction.KEEP,
  folds: int = ensemble.FOLDS,
  shuffles: int = ensemble.SHUFFLES,
  epochs: int = ensemble.SETTINGS.epochs,
  hidden: int = 32,
  exhaustive: bool = False,
  on_step: Callable[[str, int, int], object] = lambda what, done, total: None,
) -> dict[str, Any]:
  """The result of the program, a JSON object; see above.

  Args:
    data: labelled U-Nets.
    label: an expression of its columns, the larger the better.
    seed: of everything random.
    networks: how many to give.
    keep: modules of each stage.
    folds: of the labels.
    shuffles: ways to part them; there are folds x shuffles predictors.
    epochs: of each predictor, all labels in one batch.
    hidden: width of each predictor.
    exhaustive: whether the baseline is run, too.
    on_step: called with what is done, how far and of how much.

  Raises:
    ValueError: as `label_expressions.evaluate`, `ensemble.fit`,
      `unet_construction.construct` and `unet_chains.encoding`.
  """
  space = data.space
  encoder = unet_chains.encoding(space)
  labels = label_expressions.evaluate(label, data.columns)
  chains = unet_chains.encoded(space, jnp.asarray(data.genotypes))
  module = GraphPredictor(
    encoder.categories, encoder.numbers, hidden=hidden, num_hops=ensemble.HOPS
  )
  settings = ensemble.SETTINGS._replace(epochs=epochs)
  key, other = jax.random.split(jax.random.key(seed))

  def fitted(key: jax.Array, what: str, ranking: float) -> ensemble.Ensemble:
    return ensemble.fit(
      key,
      module,
      chains,
      labels,
      folds=folds,
      shuffles=shuffles,
      settings=settings._replace(ranking=ranking),
      on_fit=lambda done, total: on_step(what, done, total),
    )

  ranking = fitted(key, "predictors", 1.0)
  scores = unet_construction.module_scores(ranking, space)
  label_of = {
    tuple(g): float(v)
    for g, v in zip(data.genotypes.tolist(), labels, strict=True)
  }
  result: dict[str, Any] = {
    "label": label,
    "networks": len(labels),
    "space": space.name,
    "hops": ranking.by_hop.mean(axis=0).tolist(),
    "keep": {},
  }
  for name in ("constrained", "unconstrained"):
    best = unet_construction.construct(
      space,
      scores,
      networks=networks,
      keep=keep,
      constrained=name == "constrained",
    )
    result[name] = _listed(space, best, label_of)
    result["keep"][name] = best.keep
  result["modules"] = _modules(space, scores, keep)
  if exhaustive:
    squared = fitted(other, "predictors of the baseline", 0.0)
    best = unet_construction.exhaustive(
      space,
      squared,
      networks=networks,
      on_chunk=lambda done, total: on_step("networks", done, total),
    )
    result["exhaustive"] = _listed(space, best, label_of)
    result["correlation"] = float(squared.by_prediction.mean())
  return result


def _listed(
  space: SearchSpace, best: Ranked, label_of: dict[tuple[int, ...], float]
) -> list[dict[str, Any]]:
  return [
    {
      "score": float(score),
      "genotype": genotype.tolist(),
      "architecture": json.loads(space.architecture(genotype).to_json()),
      "label": label_of.get(tuple(genotype.tolist())),
    }
    for genotype, score in zip(best.genotypes, best.scores, strict=True)
  ]


def _modules(
  space: SearchSpace, scores: list[np.ndarray], keep: int
) -> dict[str, list[dict[str, Any]]]:
  """The best modules of each stage, whatever their sizes."""
  best_modules = {}
  for part, of_part in zip(unet_chains.stages(space), scores, strict=True):
    best_modules[part.name] = [
      {
        "operations": [node.operation for node in part.modules[i]],
        "channels": int(part.channels[i]),
        "score": float(of_part[i]),
      }
      for i in np.argsort(-of_part, kind="stable")[:keep]
    ]
  return best_modules


def main(arguments: list[str]) -> int:
  """Ranks networks by a file of labels; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m fbnax.search.autobuild.unet_ranking",
    description="U-Nets put together from the best modules of labelled ones.",
  )
  parser.add_argument("labels", help="labelled networks, CSV or JSON")
  parser.add_argument("output", help="where the ranked networks go, JSON")
  parser.add_argument(
    "--label", required=True, help="such as -fid; the larger the better"
  )
  numbers = {
    "networks": (unet_construction.NETWORKS, "to give"),
    "keep": (unet_construction.KEEP, "modules of each stage"),
    "folds": (ensemble.FOLDS, "of the labels"),
    "shuffles": (ensemble.SHUFFLES, "of the labels"),
    "epochs": (ensemble.SETTINGS.epochs, "of each predictor"),
    "hidden": (32, "width of each predictor"),
    "seed": (0, "of everything random"),
  }
  for name, (default, text) in numbers.items():
    parser.add_argument(
      f"--{name}", type=int, default=default, help=f"{text} ({default})"
    )
  parser.add_argument(
    "--exhaustive", action="store_true", help="run the baseline, too"
  )
  flags = vars(parser.parse_args(arguments))
  path, output = flags.pop("labels"), flags.pop("output")
  began: dict[str, float] = {}
  first: dict[str, int] = {}

  def show(what: str, done: int, total: int) -> None:
    now = time.monotonic()
    # The first of each kind has compiled, and tells nothing of the others.
    seconds = now - began.setdefault(what, now)
    left = ""
    if done < total and seconds:
      left = f", {seconds / (done - first[what]) * (total - done):.0f} s left"
    first.setdefault(what, done)
    print(f"{what}: {done} of {total}{left}", flush=True)

  try:
    data = labelled.load(path, unet.space())
    result = rank(data, flags.pop("label"), **flags, on_step=show)
    write_atomically(output, json.dumps(result, indent=1) + "\n")
  except (ValueError, OSError) as error:
    print(f"error: {escaped(str(error))}", file=sys.stderr)
    return 2
  for name in ("constrained", "unconstrained", "exhaustive"):
    for network in result.get(name, ()):
      print(name, f"{network['score']:.4g}", json.dumps(network["genotype"]))
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
