"""Jobs in two processes of four made-up devices each, over loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from fbnax.spaces import Architecture, Block, Head, Stem
from tests.faults import kills

PROCESSES, DEVICES = 2, 4
TINY = Architecture(
  resolution=8,
  stem=Stem(channels=8, stride=1),
  blocks=(Block(channels=12, stage=1, expansion=2.0, stride=2),),
  head=Head(channels=16, expansion=0.0),
  input_channels=1,
)
TIMEOUT = 600  # Seconds; a job takes a tenth of it.


def jobs(folder):
  """What each job is started with, tiny; mesh apart."""
  path = Path(folder) / "tiny.json"
  path.write_text(TINY.to_json(), "utf-8")
  return {
    "train": (
      "train.py",
      [
        f"--config.architecture={path}",
        "--config.resolution=8",
        "--config.data.max_images=300",
        "--config.training.epochs=3",
        "--config.training.checkpoint_every=1",
        "--config.training.warmup_epochs=0.0",
        "--config.training.batch_size=32",
        "--config.recipe.learning_rate=1.0",
      ],
    ),
    **kills.JOBS,
  }


MESHES = {
  "train": ["--config.mesh.data=8"],
  "dnas": ["--config.mesh.data=8"],
  "nars": ["--config.mesh.data=4", "--config.mesh.population=2"],
}


def start_one(job, workdir, devices, *flags):
  """Starts a job in one process of so many devices."""
  file, given = job
  environment = os.environ | {
    "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"
  }
  return subprocess.Popen(
    [
      sys.executable,
      "-m",
      "fbnax.main",
      f"--config={kills.ROOT}/configs/{file}",
      f"--workdir={workdir}",
      *given,
      *flags,
    ],
    cwd=kills.ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def alone(job, workdir, devices, *flags):
  """Runs a job to its end in one process."""
  process = start_one(job, workdir, devices, *flags)
  said, _ = process.communicate(timeout=TIMEOUT)
  assert process.returncode == 0, said[-2000:]


def start(job, workdir, *flags):
  """Starts a job in two processes."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  return [
    start_one(
      job,
      workdir,
      DEVICES,
      *flags,
      f"--distributed=127.0.0.1:{port}/{i}/{PROCESSES}",
    )
    for i in range(PROCESSES)
  ]


def finish(processes):
  """Waits for all; exit codes and what each said."""
  ended = [p.communicate(timeout=TIMEOUT)[0] for p in processes]
  return [p.returncode for p in processes], ended


def together(job, workdir, *flags):
  """Runs a job to its end in two processes; what each said."""
  codes, said = finish(start(job, workdir, *flags))
  assert codes == [0] * PROCESSES, "\n".join(s[-2000:] for s in said)
  return said


def interrupt(processes, workdir, number, which):
  """Sends a signal to some of the processes once a checkpoint is there.

  Returns:
    Exit codes, and what each said.
  """
  begin = time.monotonic()
  while not any(Path(workdir).glob("checkpoints/*/0*")):
    assert all(p.poll() is None for p in processes), finish(processes)
    assert time.monotonic() - begin < TIMEOUT
    time.sleep(0.02)
  for index in which:
    with contextlib.suppress(ProcessLookupError):
      processes[index].send_signal(number)
  if number == signal.SIGKILL:
    for process in processes:  # Those that it left alone too, if any.
      process.wait(TIMEOUT)
  return finish(processes)
