"""A model over HTTP: answers, refusals, limits, and the page in a browser."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fbnax.bridges import serving
from fbnax.jobs.runtime import predicting
from tests import browser
from tests.bridges import served

for _package in ("starlette", "uvicorn"):
  pytest.importorskip(_package, reason="needs: fbnax[serve]")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  return served.save_model(tmp_path_factory.mktemp("run") / "members" / "tiny")


@pytest.fixture(scope="module")
def predictor(model):
  return predicting.open_model(model)


def ask(app, path="/predict", body=b"", method="POST", headers=()):
  """Status, headers and body that an ASGI application answers with."""
  path, _, query = path.partition("?")
  chunks = body if isinstance(body, list) else [body]
  sent, answered = iter(chunks), []

  async def receive():
    chunk = next(sent, None)
    if isinstance(chunk, float):  # One who is slow.
      await asyncio.sleep(chunk)
      chunk = b""
    return {"type": "http.request", "body": chunk or b"", "more_body": True} | (
      {"more_body": False} if chunk is None or len(chunks) == 1 else {}
    )

  async def send(message):
    answered.append(message)

  scope = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": method,
    "path": path,
    "raw_path": path.encode(),
    "root_path": "",
    "query_string": query.encode(),
    "headers": [(k.encode(), v.encode()) for k, v in headers],
  }
  asyncio.run(app(scope, receive, send))
  start, *rest = answered
  content = b"".join(m["body"] for m in rest)
  fields = {k.decode(): v.decode() for k, v in start["headers"]}
  return start["status"], fields, content


def test_an_image_is_answered(predictor):
  app = serving.application(predictor)
  status, headers, body = ask(app, "/predict?top=2", served.picture())
  assert status == 200 and headers["content-type"] == "application/json"
  answer = json.loads(body)
  # Logits 0, 4, 0. The root's children have the means of their leaves', 0 and
  # 2; then 4 against 0.
  root = np.exp([0, 2]) / np.exp([0, 2]).sum()
  leaf = np.exp([4, 0]) / np.exp([4, 0]).sum()
  first, second = answer["classes"]
  assert first["name"] == "green" and second["name"] == "re<d>"
  assert first["probability"] == pytest.approx(root[1] * leaf[0], abs=1e-4)
  top, below = answer["path"]
  assert top["reached"] == 1 and below["chosen"] == "green"
  assert top["probability"] == pytest.approx(root[1], abs=1e-4)
  assert below["reached"] == pytest.approx(root[1], abs=1e-4)
  assert [o["name"] for o in below["options"]] == ["green", "blue"]
  assert answer["notes"] == [] and "drawing" not in answer
  _, _, body = ask(
    app, "/predict?tree=1", served.picture(size=(20, 10), kind="JPEG")
  )
  answer = json.loads(body)
  assert (
    answer["drawing"].startswith("<svg")
    and "re&lt;d&gt;" in (answer["drawing"])
  )
  assert answer["notes"] == ["20 x 10 pixels squeezed into a square"]


def test_what_is_refused(predictor):
  limits = serving.ServingLimits(megabytes=0.01, megapixels=0.001, seconds=0.3)
  app = serving.application(predictor, limits)
  good = served.picture()
  form = [("content-type", "multipart/form-data; boundary=x")]
  for status, reason, given in (
    (400, "nothing is sent; legal: an image's", {}),
    (400, "no image that can be read; legal: a file of BMP", {"body": b"GIF8"}),
    (400, "cannot be decoded", {"body": good[:44]}),
    (400, "top is '0'; legal: 1 or", {"path": "/predict?top=0"}),
    (400, "top is '٣'; legal: 1 or", {"path": "/predict?top=%D9%A3"}),
    (400, "tree is 'x'; legal: 0 or 1", {"path": "/predict?tree=x"}),
    (413, "at most 10,000 bytes", {"headers": [("content-length", "100001")]}),
    (413, "at most 10,000 bytes", {"body": [b"x" * 6000, b"x" * 6000]}),
    (413, "at most 10,000 bytes", {"body": [b"x" * 50_000] * 3}),
    (413, "10,000 pixels; legal", {"body": served.picture(size=(100, 100))}),
    (415, "a form is sent; legal: the image", {"headers": form}),
    (408, "more than 0.3 s to arrive", {"body": [b"x", 2.0, b"x"]}),
    (404, "Not Found", {"path": "/elsewhere"}),
    (405, "Method Not Allowed", {"method": "GET"}),
  ):
    found, headers, body = ask(app, **given)
    said = json.loads(body)
    assert found == status and list(said) == ["error"], (given, said)
    assert reason in said["error"], said
    assert headers["x-content-type-options"] == "nosniff"
  with pytest.raises(ValueError, match="megabytes is 0; legal: above 0"):
    serving.ServingLimits(megabytes=0)


def test_an_answer_that_takes_too_long(predictor, monkeypatch):
  app = serving.application(predictor, serving.ServingLimits(seconds=0.05))
  monkeypatch.setattr(serving, "_answer", lambda *_: time.sleep(0.3))
  status, _, body = ask(app, body=served.picture())
  assert status == 503 and b"takes more than 0.05 s" in body


def test_the_model_says_what_it_is(predictor):
  app = serving.application(predictor)
  status, _, body = ask(app, "/model", method="GET")
  facts = json.loads(body)
  assert status == 200 and facts["has_tree"] and facts["resolution"] == 8
  assert facts["classes"] == list(served.NAMES) and facts["name"] == "tiny"
  status, headers, body = ask(app, "/", method="GET")
  assert status == 200 and body.startswith(b"<!doctype html>")
  assert (
    "unsafe-inline"
    not in headers["content-security-policy"].split("style-src")[0]
  )


def test_ports(model):
  with serving.listening("127.0.0.1", 0) as listener:
    port = listener.getsockname()[1]
    with pytest.raises(ValueError, match=f"port {port} of 127.0.0.1 is in use"):
      serving.serve(model, port=port)
  for port in (-1, 2**16):
    with pytest.raises(ValueError, match=f"port is {port}; legal: 0 to 65535"):
      serving.listening("127.0.0.1", port)
  with pytest.raises(OSError, match=r"192\.0\.2\.1: port 0"):
    serving.listening("192.0.2.1", 0)  # No machine's own (RFC 5737).


@contextlib.contextmanager
def server(model):
  """The command as a process; gives its address."""
  root = pathlib.Path(__file__).parents[2]
  process = subprocess.Popen(
    [sys.executable, "-m", "fbnax.commands", "serve", str(model), "--port=0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env={**os.environ, "PYTHONPATH": str(root)},
  )
  try:
    line = process.stdout.readline()
    found = re.search(r"is served at http://([\d.]+):(\d+)", line)
    assert found, process.stderr.read()
    yield found[1], int(found[2]), process
  finally:
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def test_the_command_and_its_page(model, tmp_path):
  """A picture is dropped on the page, which shows the tree."""
  with server(model) as (host, port, process):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("POST", "/predict", served.picture((0, 0, 255)))
    answer = json.loads(connection.getresponse().read())
    assert answer["classes"][0]["name"] == "blue"
    connection.close()
    if browser.CHROMIUM is not None:
      _drop(f"http://{host}:{port}/", tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 128 + signal.SIGINT
    assert process.stderr.read().strip() == "stopped"


def _drop(address, tmp_path):
  own = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
  with browser.tab(tmp_path, own) as tab:
    tab.open(address)
    drop = """(async (content) => {
      const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "a.png", {type: "image/png"}));
      const answered = new Promise((resolve) => new MutationObserver(resolve)
        .observe(document.body, {subtree: true, childList: true}));
      document.dispatchEvent(new DragEvent("drop",
        {dataTransfer: data, bubbles: true, cancelable: true}));
      await answered;
      await new Promise((resolve) => setTimeout(resolve, 200));
      const at = (id) => document.getElementById(id);
      return [at("classes").rows[0].innerText, at("path").innerText,
        at("tree").querySelectorAll("svg").length, at("error").textContent,
        at("name").textContent, at("answer").hidden];
    })"""
    content = base64.b64encode(served.picture()).decode()
    row, path, trees, error, name, hidden = tab.run(f"{drop}('{content}')")
    assert row.startswith("green") and "%" in row
    assert "green (98.2%) rather than blue (1.8%)" in path
    assert (trees, error, name, hidden) == (1, "", "tiny", False)
    content = base64.b64encode(b"no image").decode()
    *_, error, _, hidden = tab.run(f"{drop}('{content}')")
    assert "no image that can be read" in error and hidden
