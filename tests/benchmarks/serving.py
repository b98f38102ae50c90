"""`fbnax serve` under load: 1,000 requests of 16 clients, 5% of them malformed.

  python -m tests.benchmarks.serving [--json=FILE] [--quick]

The command runs as a process of its own, on the loopback, with `fbnetv3_a` at
96 pixels (random weights, a tree over ten classes). A client sends JPEG files
of 640 x 480 pixels, one after the other over one connection; every 20th request
is one of six that no server can answer. It fails where an image is not answered
with what `fbnax predict` says of it, or a malformed request with anything but a
4xx and a reason. What is measured is the time from the request to the answer,
as a client sees it; the clients share the machine's cores. Needs the extra
`serve`.

On two cores (Xeon) under a load of 3.3 to 4.7 of other work: median 141 ms,
99th percentile 259 ms, 108 requests a second, a malformed one 2.7 ms; none
failed.
"""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from fbnax import models, nbdt
from fbnax.jobs.runtime import predicting
from fbnax.spaces import zoo
from fbnax.training import model_files
from fbnax.training.recipes import Settings
from tests.benchmarks import measuring

CLIENTS, REQUESTS, EVERY = 16, 1_000, 20
_SIDE, _CLASSES, _IMAGES = 96, 10, 8
_MEGABYTES = 1
# What is malformed: path, body, headers, and the status that it gets.
MALFORMED: tuple[tuple[str, bytes, dict[str, str], int], ...] = (
  ("/predict", b"no image", {}, 400),
  ("/predict", b"", {}, 400),
  ("/predict", b"\x89PNG\r\n\x1a\n" + bytes(100), {}, 400),
  ("/predict?top=none", b"x", {}, 400),
  ("/predict", bytes(_MEGABYTES * 10**6 + 1), {}, 413),
  ("/predict", b"--x--", {"Content-Type": "multipart/form-data"}, 415),
)


@dataclasses.dataclass(frozen=True)
class Reply:
  """Of a request: seconds, whether it was malformed, and what went wrong."""

  seconds: float
  malformed: bool
  wrong: str


def save_model(path: Path) -> None:
  """The network of random weights, and a tree over its classes."""
  network = dataclasses.replace(zoo.get("fbnetv3_a"), resolution=_SIDE)
  module = models.Network(network, _CLASSES)
  shape = (1, _SIDE, _SIDE, 3)
  variables = jax.jit(lambda k: module.init(k, jnp.zeros(shape), train=False))(
    jax.random.key(0)
  )
  names = tuple(f"class {i}" for i in range(_CLASSES))
  settings = Settings(1, 1, _SIDE, (0.5,) * 3, (0.25,) * 3)
  model_files.save(path, network, variables, settings, names)
  weights = np.random.default_rng(0).standard_normal((_CLASSES, 16))
  nbdt.induce(weights).save(path / predicting.HIERARCHY)


def images() -> list[bytes]:
  """JPEG files of smooth noise."""
  rng = np.random.default_rng(1)
  made = []
  for _ in range(_IMAGES):
    noise = rng.integers(0, 256, (12, 16, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).resize((640, 480)).save(content, "JPEG")
    made.append(content.getvalue())
  return made


def client(
  address: tuple[str, int],
  numbers: range,
  files: list[bytes],
  expected: list[tuple[tuple[str, float], ...]],
  replies: list[Reply],
) -> None:
  """Sends its requests one after the other; adds what it got."""
  connection = http.client.HTTPConnection(*address, timeout=60)
  for number in numbers:
    bad = number % EVERY == 0
    path, body, headers, status = "/predict", files[number % _IMAGES], {}, 200
    if bad:
      path, body, headers, status = MALFORMED[number // EVERY % len(MALFORMED)]
    begun = time.perf_counter()
    try:
      connection.request("POST", path, body, headers)
      got = connection.getresponse()
      answer = json.loads(got.read())
      wrong = "" if got.status == status else f"{path}: {got.status} {answer}"
      if bad:
        wrong = wrong or ("" if answer.get("error") else "no reason")
      elif not wrong:
        wrong = _difference(answer, expected[number % _IMAGES])
    except (OSError, http.client.HTTPException, ValueError) as error:
      wrong = f"{path}: {error!r}"
      connection.close()
    replies.append(Reply(time.perf_counter() - begun, bad, wrong))
  connection.close()


def _difference(
  answer: dict[str, Any], expected: tuple[tuple[str, float], ...]
) -> str:
  found = [(c["name"], c["probability"]) for c in answer["classes"]]
  same = [n for n, _ in found] == [n for n, _ in expected]
  if same and np.allclose([p for _, p in found], [p for _, p in expected]):
    return "" if answer["path"] else "no path"
  return f"{found} in place of {expected}"


def load(
  address: tuple[str, int], count: int, model: Path
) -> tuple[float, list[Reply]]:
  """Seconds that all requests took, and what the clients got."""
  files = images()
  opened = predicting.open_model(model)
  expected = []
  for file in files:
    image, notes = opened.seen(file, "the image")
    expected.append(opened.prediction(image, notes, path="x", top=5).classes)
  replies: list[Reply] = []
  threads = [
    threading.Thread(
      target=client,
      args=(address, range(i, count, CLIENTS), files, expected, replies),
    )
    for i in range(CLIENTS)
  ]
  begun = time.perf_counter()
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return time.perf_counter() - begun, replies


def run(given: Any) -> Iterator[measuring.Row]:
  """Serves a model and asks it.

  Raises:
    AssertionError: an answer is not what it must be.
  """
  count = 100 if given.quick else REQUESTS
  with tempfile.TemporaryDirectory() as folder:
    model = Path(folder) / "model"
    save_model(model)
    command = [sys.executable, "-m", "fbnax.commands", "serve", str(model)]
    flags = ["--port=0", f"--megabytes={_MEGABYTES}", "--seconds=60"]
    with subprocess.Popen(
      [*command, *flags], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
      try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://([\d.]+):(\d+)", line)
        assert found, line
        seconds, replies = load((found[1], int(found[2])), count, model)
      finally:
        process.terminate()
  wrong = [r.wrong for r in replies if r.wrong]
  assert len(replies) == count and not wrong, wrong[:5]
  yield from _rows(seconds, replies)


def _rows(seconds: float, replies: list[Reply]) -> Iterator[measuring.Row]:
  good = sorted(r.seconds for r in replies if not r.malformed)
  bad = sorted(r.seconds for r in replies if r.malformed)
  lower, _, upper = statistics.quantiles(good, n=4)
  note = f"{CLIENTS} clients, {len(bad)} of {len(replies)} malformed"
  yield measuring.Row(
    "answer of `fbnax serve`, an image of 640 x 480",
    statistics.median(good),
    "s",
    lower,
    upper,
    notes=f"{note}; none failed",
    main=True,
  )
  yield measuring.Row(
    "its 99th percentile", good[int(0.99 * (len(good) - 1))], "s", main=True
  )
  yield measuring.Row("a malformed request", statistics.median(bad), "s")
  yield measuring.Row("requests", len(replies) / seconds, "requests/s")


if __name__ == "__main__":
  measuring.main(run, __doc__)
