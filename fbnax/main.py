"""Runs a job: `python -m fbnax.main --config=configs/nars.py`.

The config names the job; `--config.a.b=value` overrides one value of it. What
is wrong with the input is told in a line or two (exit code 2), what is wrong
with the program by a traceback. The same command goes on where it was stopped;
with `--dry_run` it says what it would take, and leaves nothing. Several
processes work as one with `--distributed` (`fbnax.jobs.processes`).
"""

import importlib
import signal
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from fbnax.jobs import JOBS, compiling, config_values, processes
from fbnax.jobs.messages import escaping, explain
from fbnax.training import stopping

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "path of a config file, such as configs/nars.py"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "default: runs/<name of job>")
_DISTRIBUTED = flags.DEFINE_string("distributed", "", processes.LEGAL)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "estimate, and run nothing")


def main(argv: list[str]) -> int:
  """Runs the job that the command line asks for; returns the exit code."""
  stopping.listen()
  logging.use_absl_handler()
  compiling.prepare()  # Before JAX is imported, which nothing has done yet.
  try:
    app.define_help_flags()
    rest = flags.FLAGS(argv)[1:]
    if _CONFIG.value is None:
      raise ValueError("--config is missing; such as --config=configs/nars.py")
    if rest:
      raise ValueError(f"{rest[0]!r} is no flag; legal: --config.key=value")
    job = _CONFIG.value.job
    if job not in JOBS:
      raise ValueError(f"config.job={job!r}; legal: {', '.join(JOBS)}")
    config_values.check(_CONFIG.value)
    workdir = _WORKDIR.value or f"runs/{job}"
    processes.join(_DISTRIBUTED.value)
    describe = importlib.import_module("fbnax.jobs.workdir").describe
    module = "fbnax.jobs.dry_run" if _DRY_RUN.value else JOBS[job]
    with escaping(), processes.working(workdir) as directory:
      print(f"{job}: {describe(directory)}", flush=True)
      importlib.import_module(module).run(_CONFIG.value, directory)
      if not _DRY_RUN.value:
        importlib.import_module("fbnax.jobs.reporting").complete(job, directory)
  except KeyboardInterrupt as stop:
    stopping.heard()
    print("stopped; the same command goes on from here", file=sys.stderr)
    return stop.args[0] if stop.args else 128 + signal.SIGINT
  except Exception as error:
    message = explain(error)
    if message is None:
      raise
    print(f"error: {message}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  stopping.leave(main(sys.argv))
