import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from absl import flags
from ml_collections import config_flags

from fbnax import jobs, report
from fbnax.jobs.runtime import compiling
from fbnax.jobs.runtime.messages import explain
from fbnax.jobs.runtime.user_code import told_config

ROOT = pathlib.Path(jobs.__file__).parents[2]
CONFIG = """
import ml_collections

def get_config():
  return ml_collections.ConfigDict(
    {"job": "trial", "training": {"epochs": 3}, "behaviour": "good"}
  )
"""

# A job as the package might have one.
JOB = """
import os, sys, time
import numpy as np
from trial.result import TrialResult

class Collected:
  def __del__(self):
    print("running", flush=True)
    time.sleep(2)

IGNORED = ("behaviour",)

def lines(result, folder):
  return [f"{result.epochs} epochs"]

def run(config, work, progress):
  if config.behaviour == "lacking":
    config.lacking
  if config.behaviour == "diverged":
    from fbnax.jobs.runtime import training
    with training._telling("small", training.Recipe(learning_rate=1e30)):
      raise training.loop.DivergedError("diverged in epoch 2")
  if config.behaviour == "library":
    np.zeros(3).reshape(2, 2)
  if config.behaviour == "slow":
    print("running", flush=True)
    time.sleep(60)
  if config.behaviour == "collected":
    Collected()
    time.sleep(60)
  if config.behaviour == "cleaning":
    try:
      print("running", flush=True)
      time.sleep(60)
    finally:
      time.sleep(3)
      print("cleaned")
  print("cache", os.environ["JAX_COMPILATION_CACHE_DIR"])
  return TrialResult(epochs=config.training.epochs)
"""

KEYS = """
from dataclasses import dataclass
from fbnax.jobs.runtime.configs import key, section

@dataclass(frozen=True)
class TrialKeys:
  epochs: int = key(1, "of the training", "epochs")

@dataclass(frozen=True)
class TrialConfig:
  job: str = key("trial", "the job")
  training: TrialKeys = section(TrialKeys)
  behaviour: str = key("good", "what it does")
"""

RESULT = """
from dataclasses import dataclass
from fbnax.report.schema import JobResult

@dataclass(frozen=True)
class TrialResult(JobResult):
  epochs: int = 0
"""

START = """
import sys
from fbnax import jobs, main
jobs.JOBS["trial"] = jobs.Job(
  "trial", ("TrialConfig",), "TrialResult", has_page=False, package="trial"
)
main.stopping.leave(main.main(["main", *sys.argv[1:]]))
"""


def test_a_job_has_a_report_where_its_folder_has_a_page():
  for name, job in jobs.JOBS.items():
    folder = ROOT / "fbnax" / "jobs" / name
    assert (
      job.has_page == report.has_page(name) == (folder / "page.py").exists()
    )


@pytest.fixture
def place(tmp_path):
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "trial").mkdir()
  for name, text in (("job", JOB), ("config", KEYS), ("result", RESULT)):
    (tmp_path / "trial" / f"{name}.py").write_text(text)
  return tmp_path


def start(place, *arguments, **options):
  path = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
  environment = os.environ | {"PYTHONPATH": path, "FBNAX_CACHE": "/cache"}
  environment.pop("JAX_COMPILATION_CACHE_DIR", None)
  return subprocess.Popen(
    [sys.executable, "-c", START, *arguments],
    cwd=place,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    **options,
  )


def run(place, *arguments):
  process = start(place, *arguments)
  out, err = process.communicate(timeout=60)
  return process.returncode, out, err


def test_runs_and_goes_on(place):
  code, out, err = run(place, "--config=config.py")
  assert (code, err) == (0, "")
  cache = f"/cache/xla/{compiling.cores()}"
  assert out == f"trial: starts in runs/trial\ncache {cache}\n3 epochs\n"
  assert (place / "runs/trial/result.json").exists()
  code, out, err = run(place, "--config=config.py")
  assert (code, err) == (0, "")
  assert out.startswith("trial: all is done: runs/trial/result.json\n")


@pytest.mark.parametrize(
  "arguments, message",
  [
    ([], "--config is missing; such as --config=configs/nars.py"),
    (["--wrkdir=a"], "Unknown command line flag 'wrkdir'. Did you mean: workd"),
    (["--config=none.py"], "No such file or directory: 'none.py'"),
    (["--config=config.py", "nars"], "'nars' is no flag; legal: --config.key"),
    (
      ["--config=config.py", "--config.trainin.epochs=4"],
      "no key 'trainin'\nDid you mean \"training\"",
    ),
    (
      ["--config=config.py", "--config.training.epoch=4"],
      "no key 'epoch'\nDid you mean \"epochs\"",
    ),
    (["--config=config.py", "--config.training.epochs=x"], "epochs=x: invalid"),
    (
      ["--config=config.py", "--config.job=narz"],
      "config.job='narz'; legal: nars, train, eval, evolve",
    ),
    (
      ["--config=config.py", "--workdir=config.py"],
      "config.py: cannot be made",
    ),
  ],
)
def test_what_the_user_got_wrong_is_told_without_a_traceback(
  place, arguments, message
):
  code, _, err = run(place, *arguments)
  assert code == 2
  assert err.startswith("error: ") and message in err
  assert "Traceback" not in err
  assert len(err.splitlines()) <= 5


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("def (", "line 1: SyntaxError: invalid syntax"),
    ("x = 1\nimport no_such", "line 2, `import no_such`: ModuleNotFoundError"),
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("x = '\0'", "--config: SyntaxError: source code string cannot contain"),
    ("x = 1", "--config: its file has no get_config()"),
    ("def get_config():\n  raise KeyError('a')", "line 2, .*KeyError: 'a'"),
    ("def get_config(name):\n  raise ValueError(name)", "line 2, .*: small$"),
    ("def get_config():\n  return {'job': 'trial'}", "has no attribute 'job'"),
    ("def get_config(a, b):\n  pass", "TypeError: get_config"),
    ("open('absent')", "--config: .Errno 2. No such file .* 'absent'"),
  ],
)
def test_a_config_file_with_a_fault_is_told_in_a_line(tmp_path, text, message):
  # A file of the same name is loaded into the module that is there already.
  name = f"{tmp_path.name}.py"
  (tmp_path / name).write_text(text)
  parser = config_flags.DEFINE_config_file(
    "config", None, "", flag_values=(values := flags.FlagValues())
  )
  name += ":small" if "(name)" in text or "(a, b)" in text else ""
  with pytest.raises(ValueError, match=message) as caught, told_config():
    values(["main", f"--config={tmp_path / name}"])
    parser.value.job  # noqa: B018
  assert "\n" not in explain(caught.value)


def test_another_config_in_the_same_place(place):
  arguments = ("--config=config.py", "--workdir=w")
  assert run(place, *arguments)[0] == 0
  code, _, err = run(place, *arguments, "--config.training.epochs=4")
  assert code == 2 and "training.epochs: there 3, now 4" in err


def test_a_training_that_diverged_has_an_exit_code_of_its_own(place):
  code, _, err = run(place, "--config=config.py", "--config.behaviour=diverged")
  assert code == 3
  assert err == (
    "error: training of small diverged in epoch 2; its recipe's learning_rate"
    " is 1e+30: a lower one may help, in another work directory\n"
  )


def test_a_fault_of_the_program_keeps_its_traceback(place):
  code, _, err = run(place, "--config=config.py", "--config.behaviour=library")
  assert code == 1
  assert "Traceback" in err and "trial/job.py" in err and "reshape" in err
  # Nor does it bind the work directory.
  assert os.listdir(place / "runs/trial") == ["lock"]


@pytest.mark.parametrize(
  "sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_being_stopped(place, sent, code):
  process = start(place, "--config=config.py", "--config.behaviour=slow")
  while process.stdout.readline() != "running\n":
    assert process.poll() is None
  process.send_signal(sent)
  _, err = process.communicate(timeout=30)
  assert process.returncode == code
  assert err == "stopped; the same command goes on from here\n"
  # Nothing holds it; the same command does go on.
  assert run(place, "--config=config.py")[0] == 0


def _stopped_early(place, delay, sent, *command):
  """Exit code and the rest of what a process says that was told at once."""
  process = subprocess.Popen(
    [sys.executable, "-m", *command],
    cwd=place,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
  )
  time.sleep(delay)
  process.send_signal(sent)
  _, err = process.communicate(timeout=60)
  return process.returncode, err


TRAIN = ("fbnax.main", f"--config={ROOT}/configs/train.py", "--workdir=run")
PREDICT = ("fbnax.predict", "no_model", "no_image.png")


# The first moments are of Python itself.
@pytest.mark.parametrize(
  "command, sent, delay",
  [
    (TRAIN, signal.SIGTERM, 0.6),
    (PREDICT, signal.SIGINT, 0.8),
  ],
)
def test_a_signal_while_jax_is_imported(place, command, sent, delay):
  code, err = _stopped_early(place, delay, sent, *command)
  assert code == 128 + sent, err
  assert err.startswith("stopped") and "Traceback" not in err


@pytest.mark.slow
def test_a_signal_at_any_moment_of_the_start(place):
  codes = {}
  for i in range(30):
    delay = 0.5 + 0.12 * i
    codes[delay], err = _stopped_early(place, delay, signal.SIGTERM, *TRAIN)
    assert "Traceback" not in err, (delay, err)
  assert set(codes.values()) == {128 + signal.SIGTERM}, codes


@pytest.mark.parametrize(
  "behaviour, told", [("collected", "Exception ignored in"), ("cleaning", "")]
)
def test_a_signal_is_not_lost_and_does_not_disturb_cleaning_up(
  place, behaviour, told
):
  process = start(
    place, "--config=config.py", f"--config.behaviour={behaviour}"
  )
  while process.stdout.readline() != "running\n":
    assert process.poll() is None
  process.send_signal(signal.SIGTERM)
  out, err = process.communicate(timeout=30)
  assert process.returncode == 143
  # Python says of what it has ignored.
  assert told in err
  assert err.endswith("stopped; the same command goes on from here\n")
  assert out == ("cleaned\n" if behaviour == "cleaning" else "")


# What a start imports when it needs it, and no sooner.
HEAVY = (
  "array_record",
  "grain",
  "matplotlib",
  "orbax",
  "ray",
  "rich",
  "sklearn",
  "tensorboardX",
  "tensorflow_datasets",
  "torch",
)


def _imported(code, names):
  """Which of some modules are there after code has run, and its CPU seconds."""
  script = (
    "import resource, sys\n"
    f"try:\n  {code}\n"
    f"finally: print([m for m in {names} if m in sys.modules], "
    "resource.getrusage(resource.RUSAGE_SELF).ru_utime)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", script], capture_output=True, text=True, timeout=100
  )
  assert done.stdout, done.stderr
  found, _, seconds = done.stdout.splitlines()[-1].rpartition(" ")
  return done, found, float(seconds)


def test_help_is_quick_and_imports_nothing_heavy():
  done, found, seconds = _imported(
    "import runpy; sys.argv = ['main', '--help']; "
    "runpy.run_module('fbnax.main', run_name='__main__')",
    (*HEAVY, "jax", "flax", "numpy"),
  )
  assert "--workdir" in done.stdout and "--config" in done.stdout
  assert found == "[]"
  assert seconds < 2  # Of processor time, so that other work does not count.


def test_jobs_import_nothing_heavy_before_they_run():
  done, found, _ = _imported(
    "import importlib, fbnax.jobs as jobs; "
    "[job.module for job in jobs.JOBS.values()]",
    [name for name in HEAVY if name != "rich"],  # Which Flax imports.
  )
  assert done.returncode == 0, done.stderr
  assert found == "[]"
