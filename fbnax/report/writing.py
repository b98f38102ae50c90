"""Writes the report of a work directory."""

from __future__ import annotations

import importlib
import os
import pathlib
from typing import Any

from fbnax.base.files import check_links, write_atomically
from fbnax.report.reading import job_of, read_as

# What the page of an unknown job is like.
_DESIGN = "nars"


def has_page(job: str) -> bool:
  """Whether a job of that name has a report."""
  jobs = _jobs()
  return job in jobs and jobs[job].has_page


def write(workdir: str | os.PathLike[str]) -> pathlib.Path:
  """Writes `report.html` beside `result.json`: one file that asks for nothing.

  A page that answers its reader has a script in it, which its policy names, and
  can be read without it. The same `result.json` gives the same bytes. A report
  that is already there is replaced at once or not at all.

  Args:
    workdir: the work directory of a finished run.

  Returns:
    The path of the report.

  Raises:
    ValueError: `result.json` is missing, of another schema version or broken,
      or a link leads out of the directory; file, key and what was found are
      named.
  """
  check_links(workdir)
  job = job_of(workdir) or ""
  row = _jobs()[job if has_page(job) else _DESIGN]
  folder = pathlib.Path(workdir)
  text = row.draw()(read_as(folder, row.result_type()), folder)
  path = folder / "report.html"
  write_atomically(path, text)
  return path


def _jobs() -> dict[str, Any]:
  """The table of jobs, each of which brings its page.

  It stands above this room, so it is imported by its name, when something is
  drawn; pages import this room, spaces, and the results that they draw.
  """
  jobs: dict[str, Any] = importlib.import_module("fbnax.jobs").JOBS
  return jobs
