"""A round of made-up trainings on a Ray cluster, as a process of its own.

    python -m tests.faults.ray_driver FOLDER

`FOLDER/plan.json` has the number of `workers`, or the `address` of a cluster,
and ids of candidates that are `fatal`: they kill what trains them. Each
training leaves a file `started/ID-PID-NUMBER` and waits until there is a file
`go/ID` or `go/all`.
"""

import json
import os
import pathlib
import sys

# Of tests on a busy machine; Ray's default makes way for everything else.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112

from fbnax.jobs.runtime import compiling
from fbnax.training import stopping

CANDIDATES, SIZE, EPOCHS = 8, 2, 2


def train(text):
  """What a task runs; sent to it as it stands here."""
  import json
  import os
  import pathlib
  import signal
  import time

  request = json.loads(text)
  folder = pathlib.Path(request["folder"])
  fatal = json.loads((folder / "plan.json").read_text())["fatal"]
  # Leaving a trace takes no time, so that a kill finds all of a part's.
  for candidate in request["candidates"]:
    name = f"{candidate['id']}-{os.getpid()}-{time.monotonic_ns()}"
    (folder / "started" / name).touch()
  for candidate in request["candidates"]:
    if candidate["id"] in fatal:
      os.kill(os.getpid(), signal.SIGKILL)
    files = (folder / "go" / str(candidate["id"]), folder / "go" / "all")
    while not any(file.exists() for file in files):
      time.sleep(0.02)
  outcomes = [
    {
      "id": c["id"],
      "curve": [0.5, (c["id"] + sum(c["genotype"])) / 100],
      "log_loss": 1 / (1 + c["id"]),
      "seconds": 0.0,
      "error": None,
      "losses": [1.0, c["seed"] % 97 / 97],
    }
    for c in request["candidates"]
  ]
  return json.dumps({"outcomes": outcomes})


def plan():
  """The round as a search plans it."""
  return [
    {"id": i, "genotype": [0, i % 2, i % 3, 0], "predicted": None}
    for i in range(CANDIDATES)
  ]


def main(folder):
  """Evaluates the round, or what is left of it."""
  from fbnax.search.evaluators import ray_cluster, tasks
  from fbnax.search.nars import planning
  from fbnax.search.nars import rounds as nars
  from fbnax.search.trials import open_store
  from fbnax.training.progress import open_progress
  from tests.search.evaluators_test import SPACE, K

  where = json.loads((folder / "plan.json").read_text())
  del where["fatal"]
  options = planning.NarsSizes(
    pool=100,
    rounds=1,
    candidates=CANDIDATES,
    epochs=EPOCHS,
    correlation=0.9,
    macs=(0, 1e12),
    predictors=1,
    seed=3,
  )

  def connect():
    return ray_cluster.connected(train, [ray_cluster.WorkerKind()], **where)

  with (
    open_progress() as progress,
    open_store(folder / "trials.sqlite") as store,
    tasks.by_tasks(
      SPACE, SIZE, connect, more={"folder": str(folder)}
    ) as train_,
  ):
    nars._run(SPACE, K, train_, store, options, progress, 1, plan(), EPOCHS)


if __name__ == "__main__":
  stopping.listen()
  compiling.prepare()
  try:
    main(pathlib.Path(sys.argv[1]).absolute())
    code = 0
  except KeyboardInterrupt as stop:
    stopping.heard()
    code = stop.args[0]
  stopping.leave(code)
