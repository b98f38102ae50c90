"""Job `study`: controlled comparisons after finished `nars` runs.

Reads the runs (`runs`), plans the cases (`cases`), trains each with the same
seeds, settings and images and measures each once on its run's test split
(`training`), and sums up (`summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.jobs.study import cases as study_cases
from fbnax.jobs.study import runs as study_runs
from fbnax.jobs.study.config import StudyConfig
from fbnax.jobs.study.plan import Plan
from fbnax.jobs.study.result import StudyResult
from fbnax.jobs.study.runs import Run
from fbnax.jobs.study.summary import summarize
from fbnax.jobs.study.training import train_all
from fbnax.training.progress import Progress

# What each study trains and compares.
STUDIES: dict[str, Callable[[StudyConfig, Sequence[Run]], Plan]] = {
  "random": study_cases.random,
  "swapped": study_cases.swapped,
  "stages": study_cases.stages,
  "averaging": study_cases.averaging,
  "ranking": study_cases.ranking,
}


def prepare(config: StudyConfig) -> None:
  """Raises a ValueError that names the first key nothing can be made of."""
  if config.study not in STUDIES:
    raise ValueError(
      f"config.study is {config.study!r}; legal: {', '.join(STUDIES)}, as in "
      "--config=configs/study.py:random"
    )
  if not config.runs:
    raise ValueError(
      f"config.runs is {config.runs!r}; legal: work directories of finished "
      "runs, as in --config.runs=\"('runs/digits',)\""
    )
  if len(set(config.runs)) < len(config.runs):
    raise ValueError(f"config.runs names a run twice: {config.runs}")


def run(config: StudyConfig, work: WorkDir, progress: Progress) -> StudyResult:
  """Trains the cases of the study `config.study`, and compares them."""
  runs = [study_runs.read(config, path) for path in config.runs]
  with work.phase("planning"):
    plan = STUDIES[config.study](config, runs)
  seeds = [config.seed + i for i in range(config.seeds)]
  with work.phase("training"):
    trainings = train_all(plan.cases, runs, seeds, work.path, progress)
  return StudyResult(
    study=config.study,
    runs=tuple(run.facts for run in runs),
    cases=trainings,
    summary=summarize(trainings, plan.comparisons, plan.notes),
  )


def lines(result: StudyResult, folder: Path) -> Iterator[str]:
  """What is printed at the end."""
  del folder
  for comparison in result.summary.comparisons:
    loss = comparison.test_log_loss
    yield (
      f"{comparison.name}: log-loss {loss.mean:+.4f} "
      f"({loss.low:+.4f} to {loss.high:+.4f}, {loss.units} {loss.over})"
    )
