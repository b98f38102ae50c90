"""Writes the report of a work directory."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from fbnax.base.files import check_links, write_atomically
from fbnax.jobs.autobuild.page import autobuild_page
from fbnax.jobs.autobuild.result import AutobuildResult
from fbnax.jobs.benchmark.page import benchmark_page
from fbnax.jobs.benchmark.result import BenchmarkResult, PredictorsResult
from fbnax.jobs.dnas.page import dnas_page
from fbnax.jobs.dnas.result import DnasResult
from fbnax.jobs.latency_predictor.page import latency_predictor_page
from fbnax.jobs.latency_predictor.result import LatencyResult
from fbnax.jobs.nars.page import sections
from fbnax.jobs.nbdt.page import nbdt_page
from fbnax.jobs.nbdt.result import NbdtResult
from fbnax.jobs.nbdt_tables.page import tables_page
from fbnax.jobs.nbdt_tables.result import TablesResult
from fbnax.jobs.predictors.page import predictors_page
from fbnax.jobs.profile.page import profile_page
from fbnax.jobs.profile.result import ProfileResult
from fbnax.jobs.study.page import study_page
from fbnax.jobs.study.result import StudyResult
from fbnax.jobs.zero_cost.page import zero_cost_page
from fbnax.jobs.zero_cost.result import ZeroCostResult
from fbnax.report.overview import title
from fbnax.report.page import page
from fbnax.report.reading import job_of, read, read_as
from fbnax.report.schema import Result
from fbnax.report.trees import read_drawing

# What the result of a job is read as, and the page that is made of it alone.
_PAGES: dict[str | None, tuple[type, Callable[[Any], str]]] = {
  "autobuild": (AutobuildResult, autobuild_page),
  "benchmark": (BenchmarkResult, benchmark_page),
  "dnas": (DnasResult, dnas_page),
  "ground_truth": (BenchmarkResult, benchmark_page),
  "latency_predictor": (LatencyResult, latency_predictor_page),
  "nbdt_tables": (TablesResult, tables_page),
  "predictors": (PredictorsResult, predictors_page),
  "profile": (ProfileResult, profile_page),
  "study": (StudyResult, study_page),
  "zero_cost": (ZeroCostResult, zero_cost_page),
}

# Those of the other pages.
_DESIGNS = ("nars", "train")
_TREE = "nbdt"


def has_page(job: str) -> bool:
  """Whether a job of that name has a report."""
  return job in (*_PAGES, *_DESIGNS, _TREE)


def write(workdir: str | os.PathLike[str]) -> pathlib.Path:
  """Writes `report.html` beside `result.json`: one file, no request, no script.

  The same `result.json` gives the same bytes. A report that is already there
  is replaced at once or not at all.

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
  job = job_of(workdir)
  if job in _PAGES:
    schema, make = _PAGES[job]
    text = make(read_as(workdir, schema))
  elif job == _TREE:
    tree = read_as(workdir, NbdtResult)
    text = nbdt_page(tree, read_drawing(workdir, tree.pictures.drawing))
  else:
    design = read(workdir)
    text = _design_page(design, _drawings(workdir, design))
  path = pathlib.Path(workdir) / "report.html"
  write_atomically(path, text)
  return path


def _drawings(
  workdir: str | os.PathLike[str], result: Result
) -> dict[str, str]:
  """The decision trees of members that have one."""
  found = {}
  for member in result.members:
    if member.tree is not None and re.fullmatch(r"\w[\w.-]*", member.name):
      folder = pathlib.Path(workdir) / "members" / member.name
      name = member.tree.pictures.get("drawing")
      found[member.name] = read_drawing(folder, name)
  return found


def _design_page(result: Result, drawings: dict[str, str]) -> str:
  """The page of a job that designs or trains networks."""
  kind = (
    "Neural architecture-recipe search"
    if result.job == "nars"
    else (f"Report of the job {result.job}" if result.job else "Report")
  )
  return page(
    title(result),
    kind,
    sections(result, drawings),
    f"Written by fbnax.report from the run's result.json (fbnax "
    f"{result.fbnax_version or 'of unknown version'}).",
  )
