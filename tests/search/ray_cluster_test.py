"""How Ray is spoken to, with a module in its place that starts nothing."""

import concurrent.futures
import os
import signal
import sys
import types

import pytest

from fbnax.search.evaluators import ray_cluster
from fbnax.search.evaluators.ray_cluster import WorkerKind
from fbnax.search.evaluators.tasks import Lost


class RayError(Exception):
  pass


class TaskError(RayError):
  """As Ray tells of what was raised in a task."""

  def __init__(self, cause):
    super().__init__("ray::trial 3() (pid=1)\n  File ...")
    self.cause = cause


_KINDS = ("NodeDied", "LocalRayletDied", "RuntimeEnvSetup", "TaskUnschedulable")
_ERRORS = {
  f"{name}Error": type(f"{name}Error", (RayError,), {}) for name in _KINDS
}


def _node(cpus, gpus=0, alive=True):
  resources = {"CPU": cpus, "memory": 1e9} | ({"GPU": gpus} if gpus else {})
  return {"Alive": alive, "Resources": resources}


def _handler(*_):
  pass


class Reference:
  """Of a task that has ended; `of` is what it gave, or raised."""

  def __init__(self, of):
    self.of = of

  def future(self):
    found = concurrent.futures.Future()
    if isinstance(self.of, Exception):
      found.set_exception(self.of)
    else:
      found.set_result(self.of)
    return found


class FakeRay(types.ModuleType):
  """Ray with so many nodes; a task is what it would give, or raise."""

  def __init__(self, nodes, begun=False, fails=None):
    super().__init__("ray")
    self._nodes, self._begun, self._fails = nodes, begun, fails
    self.exceptions = types.SimpleNamespace(RayError=RayError, **_ERRORS)
    self._private = types.SimpleNamespace(worker=types.ModuleType("worker"))
    self.calls, self.options, self.names = [], [], []
    self.cancelled, self.shut = [], 0

  def is_initialized(self):
    return self._begun

  def init(self, **options):
    self.calls.append(options)
    signal.signal(signal.SIGTERM, _handler)  # As Ray does.
    if self._fails:
      raise self._fails

  def shutdown(self):
    self.shut += 1

  def nodes(self):
    return self._nodes

  def remote(self, **options):
    def of(run):
      def named(name):
        self.names.append(name)
        return types.SimpleNamespace(remote=lambda text: Reference(run(text)))

      self.options.append(options)
      return types.SimpleNamespace(options=named)

    return of

  def cancel(self, reference, force):
    self.cancelled.append((reference.of, force))


@pytest.fixture
def fake(monkeypatch):
  """Puts a module in Ray's place."""
  kept = dict(os.environ)

  def make(*arguments, **options):
    found = FakeRay(*arguments, **options)
    monkeypatch.setitem(sys.modules, "ray", found)
    return found

  yield make
  for name in set(os.environ) - set(kept):
    del os.environ[name]


CPU, GPU = WorkerKind(2, 0), WorkerKind(1, 0.5)


def test_a_cluster_of_our_own(fake):
  ray = fake([_node(8, 1)])
  before = signal.getsignal(signal.SIGTERM)
  with ray_cluster.connected(str.upper, [GPU, CPU], workers=3) as cluster:
    # Ray's handler has made way for ours.
    assert signal.getsignal(signal.SIGTERM) is before
    assert cluster.kinds == 2
    task = cluster.submit("text", "trial 3", 1)
    assert ray.names == ["trial 3"]
    assert cluster.wait([task]) == [(task, "TEXT")]
    cluster.cancel([task])
    assert ray.cancelled == [("TEXT", True)]
  assert ray.shut == 1
  (call,) = ray.calls
  assert (call["address"], call["num_cpus"]) == ("local", 6)
  assert not call["log_to_driver"] and not call["include_dashboard"]
  gpu, cpu = ray.options
  assert (gpu["num_cpus"], gpu["num_gpus"], gpu["max_retries"]) == (1, 0.5, 0)
  environments = [o["runtime_env"]["env_vars"] for o in (gpu, cpu)]
  assert "JAX_PLATFORMS" not in environments[0]
  assert environments[1]["JAX_PLATFORMS"] == "cpu"
  assert [e["PJRT_NPROC"] for e in environments] == ["1", "2"]


def test_a_cluster_that_is_there(fake):
  ray = fake([_node(1)])
  with ray_cluster.connected(str, [CPU], address="head:6379") as cluster:
    # It may grow, so that it is waited for.
    assert cluster.room(0) == 0
  (call,) = ray.calls
  assert call["address"] == "head:6379"
  assert "num_cpus" not in call and "include_dashboard" not in call


def test_a_connection_of_somebody_elses(fake):
  ray = fake([_node(4)], begun=True)
  with ray_cluster.connected(str, [CPU]):
    pass
  assert ray.calls == [] and ray.shut == 0


@pytest.mark.parametrize(
  "kind, room",
  [
    (WorkerKind(1, 0), 4 + 8),
    (WorkerKind(3, 0), 1 + 2),
    (WorkerKind(0.1, 0), 40 + 80),
    (WorkerKind(1, 1), 2),
    (WorkerKind(1, 0.5), 4),
    (WorkerKind(8, 0.1), 1),
    (WorkerKind(16, 0), 0),
  ],
)
def test_room(kind, room):
  ray = FakeRay([_node(4), _node(8, 2), _node(64, 8, alive=False)])
  assert ray_cluster.Cluster(ray, (None,), (kind,)).room(0) == room


def _ended(ray, error):
  """What is told of a task that ended with an error."""
  function = ray.remote()(lambda _: error)
  cluster = ray_cluster.Cluster(ray, (function,), (CPU,))
  task = cluster.submit("", "trial 0", 0)
  ((same, found),) = cluster.wait([task])
  assert same is task
  return found


@pytest.mark.parametrize(
  "error, lost",
  [
    (RayError("gone\n  at once"), Lost("RayError: gone at once", "candidates")),
    (TaskError(ValueError("bad")), Lost("ValueError: bad", "candidates")),
    (_ERRORS["NodeDiedError"]("n"), Lost("NodeDiedError: n", "machine")),
    (
      _ERRORS["RuntimeEnvSetupError"]("e"),
      Lost("RuntimeEnvSetupError: e", "worker"),
    ),
  ],
)
def test_what_became_of_a_task(error, lost):
  assert _ended(FakeRay([_node(4)]), error) == lost


def test_a_cluster_that_is_gone_is_no_loss_of_a_task():
  ray = FakeRay([_node(4, alive=False)])
  with pytest.raises(OSError, match="no machine left"):
    _ended(ray, _ERRORS["LocalRayletDiedError"]("l"))


@pytest.mark.parametrize(
  "address, fails, error, message",
  [
    ("", RuntimeError("no disk"), OSError, "started here: RuntimeError: no"),
    ("auto", ConnectionError("none"), ValueError, "'auto': ConnectionError"),
    ("", SystemExit(1), KeyboardInterrupt, str(128 + signal.SIGTERM)),
    (
      "",
      None,
      ValueError,
      "cannot hold a task of 1 CPUs and 0.5",
    ),
  ],
)
def test_what_can_go_wrong_at_the_start(fake, address, fails, error, message):
  ray = fake([_node(8)], fails=fails)
  before = signal.getsignal(signal.SIGTERM)
  with (
    pytest.raises(error, match=message),
    ray_cluster.connected(str, [GPU], address=address),
  ):
    pass
  assert signal.getsignal(signal.SIGTERM) is before
  assert ray.shut == (fails is None)


def test_without_ray(monkeypatch):
  monkeypatch.setitem(sys.modules, "ray", None)
  with (
    pytest.raises(ValueError, match=r"pip install 'fbnax\[ray\]'"),
    ray_cluster.connected(str, [CPU]),
  ):
    pass
