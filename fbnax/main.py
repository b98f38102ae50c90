"""Runs a job: `python -m fbnax.main --config=configs/nars.py`.

The config names the job; `--config.a.b=value` overrides one value of it. What
is wrong with the input is told in a line or two (exit code 2), a training that
diverged likewise (3), what is wrong with the program by a traceback. The same
command goes on where it was stopped; with `--dry_run` it says what it would
take, with `--explain` what every key of the config is, and leaves nothing.
Several processes work as one with `--distributed`
(`fbnax.jobs.runtime.processes`).
"""

import sys

from fbnax.training import stopping


def main(argv: list[str]) -> int:
  """Runs the job that the command line asks for; returns the exit code."""
  words = "stopped; the same command goes on from here"
  return stopping.run(lambda: _run(argv), words)


def _run(argv: list[str]) -> int:
  from absl import app, flags, logging
  from ml_collections import config_flags

  from fbnax.jobs import JOBS
  from fbnax.jobs.runtime import (
    compiling,
    config_files,
    config_values,
    configs,
    processes,
  )
  from fbnax.jobs.runtime.messages import escaping, explain
  from fbnax.jobs.runtime.user_code import told_config

  stopping.answer()
  given = config_flags.DEFINE_config_file(
    "config", None, "path of a config file, such as configs/nars.py"
  )
  place = flags.DEFINE_string("workdir", None, "default: runs/<name of job>")
  others = flags.DEFINE_string("distributed", "", processes.LEGAL)
  explained = flags.DEFINE_bool("explain", False, "print what each key is")
  dry_run = flags.DEFINE_bool("dry_run", False, "estimate, and run nothing")
  logging.use_absl_handler()
  compiling.prepare()  # Before JAX is imported, which nothing has done yet.
  try:
    app.define_help_flags()
    with told_config():
      # Which ml_collections reads once more.
      sys.argv = config_files.located(argv)
      rest = flags.FLAGS(sys.argv)[1:]
      job = None if (config := given.value) is None else config.job
    if config is None:
      raise ValueError("--config is missing; such as --config=configs/nars.py")
    if rest:
      raise ValueError(f"{rest[0]!r} is no flag; legal: --config.key=value")
    if not isinstance(job, str) or job not in JOBS:
      raise ValueError(f"config.job={job!r}; legal: {', '.join(JOBS)}")
    config_values.check(config)
    if explained.value:
      print(*configs.explain(config), sep="\n")
      return 0
    processes.join(others.value)
    from fbnax.jobs.runtime.workdir import describe

    if dry_run.value:
      from fbnax.jobs.runtime.dry_run import run
    else:
      from fbnax.jobs.runtime.shell import run_job as run
    stopping.answer()
    workdir = place.value or f"runs/{job}"
    with escaping(), processes.working(workdir) as directory:
      print(f"{job}: {describe(directory)}", flush=True)
      run(config, directory)
  except Exception as error:
    message = explain(error)
    if message is None:
      raise
    print(f"error: {message}", file=sys.stderr)
    return getattr(error, "exit_code", 2)  # As `loop.DivergedError` has it.
  return 0


if __name__ == "__main__":
  stopping.leave(main(sys.argv))
