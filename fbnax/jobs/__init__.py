"""What can be run: a row for each job.

A job is a folder with the same names inside: `config` (its keys, dataclasses),
`job` (its function `run`, which reads like a recipe), `result` (dataclasses:
what the run found) and `page` (its function `draw`: a result as a report); some
have `dry_run` (its function `estimate`: what a run would take). What a row
names is imported when it is asked for, since some of it takes seconds.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Job:
  """One job.

  Attributes:
    name: what a config calls it, and its folder.
    configs: dataclasses of its `config`; a config is of the first that has all
      of its keys.
    result: the dataclass of its `result`.
    has_page: it leaves a report.
    package: its folder, where it is none of this package.
  """

  name: str
  configs: tuple[str, ...]
  result: str
  has_page: bool = True
  package: str = ""

  @property
  def module(self) -> Any:
    """The module `job`: `run(config, work, progress)`, which gives the result.

    `lines(result, folder)` are printed at the end. It may have
    `prepare(config)`, called before the work directory opens; `is_done(config,
    work)` where a finished run may go on; and `IGNORED`, keys that a restart
    may change.
    """
    return self._module("job")

  def config_types(self) -> list[type]:
    """The dataclasses that its configs may be of."""
    return [getattr(self._module("config"), name) for name in self.configs]

  def result_type(self) -> type:
    """The dataclass that `result.json` is read as."""
    kind: type = getattr(self._module("result"), self.result)
    return kind

  def draw(self) -> Callable[..., str]:
    """The function that draws a result: `draw(result, folder)`, HTML."""
    function: Callable[..., str] = self._module("page").draw
    return function

  def estimate(self) -> Callable[..., Iterator[str]] | None:
    """`estimate(config)` of its `dry_run`: lines; None where it has none."""
    if importlib.util.find_spec(self._path("dry_run")) is None:
      return None
    function: Callable[..., Iterator[str]] = self._module("dry_run").estimate
    return function

  def _module(self, file: str) -> Any:
    return importlib.import_module(self._path(file))

  def _path(self, file: str) -> str:
    return f"{self.package or f'{__name__}.{self.name}'}.{file}"


_JOBS = (
  Job("nars", ("NarsConfig",), "NarsResult"),
  Job("train", ("TrainConfig", "FinetuneConfig"), "TrainResult"),
  Job("eval", ("EvalConfig",), "EvalResult"),
  Job("evolve", ("EvolveConfig",), "EvolveResult", has_page=False),
  Job("predictors", ("PredictorsConfig",), "PredictorsResult"),
  Job("benchmark", ("BenchmarkConfig",), "BenchmarkResult"),
  Job("study", ("StudyConfig", "RandomStudyConfig"), "StudyResult"),
  Job("profile", ("ProfileConfig",), "ProfileResult"),
  Job("zero_cost", ("ZeroCostConfig",), "ZeroCostResult"),
  Job("dnas", ("DnasConfig",), "DnasResult"),
  Job("nbdt", ("NbdtConfig",), "NbdtResult"),
  Job("nbdt_tables", ("NbdtTablesConfig",), "TablesResult"),
  Job("autobuild", ("AutobuildConfig",), "AutobuildResult"),
  Job("ground_truth", ("GroundTruthConfig",), "GroundTruthResult"),
  Job("export", ("ExportConfig",), "ExportResult", has_page=False),
  Job("latency_predictor", ("LatencyPredictorConfig",), "LatencyResult"),
)
JOBS: dict[str, Job] = {job.name: job for job in _JOBS}
