"""Each job at the smallest size that exercises it, and the files it reads.

A run is a command line of `fbnax.main`. `{inputs}` in it is the folder that
`write_inputs` fills, `{runs}` the one that holds the work directories, by the
names of the runs; a run that reads another's products names it in `after`.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np

from fbnax import costs, models, spaces
from fbnax.search.benchmarks import tables

_FIX = (
  "fix=resolution=8;stem.channels=8;stage1.channels=8;"
  "stage1.depth=1;stage2.depth=1;stage3.depth=1;stage4.depth=1;"
  "stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;stage4.kernel=3"
)
# One layer of `small_dnas` with all of its types, the others skips.
_ONE_LAYER = ";".join(
  [
    "resolution=16",
    *(f"layer{i}.block=skip" for i in range(2, 8)),
    *(f"layer{i}.expansion=1.5" for i in range(2, 8)),
    *(
      f"layer{i}.channels={c}"
      for i, c in enumerate((16, 16, 16, 24, 24, 48, 48), 1)
    ),
  ]
)
_TREE = ("data.max_images=200", "training.epochs=3")


@dataclasses.dataclass(frozen=True)
class Run:
  """A job's command line.

  Attributes:
    job: its name in `fbnax.jobs.JOBS`.
    config: file of `configs/`, with a preset after a colon.
    values: `key=value` of the config.
    after: the run whose products it reads.
    measured: keys of its result that hold what was measured, or depends on
      where the tree is, besides those that every result has; of `("*",)` only
      the structure is compared.
  """

  job: str
  config: str
  values: tuple[str, ...] = ()
  after: str = ""
  measured: tuple[str, ...] = ()

  def flags(self, inputs: Path, runs: Path, name: str) -> list[str]:
    """The command line after `-m fbnax.main`, in a tree."""
    file, *preset = self.config.split(":")
    values = [v.format(inputs=inputs, runs=runs) for v in self.values]
    return [
      f"--config=configs/{':'.join([f'{file}.py', *preset])}",
      f"--workdir={runs / name}",
      *(f"--config.{value}" for value in values),
    ]


RUNS = {
  "train": Run(
    "train",
    "train",
    (
      "architecture={inputs}/tiny.json",
      "resolution=8",
      "data.max_images=300",
      "training.epochs=2",
    ),
  ),
  "finetune": Run(
    "train",
    "finetune",
    (
      "architecture={inputs}/colour.json",
      "weights={inputs}/colour.safetensors",
      "resolution=8",
      "data.max_images=200",
      "training.epochs=1",
    ),
  ),
  "eval": Run("eval", "eval", ("model={runs}/train/members/tiny",), "train"),
  "export": Run(
    "export",
    "export",
    ("model={runs}/train/members/tiny", "platforms=('cpu',)", "repeats=2"),
    "train",
    # The program names the files that it was traced from.
    ("latency", "bytes"),
  ),
  "nars": Run(
    "nars",
    "nars",
    (
      "search.pool=512",
      "search.rounds=2",
      "search.candidates=4",
      "search.epochs=2",
      "search.predictors=2",
      "training.epochs=2",
      "training.warmup_epochs=0.0",
      "data.max_images=300",
      "budgets.macs=(150e3, 200e3)",
      _FIX,
    ),
  ),
  "evolve": Run(
    "evolve",
    "evolve",
    ("run={runs}/nars", "budgets.macs=(180e3,)", "top=2"),
    "nars",
  ),
  "study": Run(
    "study",
    "study:random",
    (
      "runs=('{runs}/nars',)",
      "members=('small-200k',)",
      "seeds=1",
      "epochs=1",
      "pairs=1",
    ),
    "nars",
  ),
  "predictors": Run(
    "predictors",
    "predictors",
    (
      "table={inputs}/mnasnet.npz",
      "labels=(8,16)",
      "held_out=50",
      "seeds=1",
      "pool=500",
      "predictors=2",
    ),
  ),
  "benchmark": Run(
    "benchmark",
    "benchmark",
    (
      "table={inputs}/cells.npz",
      "seeds=1",
      "evaluations=12",
      "search.first=8",
      "search.candidates=2",
      "search.predictors=2",
      "evolution.population=6",
      "evolution.sample=3",
    ),
  ),
  "zero_cost": Run(
    "zero_cost",
    "zero_cost:nasbench201",
    (
      "table={inputs}/cells.npz",
      "sample=12",
      "batch_size=12",
      "chunk=6",
      "bootstrap=50",
      "best=0.5",
      "proxies=('grad_norm','synflow')",
      "cells.channels=4",
      "cells.per_stage=1",
      "data.name=digits",
      "data.max_images=200",
    ),
  ),
  "ground_truth": Run(
    "ground_truth",
    "ground_truth",
    (
      "table={inputs}/cells.npz",
      "seeds=1",
      "variants=('safe',)",
      "data.name=digits",
      "data.max_images=200",
      "network.resolution=8",
      "network.channels=4",
      "search.epochs=2",
      "search.frozen_epochs=1",
      "search.samples=3",
      "search.tolerance=0.3",
      "search.batch_size=32",
    ),
  ),
  "dnas": Run(
    "dnas",
    "dmasking",
    (
      "data.max_images=200",
      "space=tests/jobs/dnas_parts.py:space",
      "fix=",
      "search.target=30e3",
      "search.tolerance=0.2",
      "search.epochs=2",
      "search.frozen_epochs=0",
      "search.batch_size=16",
      "search.samples=3",
      "training.epochs=2",
      "training.batch_size=32",
      "compare.networks=1",
      "memory_options=()",
    ),
  ),
  "nbdt": Run(
    "nbdt",
    "nbdt",
    (
      *_TREE,
      "architecture={inputs}/residual.json",
      "tree.start=1",
      "tree.end=3",
      "tree.period=1",
      "unseen.classes=3,8",
      "unseen.superclasses=round=0,3,6,8,9;straight=1,2,4,5,7",
    ),
  ),
  "nbdt_model": Run(
    "nbdt",
    "nbdt",
    (*_TREE, "model={runs}/train/members/tiny"),
    "train",
  ),
  "nbdt_tables": Run(
    "nbdt_tables",
    "nbdt_tables",
    (
      *_TREE,
      "architecture={inputs}/residual.json",
      "tables.seeds=1",
      "tables.hierarchies=('induced',)",
      "tables.others=()",
      "tables.losses=('soft',)",
      "tables.schedules=('constant',)",
      "tables.updates=('1:3:1',)",
    ),
  ),
  "autobuild": Run(
    "autobuild",
    "autobuild",
    (
      "labels={inputs}/blocks.csv",
      "space=mnasnet",
      "fix=block5.layers=1,2,3",
      "accuracy=acc",
      "cost=phone",
      "expressions=('acc / phone',)",
      "top=2",
      "predictor.seeds=1",
      "predictor.epochs=2",
      "predictor.hidden=4",
      "predictor.hops=1",
      "search.seeds=1",
      "search.first=10",
      "search.children=10",
      "search.rounds=2",
    ),
  ),
  "latency_predictor": Run(
    "latency_predictor",
    "latency_predictor",
    (
      "measurements={inputs}/devices.csv",
      "space=fbnet_cifar",
      "devices=('board',)",
      "counts=(10,100)",
      "kinds=('additive','mlp')",
    ),
  ),
  "profile": Run(
    "profile",
    "profile",
    (
      f"fix={_ONE_LAYER}",
      "repeats=2",
      "warmup=0",
      "loops=1",
      "networks=3",
    ),
    measured=("*",),
  ),
}


def chosen(jobs: Iterable[str]) -> list[str]:
  """Names of the runs of those jobs, or of all, after what they need.

  Args:
    jobs: names of jobs or of runs.

  Raises:
    ValueError: there is none of a name.
  """
  asked = set(jobs)
  known = set(RUNS) | {run.job for run in RUNS.values()}
  if asked - known:
    raise ValueError(
      f"--jobs has {min(asked - known)!r}; legal: {', '.join(sorted(known))}"
    )
  names: list[str] = []
  for name, run in RUNS.items():
    if not asked or asked & {name, run.job}:
      names += [n for n in (run.after, name) if n and n not in names]
  return names


def write_inputs(folder: Path) -> None:
  """Networks, weights, tables of accuracies and labelled networks."""
  folder.mkdir(parents=True)
  space = spaces.get("small")
  tiny = space.architecture(np.zeros(len(space.decisions), int))
  (folder / "tiny.json").write_text(tiny.to_json())
  document = json.loads(tiny.to_json())
  document["input_channels"], document["stem"]["bias"] = 3, False
  colour = spaces.Architecture.from_json(json.dumps(document))
  (folder / "colour.json").write_text(colour.to_json())
  module = models.Network(colour, 7)
  images = np.zeros((1, 8, 8, 3), np.float32)
  variables = jax.jit(
    lambda key: models.initialize(module, key, images, train=False)
  )(jax.random.key(0))
  models.save_weights(folder / "colour.safetensors", colour, variables)
  residual = spaces.ResNet((1,), (6,), 4, resolution=8)
  (folder / "residual.json").write_text(residual.to_json())
  cells = spaces.get("nasbench201")
  genotypes = np.indices((5,) * 6).reshape(6, -1).T.astype(np.int32)
  accuracies = 0.1 + 0.15 * (genotypes == 2).sum(1)
  tables.save(
    folder / "cells.npz", cells, genotypes, accuracies, accuracies - 0.05
  )
  space = spaces.get("mnasnet")
  genotypes = _sample(space, 120)
  sizes = np.log(np.asarray(costs.batch(space, genotypes).macs, np.float64))
  accuracies = 0.7 + 0.05 * np.tanh(sizes - sizes.mean())
  tables.save(folder / "mnasnet.npz", space, genotypes, accuracies)
  _write_labels(
    folder / "blocks.csv",
    space.fix(**{"block5.layers": (1, 2, 3)}),
    ("acc", "phone"),
  )
  _write_labels(
    folder / "devices.csv", spaces.get("fbnet_cifar"), ("phone", "board")
  )


def _sample(space: spaces.SearchSpace, count: int) -> np.ndarray:
  drawn = np.asarray(space.sample(jax.random.key(0), count))
  return np.unique(drawn, axis=0)


def _write_labels(
  path: Path, space: spaces.SearchSpace, columns: tuple[str, ...]
) -> None:
  """Networks whose labels are sums over their decisions."""
  genotypes = _sample(space, 150)
  random = np.random.default_rng(0)
  shares = genotypes / np.asarray(space.choices)
  labels = [
    0.5 + shares @ random.uniform(0, 1, shares.shape[1]) for _ in columns
  ]
  with path.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow([*(d.name for d in space.decisions), *columns])
    for row, genotype in enumerate(genotypes):
      pairs = zip(space.decisions, genotype, strict=True)
      writer.writerow(
        [
          *(decision.values[choice] for decision, choice in pairs),
          *(f"{label[row]:.6f}" for label in labels),
        ]
      )
