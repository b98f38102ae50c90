"""The report of a run that was killed between its result and its report."""

from __future__ import annotations

from pathlib import Path

from fbnax.jobs.runtime.workdir import REPORT, is_done


def complete(job: str, directory: str) -> None:
  """Writes the report of a finished run that has none, and says where.

  Args:
    job: its name; some have no report.
    directory: its work directory.
  """
  path = Path(directory)
  if not is_done(path) or (path / REPORT).exists():
    return
  from fbnax import report  # Slow, and rarely wanted here.

  if report.has_page(job):
    print(f"report: {report.write(path)}")
