"""Ray as the place where tasks run: a cluster that is there, or one of our own.

Ray retries nothing by itself here (`tasks` counts),
gets no data but short texts, and keeps quiet: its signal handlers are taken off
again, and what its workers print stays in their logs.

A kind of workers is what a task asks for, in cores and GPUs. Workers of two
kinds share no process, since what JAX has begun with it keeps: the cores are
the threads that XLA takes (and by whose number it rounds), and without a GPU it
sees none.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from absl import logging as absl_logging

from fbnax.search.evaluators.tasks import Lost

_PATIENCE = 10.0  # Seconds, after which machines are counted again.
_OBJECTS = 100 * 2**20  # Bytes; texts need less, and Ray wants 75 MB.
_LONGEST = 400  # Characters of an error.
# Read by Ray as it is imported: it sends no statistics, leaves the GPUs of a
# task that asks for none alone (JAX is told), and says nothing of its growth.
_ENVIRONMENT = {
  "RAY_USAGE_STATS_ENABLED": "0",
  "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
  "RAY_SCHEDULER_EVENTS": "0",
}


class WorkerKind(NamedTuple):
  """What a task asks for.

  Attributes:
    cpus: cores, a whole number or below 1.
    gpus: likewise.
  """

  cpus: float = 1
  gpus: float = 0


class _Running(NamedTuple):
  reference: Any
  future: concurrent.futures.Future[str]


@dataclasses.dataclass(frozen=True)
class Cluster:
  """Ray, connected; `connected` makes it. It is a `tasks.Workers`.

  Attributes:
    ray: the module.
    functions: what runs on workers of each kind, as Ray has it.
    asked: what these ask for.
  """

  ray: Any
  functions: tuple[Any, ...]
  asked: tuple[WorkerKind, ...]

  @property
  def kinds(self) -> int:
    """How many kinds of workers there are."""
    return len(self.asked)

  def submit(self, text: str, name: str, kind: int) -> Any:
    """See `tasks.Workers`; the name is seen in `ps` and in Ray's dashboard."""
    reference = self.functions[kind].options(name=name).remote(text)
    return _Running(reference, reference.future())

  def wait(self, running: Sequence[Any]) -> list[tuple[Any, str | Lost]]:
    """See `tasks.Workers`.

    Raises:
      OSError: no machine of the cluster is left.
    """
    # Ray's own way of waiting forgets which signal has ended it.
    futures = {task.future: task for task in running}
    ended, _ = concurrent.futures.wait(
      futures, _PATIENCE, concurrent.futures.FIRST_COMPLETED
    )
    return [(futures[future], self._get(future)) for future in ended]

  def room(self, kind: int) -> int:
    """See `tasks.Workers`; what else runs there is not looked at."""
    cpus, gpus = self.asked[kind]
    total = 0
    for node in self._alive():
      there = node["Resources"]
      least = there.get("CPU", 0) / cpus
      if gpus:
        least = min(least, there.get("GPU", 0) / gpus)
      total += math.floor(least + 1e-6)
    return total

  def cancel(self, running: Collection[Any]) -> None:
    """See `tasks.Workers`."""
    for task in running:
      self.ray.cancel(task.reference, force=True)

  def _alive(self) -> list[dict[str, Any]]:
    return [node for node in self.ray.nodes() if node["Alive"]]

  def _get(self, ended: concurrent.futures.Future[str]) -> str | Lost:
    errors = self.ray.exceptions
    try:
      return ended.result()
    except (errors.NodeDiedError, errors.LocalRayletDiedError) as error:
      if not self._alive():
        raise OSError(
          "Ray has no machine left; the same command goes on from here"
        ) from error
      return Lost(_told(error), "machine")
    except (
      errors.RuntimeEnvSetupError,
      errors.TaskUnschedulableError,
    ) as error:
      return Lost(_told(error), "worker")
    except errors.RayError as error:
      return Lost(_told(error))


@contextmanager
def connected(
  run: Callable[[str], str],
  kinds: Sequence[WorkerKind],
  *,
  address: str = "",
  workers: int = 0,
) -> Iterator[Cluster]:
  """Reaches a Ray cluster, or starts one on this machine for a while.

  In a process that Ray is connected in already, that connection is used and
  left as it is.

  Args:
    run: what tasks run, from a request to an answer (`task_messages`).
    kinds: of workers, the best ones first.
    address: of a cluster (`host:port`), "auto" for the one that this machine
      belongs to, "" to start one.
    workers: tasks at a time where one is started; 0 for all cores.

  Yields:
    The cluster.

  Raises:
    ValueError: Ray is not installed, the cluster is not there or of another
      version, or the one that is started can run no task.
    OSError: none could be started.
  """
  ray = _imported()
  begun = not ray.is_initialized()
  if begun:
    with _signals_kept():
      _begin(ray, kinds, address, workers)
    # What Ray tells of lost workers, we do.
    vars(ray._private.worker)["_worker_logs_enabled"] = False
  try:
    functions = tuple(
      ray.remote(
        num_cpus=kind.cpus,
        num_gpus=kind.gpus,
        max_retries=0,
        runtime_env={"env_vars": _environment(kind)},
      )(run)
      for kind in kinds
    )
    cluster = Cluster(ray, functions, tuple(kinds))
    if not any(map(cluster.room, range(cluster.kinds))):
      asked = f"hold a task of {_asked(kinds)}"
      if not address:
        raise ValueError(f"Ray was started, but this machine cannot {asked}")
      absl_logging.warning("no machine of Ray's can %s yet; waiting", asked)
    yield cluster
  finally:
    if begun:
      with _signals_kept():
        ray.shutdown()


def _imported() -> Any:
  for name, value in _ENVIRONMENT.items():
    os.environ.setdefault(name, value)
  with _signals_kept():
    try:
      import ray  # Slow, and an extra.
    except ImportError as error:
      raise ValueError(
        f"Ray cannot be imported ({error}); pip install 'fbnax[ray]'"
      ) from error
  return ray


def _begin(
  ray: Any, kinds: Sequence[WorkerKind], address: str, workers: int
) -> None:
  options: dict[str, Any] = {"address": address or "local"}
  if not address:
    options |= {"include_dashboard": False, "object_store_memory": _OBJECTS}
    if workers:
      options["num_cpus"] = math.ceil(workers * max(k.cpus for k in kinds))
  try:
    with warnings.catch_warnings():
      # Of JAX's threads; what is forked runs another program at once.
      warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
      ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
  except (
    SystemExit
  ) as stop:  # Ray's handler, while it was in the place of ours.
    raise KeyboardInterrupt(128 + signal.SIGTERM) from stop
  except Exception as error:
    told = _told(error)
    if address:
      raise ValueError(f"Ray's cluster at {address!r}: {told}") from error
    raise OSError(f"Ray could not be started here: {told}") from error


def _environment(kind: WorkerKind) -> dict[str, str]:
  """Of the processes of a kind of workers."""
  variables = {
    "PJRT_NPROC": str(max(1, math.floor(kind.cpus))),
    # Several may share a GPU, with the driver as well.
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
  }
  if not kind.gpus:
    variables["JAX_PLATFORMS"] = "cpu"
  return variables


def _asked(kinds: Sequence[WorkerKind]) -> str:
  return " or of ".join(f"{k.cpus:g} CPUs and {k.gpus:g} GPUs" for k in kinds)


def _told(error: BaseException) -> str:
  """An error in a line; of one in a task, what was raised there."""
  cause = getattr(error, "cause", None)
  error = cause if isinstance(cause, BaseException) else error
  text = " ".join(str(error).split())
  if len(text) > _LONGEST:
    text = f"{text[:_LONGEST]}…"
  return f"{type(error).__name__}: {text}"


@contextmanager
def _signals_kept() -> Iterator[None]:
  """Puts back the handlers of signals that Ray replaces."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  numbers = (signal.SIGTERM, signal.SIGINT)
  kept = [signal.getsignal(number) for number in numbers]
  try:
    yield
  finally:
    for number, handler in zip(numbers, kept, strict=True):
      if handler is not None:  # One of C's, which Python cannot put back.
        signal.signal(number, handler)
