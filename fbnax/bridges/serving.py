"""A trained network as a small server: `fbnax serve MODEL`.

    curl --data-binary @holiday.jpg 'http://127.0.0.1:8000/predict?top=3'

answers a `POST` of an image's file with JSON: `classes`, the likeliest first,
each with its `name` and `probability`; `path`, the decisions of the model's
tree (`node`, the probability `reached` before it, `chosen`, `probability` and
all `options`), empty without one; `decision`, by the threshold of the model's
card; and `notes` on how the image was converted. With `tree=1` a drawing of
the tree is among it, as `<svg>`. `GET /` is a page to drop a picture on, `GET
/model` says what the model is.

What cannot be answered is told as `{"error": reason}`: 400 for what is no image
or no legal `top`, 413 for more bytes or pixels than allowed, 415 for a form in
place of a file, 408 for a body that comes too slowly, 503 where the answer
takes too long. Images are decoded and looked at in threads of their own, so a
slow one holds up nobody who only sends.

It is meant for a machine's own user, or to stand behind a server that knows who
may ask: it has no accounts and no encryption. Starlette and uvicorn are the
extra `serve`.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import errno
import hashlib
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fbnax.base import extras
from fbnax.data import decoding
from fbnax.jobs.runtime import predicting

PAGE = Path(__file__).with_name("serving_page.html")
_NEEDED_BY = "fbnax serve"
# Times the legal size of a body that is read, and forgotten, before it is
# refused: many clients read no answer before they have sent all.
_DRAINED = 10
_HEADERS = {"x-content-type-options": "nosniff"}


@dataclasses.dataclass(frozen=True)
class ServingLimits:
  """How much a request may ask for.

  Attributes:
    megabytes: most of an image's file, 10**6 bytes.
    megapixels: most of an image, 10**6 pixels.
    seconds: most that a body may take to arrive, and an answer to be made.
    threads: images that are looked at at a time.

  Raises:
    ValueError: one is not above 0.
  """

  megabytes: float = 20.0
  megapixels: float = 50.0
  seconds: float = 10.0
  threads: int = 2

  def __post_init__(self) -> None:
    """Refuses limits that nothing meets."""
    for name, value in dataclasses.asdict(self).items():
      if not value > 0:
        raise ValueError(f"{name} is {value}; legal: above 0")


class RefusedError(Exception):
  """A request that is not answered: the status, and why."""

  def __init__(self, status: int, reason: str):
    super().__init__(reason)
    self.status = status


def application(
  predictor: predicting.ReadyModel, limits: ServingLimits | None = None
) -> Any:
  """The server as an ASGI application, for any server of these.

  Args:
    predictor: of `predicting.open_model`.
    limits: on requests; None for the default ones.

  Raises:
    ValueError: Starlette is not installed.
  """
  extras.load("starlette", "serve", _NEEDED_BY)
  from starlette import applications, exceptions, responses, routing

  limits = limits or ServingLimits()
  # Of this application alone: others must not wait for its images.
  pool = ThreadPoolExecutor(limits.threads, "fbnax-serve")
  facts = _facts(predictor, limits)
  page = PAGE.read_text("utf-8")
  policy = {"content-security-policy": _policy(page)}

  async def predict(request: Any) -> Any:
    top, tree = _wanted(request.query_params)
    content = await _body(request, limits)
    work = asyncio.get_running_loop().run_in_executor(
      pool, _answer, predictor, content, top, tree, limits
    )
    try:
      answer = await asyncio.wait_for(work, limits.seconds)
    except TimeoutError:
      raise RefusedError(
        503, f"the answer takes more than {limits.seconds:g} s; try again later"
      ) from None
    return responses.JSONResponse(answer, headers=_HEADERS)

  async def model(_: Any) -> Any:
    return responses.JSONResponse(facts, headers=_HEADERS)

  async def index(_: Any) -> Any:
    return responses.HTMLResponse(page, headers={**_HEADERS, **policy})

  async def refused(_: Any, error: Any) -> Any:
    is_ours = isinstance(error, RefusedError)
    return responses.JSONResponse(
      {"error": str(error) if is_ours else error.detail},
      error.status if is_ours else error.status_code,
      {**_HEADERS, **(getattr(error, "headers", None) or {})},
    )

  return applications.Starlette(
    routes=[
      routing.Route("/", index, methods=["GET"]),
      routing.Route("/model", model, methods=["GET"]),
      routing.Route("/predict", predict, methods=["POST"]),
    ],
    exception_handlers={
      RefusedError: refused,
      exceptions.HTTPException: refused,
    },
  )


def serve(
  model: str | Path,
  *,
  host: str = "127.0.0.1",
  port: int = 8000,
  limits: ServingLimits | None = None,
  told: Callable[[str], None] = print,
) -> None:
  """Serves a model until the process is stopped.

  Args:
    model: its directory.
    host: the address to listen at; `0.0.0.0` for all of this machine's.
    port: likewise; 0 for one that is free.
    limits: on requests.
    told: is given the address in a sentence when requests are answered.

  Raises:
    ValueError: there is no such model, the port is in use or none, or a package
      of the extra is not installed.
    OSError: the address cannot be listened at.
  """
  uvicorn = extras.load("uvicorn", "serve", _NEEDED_BY)
  # Before the model is read, which takes seconds.
  with listening(host, port) as listener:
    predictor = predicting.open_model(model)
    app = application(predictor, limits)
    _warm(predictor)
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    at = listener.getsockname()
    address = f"[{at[0]}]" if ":" in at[0] else at[0]
    told(f"{model} is served at http://{address}:{at[1]}; Ctrl-C ends it")
    uvicorn.Server(config).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
  """A socket that listens.

  Raises:
    ValueError: the port is none, or in use.
    OSError: the address is none of this machine's.
  """
  if not 0 <= port < 2**16:
    raise ValueError(f"port is {port}; legal: 0 to {2**16 - 1}")
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  try:
    return socket.create_server((host, port), family=family, backlog=128)
  except OSError as error:
    if error.errno == errno.EADDRINUSE:
      raise ValueError(
        f"port {port} of {host} is in use; legal: another --port, or 0 for one"
        " that is free"
      ) from None
    raise OSError(error.errno, f"{host}: port {port}: {error}") from error


def _policy(page: str) -> str:
  """What the page may do: its own script, style, and requests to its server."""
  script = page.partition("<script>")[2].partition("</script>")[0]
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  return (
    f"default-src 'none'; script-src 'sha256-{digest}'; style-src"
    " 'unsafe-inline'; img-src blob: data:; connect-src 'self'; base-uri"
    " 'none'; form-action 'none'; frame-ancestors 'none'"
  )


def _wanted(query: Any) -> tuple[int, bool]:
  """How many classes a request asks for, and whether for the drawing."""
  top, tree = query.get("top", "5"), query.get("tree", "0")
  if not (top.isascii() and top.isdigit() and 1 <= len(top) <= 6 and int(top)):
    raise RefusedError(400, f"top is {top[:20]!r}; legal: 1 or more")
  if tree not in ("0", "1"):
    raise RefusedError(400, f"tree is {tree[:20]!r}; legal: 0 or 1")
  return int(top), tree == "1"


async def _body(request: Any, limits: ServingLimits) -> bytes:
  """What is sent, no more than is legal and no longer."""
  kind = request.headers.get("content-type", "").partition(";")[0].strip()
  if kind == "multipart/form-data":
    raise RefusedError(
      415,
      "a form is sent; legal: the image's file as the body, as of"
      " curl --data-binary @image.jpg",
    )
  most = int(limits.megabytes * 1e6)
  length = request.headers.get("content-length", "0")
  if length.isdigit() and int(length) > _DRAINED * most:
    raise RefusedError(413, _too_long(most))
  content, arrived = bytearray(), 0
  try:
    async with asyncio.timeout(limits.seconds):
      async for chunk in request.stream():
        arrived += len(chunk)
        if arrived > _DRAINED * most:
          break
        if arrived <= most:
          content += chunk
  except TimeoutError:
    raise RefusedError(
      408, f"the image takes more than {limits.seconds:g} s to arrive"
    ) from None
  if arrived > most:
    raise RefusedError(413, _too_long(most))
  if not content:
    raise RefusedError(400, "nothing is sent; legal: an image's file")
  return bytes(content)


def _too_long(most: int) -> str:
  return f"the file is too large; legal: at most {most:,} bytes"


def _answer(
  predictor: predicting.ReadyModel,
  content: bytes,
  top: int,
  tree: bool,
  limits: ServingLimits,
) -> dict[str, Any]:
  """The answer to an image, as JSON has it.

  Raises:
    RefusedError: it is no image, or too large a one.
  """
  try:
    with decoding.opened(content) as image:
      pixels = image.width * image.height
  except Exception:  # Whatever Pillow's readers raise of damaged files.
    raise RefusedError(
      400,
      "the body is no image that can be read; legal: a file of"
      f" {', '.join(decoding.FORMATS)}",
    ) from None
  if pixels > limits.megapixels * 1e6:
    raise RefusedError(
      413,
      f"the image has {pixels:,} pixels; legal: at most"
      f" {limits.megapixels * 1e6:,.0f}",
    )
  try:
    seen, notes = predictor.seen(content, "the image")
  except ValueError as error:
    raise RefusedError(400, str(error)) from None
  found = predictor.prediction(
    seen, notes, path="the image", top=top, drawn="tree" if tree else ""
  )
  return {
    "classes": [
      {"name": name, "probability": share} for name, share in found.classes
    ],
    "decision": found.decision,
    "path": [
      {
        "node": step.name,
        "reached": step.reached,
        "chosen": step.chosen.name,
        "probability": step.chosen.probability,
        "options": [
          {"name": o.name, "probability": o.probability} for o in step.options
        ],
      }
      for step in found.steps
    ],
    "notes": list(notes),
    **({"drawing": found.drawing} if tree else {}),
  }


def _facts(
  predictor: predicting.ReadyModel, limits: ServingLimits
) -> dict[str, Any]:
  """What the model is, for those who ask it."""
  saved = predictor.saved
  return {
    "name": predictor.model.absolute().name,
    "classes": list(saved.class_names),
    "resolution": saved.card["preprocessing"]["resolution"],
    "has_tree": predictor.hierarchy is not None,
    "limits": dataclasses.asdict(limits),
  }


def _warm(predictor: predicting.ReadyModel) -> None:
  """Compiles the programs, so that the first request need not wait."""
  side = predictor.saved.card["preprocessing"]["resolution"]
  channels = predictor.saved.module.architecture.input_channels
  predictor.prediction(
    np.zeros((side, side, channels), np.uint8),
    (),
    path="nothing",
    top=1,
    drawn="tree",
  )
