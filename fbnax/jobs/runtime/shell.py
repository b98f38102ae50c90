"""Runs a job: opens its work directory, and ends it with result and report.

Whatever is the same for all jobs is here, so that a job's own `run` is its
recipe and nothing else. A run that has ended is not run again; the report of
one that was killed between its result and its report is made up for.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from fbnax import __version__
from fbnax.jobs import JOBS
from fbnax.jobs.runtime import configs
from fbnax.jobs.runtime.workdir import REPORT, WorkDir, open_workdir
from fbnax.report.schema import as_json
from fbnax.training.progress import open_progress


def run_job(config: config_dict.ConfigDict, workdir: str | Path) -> None:
  """Runs the job that a config names, or what is left of it.

  Args:
    config: of the job.
    workdir: its work directory.

  Raises:
    ValueError: a key of the config, or something that it names, is not what it
      must be; or the directory is of another run.
  """
  settings = configs.typed(config)
  job = JOBS[settings.job]
  module = job.module
  if hasattr(module, "prepare"):
    module.prepare(settings)
  ignored = getattr(module, "IGNORED", ())
  with open_workdir(workdir, configs.as_dict(settings), ignored) as work:
    is_done = _is_done(module, settings, work)
    if not is_done:
      with open_progress() as progress:
        result = module.run(settings, work, progress)
      work.write_result(_document(settings, result, work))
      for line in module.lines(result, work.path):
        print(line)
    if job.has_page and not (is_done and (work.path / REPORT).exists()):
      from fbnax import report  # Slow, and rarely wanted of what has ended.

      print(f"report: {report.write(work.path)}")


def _is_done(module: Any, settings: Any, work: WorkDir) -> bool:
  if not work.is_done():
    return False
  return not hasattr(module, "is_done") or module.is_done(settings, work)


def _document(settings: Any, result: Any, work: WorkDir) -> dict[str, Any]:
  """What `result.json` holds: who made it, what was found, how long it took."""
  document = as_json(
    dataclasses.replace(
      result,
      fbnax_version=__version__,
      job=settings.job,
      config=configs.as_dict(settings),
    )
  )
  del document["times"]
  return {**document, "times": work.spent()}
