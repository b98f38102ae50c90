"""What a task of the Ray evaluator runs in its worker's process.

The worker builds what the driver would train with on one machine (data set,
splits, space) from the config, once, and trains its part. Nothing here imports
JAX before the worker has set what JAX reads.
"""

from __future__ import annotations

import functools
import json
import os
import socket
from typing import Any

from fbnax import __version__
from fbnax.jobs.runtime import compiling


def evaluate(text: str) -> str:
  """Answers a request (`fbnax.search.evaluators.task_messages`).

  Besides, it has `config`, JSON of the run's config, `directory`, that of the
  driver, which paths in the config start from, and `version` of fbnax.
  """
  compiling.prepare()
  from fbnax.search.evaluators import task_messages  # They import JAX.
  from fbnax.search.evaluators.local import planned

  request = json.loads(text)
  try:
    space, trainer = _trainer(
      request["config"], request["directory"], request["version"]
    )
  except Exception as error:
    where = socket.gethostname()
    reason = f"on {where}: {type(error).__name__}: {error}"
    return task_messages.refusal(reason)
  part = task_messages.group(request)
  evaluator = planned(space, trainer, lambda *_: [part])
  ended = evaluator(part.candidates, request["epochs"], lambda _: None)
  return task_messages.answer([o for outcomes in ended for o in outcomes])


@functools.lru_cache(maxsize=1)
def _trainer(config_json: str, directory: str, version: str) -> Any:
  """The space, and what trains here, built once in a process."""
  from ml_collections import config_dict

  from fbnax.jobs.nars import evaluating, members, supernet
  from fbnax.jobs.runtime import configs, inputs

  if version != __version__:
    raise ValueError(
      f"fbnax is {__version__} there and {version} in the driver; legal: one"
      " version on all machines"
    )
  if os.path.isdir(directory):
    os.chdir(directory)
  config = configs.typed(config_dict.ConfigDict(json.loads(config_json)))
  dataset = inputs.dataset(config)
  train, validation = members.search_split(config, dataset)
  network = supernet.read(config, dataset)
  space = supernet.space_of(config, dataset, network)
  return space, evaluating.trainer(config, space, dataset, train, validation)
