"""Rounds on a Ray cluster whose workers, and whose driver, are killed.

    python -m pytest -n 0 -m slow -s tests/faults/ray_test.py

runs the job nars on four workers, kills two of them in a round, and its driver
at random moments (`FBNAX_KILLS=4`), and compares the results with those of
training in one process. What runs by default trains nothing.
"""

import collections
import contextlib
import importlib.util
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from fbnax.search.trials import open_store
from tests.faults import kills, ray_driver
from tests.jobs import nars_test

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec("ray") is None,
  reason="Ray is not installed (extra ray)",
)
COUNT = int(os.environ.get("FBNAX_KILLS", "4"))
SEED = int(os.environ.get("FBNAX_KILLS_SEED", "0"))
LONG = 120.0  # Seconds; on a busy machine Ray takes a while to start.
# Of XLA, in the driver as in a worker of one core: it rounds by their number.
THREADS = ("PJRT_NPROC", "1")
ON_RAY = ("--config.evaluator=ray", "--config.ray.workers=4")


@pytest.fixture
def folder(tmp_path):
  for name in ("started", "go"):
    (tmp_path / name).mkdir()
  return tmp_path


def _start(folder, fatal=(), **where):
  (folder / "plan.json").write_text(json.dumps({"fatal": fatal, **where}))
  with open(folder / "log", "a") as log:
    return subprocess.Popen(
      [sys.executable, "-m", "tests.faults.ray_driver", folder],
      cwd=kills.ROOT,
      stdout=log,
      stderr=log,
    )


def _until(holds, folder, process=None):
  """Waits until something holds, while the process runs."""
  end = time.monotonic() + LONG
  while not holds():
    runs = process is None or process.poll() is None
    assert runs and time.monotonic() < end, _log(folder)
    time.sleep(0.05)


def _log(folder):
  return (folder / "log").read_text()[-3000:]


def _started(folder):
  """Processes that have begun to train a candidate, by its id, in order."""
  found = collections.defaultdict(list)
  names = [path.name.split("-") for path in (folder / "started").iterdir()]
  for i, pid, _ in sorted(names, key=lambda name: int(name[2])):
    found[int(i)].append(int(pid))
  return found


def _trials(folder):
  with open_store(folder / "trials.sqlite") as store:
    return {trial.id: trial for trial in store.all()}


def _recorded(folder):
  path = folder / "trials.sqlite"
  return kills.trials(folder) if path.exists() else {}


def _parents():
  """Of all processes that are not dead, by their ids."""
  found = {}
  for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
    with contextlib.suppress(OSError):
      state, parent = path.read_text().rpartition(")")[2].split()[:2]
      if state not in "ZX":
        found[int(path.parent.name)] = int(parent)
  return found


def _below(pid):
  """Processes that a process has started, and those that they have."""
  parents = _parents()
  found = {pid}
  while more := {p for p, parent in parents.items() if parent in found} - found:
    found |= more
  return found - {pid}


def _wanted(i):
  """Curve and losses of a candidate of `ray_driver`."""
  genotype = ray_driver.plan()[i]["genotype"]
  seed = (3 * 1_000_003 + i) % 2**32  # As nars gives them.
  return (0.5, (i + sum(genotype)) / 100), (1.0, seed % 97 / 97)


def test_workers_are_killed_in_a_round(folder):
  """Two by somebody else, and one again and again by its own candidate."""
  fatal = 7
  process = _start(folder, [fatal], workers=4)
  waiting = {0, 2, 4}  # One of each part that waits for leave to end.
  _until(lambda: waiting <= set(_started(folder)), folder, process)
  killed = [_started(folder)[i][0] for i in (0, 4)]
  assert len(set(killed)) == 2
  for pid in killed:
    os.kill(pid, signal.SIGKILL)
  (folder / "go" / "all").touch()
  assert process.wait(LONG) == 0, _log(folder)
  trials = _trials(folder)
  assert sorted(trials) == list(range(ray_driver.CANDIDATES))
  failed = trials.pop(fatal)
  assert failed.status == "failed" and failed.accuracy is None
  assert failed.error.startswith("lost 3 times, at last: WorkerCrashedError")
  for i, trial in trials.items():
    assert (trial.status, trial.error) == ("done", None)
    assert (trial.curve, trial.losses) == _wanted(i)
  started = {i: len(pids) for i, pids in _started(folder).items()}
  assert started == {0: 2, 1: 2, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, fatal: 3}
  log = (folder / "log").read_text()
  assert "trials 0, 1: lost (1 of 3 attempts)" in log
  assert "(raylet)" not in log and "os.fork" not in log
  assert "16 of 16" in log  # Epochs: progress has come to its end.


def test_the_driver_is_killed_and_started_again(folder):
  for i in range(4):
    (folder / "go" / str(i)).touch()
  process = _start(folder, workers=2)
  _until(lambda: len(_recorded(folder)) == 4, folder, process)
  first = _recorded(folder)
  _until(lambda: 4 in _started(folder), folder, process)
  training = {pids[0] for pids in _started(folder).values()}
  assert training <= _below(process.pid)
  process.kill()
  process.wait()
  # Ray's own two agents, which take no time, are there for a minute.
  _until(lambda: not training & set(_parents()), folder)
  for i in (4, 5):
    (folder / "go" / str(i)).touch()
  process = _start(folder, workers=2)
  _until(lambda: len(_recorded(folder)) == 6, folder, process)
  everything = _below(process.pid)
  begin = time.monotonic()
  process.send_signal(signal.SIGTERM)
  assert process.wait(LONG) == 128 + signal.SIGTERM
  assert time.monotonic() - begin < 15
  _until(lambda: not everything & set(_parents()), folder)
  assert {i: r for i, r in _recorded(folder).items() if i < 4} == first
  started = _started(folder)
  assert all(len(started[i]) == 1 for i in range(4))
  assert len(started[4]) == 2
  trials = _trials(folder)
  assert sorted(trials) == list(range(6))
  assert all((t.curve, t.losses) == _wanted(i) for i, t in trials.items())


# Two machines of two cores, of which one is lost as soon as it is told.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(
  initialize_head=True,
  head_node_args={"num_cpus": 2, "include_dashboard": False},
)
node = cluster.add_node(num_cpus=2)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_machine_of_a_cluster_is_lost(folder):
  cluster = subprocess.Popen(
    [sys.executable, "-c", CLUSTER],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
  )
  address = cluster.stdout.readline().strip()
  process = _start(folder, address=address)
  _until(lambda: {0, 2, 4, 6} <= set(_started(folder)), folder, process)
  cluster.stdin.write("\n")
  cluster.stdin.flush()
  _until(lambda: _log(folder).count("lost (1 of 3") == 2, folder, process)
  (folder / "go" / "all").touch()
  assert process.wait(LONG) == 0, _log(folder)
  # A cluster that was there stays there.
  assert cluster.poll() is None
  cluster.communicate("\n", timeout=LONG)
  assert _log(folder).count("NodeDiedError") == 2
  trials = _trials(folder)
  assert sorted(trials) == list(range(ray_driver.CANDIDATES))
  assert all((t.curve, t.losses) == _wanted(i) for i, t in trials.items())
  # Two of the four parts, as they were.
  started = [len(_started(folder)[i]) for i in range(ray_driver.CANDIDATES)]
  assert started[::2] == started[1::2]
  assert sorted(started[::2]) == [1, 1, 2, 2]


def _tasks(pid):
  """Workers of a driver that are training: Ray names them so."""
  found = []
  for worker in _below(pid):
    with contextlib.suppress(OSError):
      name = pathlib.Path(f"/proc/{worker}/cmdline").read_bytes()
      if name.startswith(b"ray::trial"):
        found.append(worker)
  return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
  """A run that trains in one process; its result, but for the config."""
  workdir = tmp_path_factory.mktemp("here")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv(*THREADS)
    kills.finish("nars", workdir)
  return _result(workdir)


def _result(workdir):
  found = kills.result(workdir)
  del found["config"]
  return found


@pytest.fixture
def on_ray(monkeypatch):
  monkeypatch.setitem(
    kills.JOBS, "ray", ("nars.py", [*nars_test.SMALL, *ON_RAY])
  )
  monkeypatch.setenv("RAY_worker_niceness", "0")
  monkeypatch.setenv(*THREADS)


@pytest.mark.slow
def test_workers_of_a_search_are_killed(undisturbed, on_ray, tmp_path):
  process = kills.start("ray", tmp_path / "work")
  killed = []
  while len(killed) < 2 and process.poll() is None:
    for pid in _tasks(process.pid)[: 2 - len(killed)]:
      os.kill(pid, signal.SIGKILL)
      killed.append(pid)
    time.sleep(0.1)
  _, said = process.communicate()
  assert process.returncode == 0, said[-3000:]
  assert len(killed) == 2
  assert said.count("lost (") == 2
  assert _result(tmp_path / "work") == undisturbed


@pytest.mark.slow
def test_the_driver_of_a_search_is_killed(undisturbed, on_ray, tmp_path):
  seconds = kills.finish("ray", tmp_path / "once")
  assert _result(tmp_path / "once") == undisturbed
  print(f"\nseed {SEED}, undisturbed in {seconds:.1f} s")
  found = []
  number = 0
  while len(found) < COUNT:
    number += 1
    workdir = tmp_path / f"chain{number}"
    drawn = random.Random(f"ray {SEED} {number}")
    now = kills.chain("ray", workdir, drawn, seconds, COUNT - len(found))
    for kill in now:
      print(f"chain {number}: {kill}", flush=True)
    assert _result(workdir) == undisturbed, f"chain {number}"
    found += now
