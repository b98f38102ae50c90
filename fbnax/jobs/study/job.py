"""Job `study`: controlled comparisons after finished `nars` runs.

Reads the runs, plans the cases (`study_cases`), trains each with the same
seeds, settings and images and measures each once on its run's test split
(`study_training`), and sums up (`study_summary`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from fbnax import __version__, report
from fbnax.jobs.runtime.workdir import WorkDir, is_done, open_workdir
from fbnax.jobs.study import cases as study_cases
from fbnax.jobs.study import runs as study_runs
from fbnax.jobs.study import summary as study_summary
from fbnax.jobs.study.cases import Plan
from fbnax.jobs.study.runs import Run
from fbnax.jobs.study.training import train_all
from fbnax.training.progress import Progress, open_progress

SCHEMA_VERSION = 1

Study = Callable[[Any, Sequence[Run], WorkDir, Progress], dict[str, Any]]


def run(config: Any, workdir: str) -> None:
  """Runs the study `config.study` on `config.runs`; writes the report."""
  check(config)
  # Before the work directory is made, which then belongs to these runs.
  runs = []
  if not is_done(workdir):
    runs = [study_runs.read(config, path) for path in config.runs]
  with open_workdir(workdir, config.to_dict()) as work:
    if work.is_done():
      return
    with open_progress() as progress:
      found = STUDIES[config.study](config, runs, work, progress)
    work.write_result(
      {
        "schema_version": SCHEMA_VERSION,
        "fbnax_version": __version__,
        "job": "study",
        "study": config.study,
        "config": config.to_dict(),
        "runs": [
          {
            "name": r.path,
            "dataset": r.result["dataset"]["name"],
            "source": r.result["dataset"]["source"],
            "train": r.result["dataset"]["train"]
            + r.result["dataset"]["validation"],
            "test": r.result["dataset"]["test"],
          }
          for r in runs
        ],
        **found,
        "times": work.spent(),
      }
    )
    page = report.write(work.path)
  for comparison in found["summary"].get("comparisons", ()):
    print(_line(comparison))
  print(f"report: {page}")


def check(config: Any) -> None:
  """Raises a ValueError that names the first key nothing can be made of."""
  if config.study not in STUDIES:
    raise ValueError(
      f"config.study is {config.study!r}; legal: {', '.join(STUDIES)}, as in "
      "--config=configs/study.py:random"
    )
  if not config.runs or isinstance(config.runs, str):
    raise ValueError(
      f"config.runs is {config.runs!r}; legal: work directories of finished "
      "runs, as in --config.runs=\"('runs/digits',)\""
    )
  if len(set(config.runs)) < len(config.runs):
    raise ValueError(f"config.runs names a run twice: {config.runs}")
  if config.seeds < 1:
    raise ValueError(f"config.seeds is {config.seeds!r}; legal: 1 or more")
  if config.epochs < 0:
    raise ValueError(
      f"config.epochs is {config.epochs!r}; legal: 1 or more, or 0 for as many "
      "as the members were trained for"
    )


def by_training(
  plan_of: Callable[[Any, Sequence[Run]], Plan],
  config: Any,
  runs: Sequence[Run],
  work: WorkDir,
  progress: Progress,
) -> dict[str, Any]:
  """A study that trains a list of cases; its part of `result.json`."""
  with work.phase("planning"):
    plan = plan_of(config, runs)
  seeds = [config.seed + i for i in range(config.seeds)]
  with work.phase("training"):
    trainings = train_all(plan.cases, runs, seeds, work.path, progress)
  summary = study_summary.summarize(trainings, plan.comparisons)
  summary["notes"] = list(plan.notes)
  return {"cases": trainings, "summary": summary}


def _line(comparison: dict[str, Any]) -> str:
  found = comparison["test_log_loss"]
  return (
    f"{comparison['name']}: log-loss {found['mean']:+.4f} "
    f"({found['low']:+.4f} to {found['high']:+.4f}, {found['units']} "
    f"{found['over']})"
  )


# A line for each study: what it does with config, runs, work directory and
# progress, and gives as its part of `result.json`.
STUDIES: dict[str, Study] = {
  "random": functools.partial(by_training, study_cases.random),
  "swapped": functools.partial(by_training, study_cases.swapped),
  "stages": functools.partial(by_training, study_cases.stages),
  "averaging": functools.partial(by_training, study_cases.averaging),
  "ranking": functools.partial(by_training, study_cases.ranking),
}
