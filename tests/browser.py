"""A page opened from its file in headless Chromium."""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = (
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--host-resolver-rules=MAP * ~NOTFOUND",
  "--enable-logging=stderr",
)

needs_chromium = pytest.mark.skipif(
  CHROMIUM is None, reason="needs chromium (apt-get install chromium)"
)


def visit(page, tmp_path, hash_=""):
  """Opens a page from its file, with what follows its address.

  Returns:
    The addresses the page asked for, what stands on the console, and the
    document after loading.
  """
  log = tmp_path / "net.json"
  ran = subprocess.run(
    [
      CHROMIUM,
      *FLAGS,
      "--dump-dom",
      f"--user-data-dir={tmp_path / 'profile'}",
      f"--log-net-log={log}",
      page.as_uri() + hash_,
    ],
    capture_output=True,
    text=True,
    encoding="utf-8",
    timeout=60,
    check=True,
  )
  requests = [
    event["params"]["url"]
    for event in json.loads(log.read_text())["events"]
    # The browser's own requests have no origin; a page's have the page's.
    if "url" in event.get("params", {})
    and event["params"].get("initiator", "not an origin") != "not an origin"
  ]
  console = re.findall(r"CONSOLE.*", ran.stderr)
  return requests, console, ran.stdout


class Tab:
  """A page that is driven by Chromium's DevTools protocol, through a pipe."""

  def __init__(self, to_browser, from_browser):
    self._to, self._from = to_browser, from_browser
    self._ids = itertools.count(1)
    self._session = {}
    target = self.call("Target.createTarget", url="about:blank")["targetId"]
    session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
      "sessionId"
    ]
    self._session = {"sessionId": session}
    self.call("Page.enable")

  def call(self, method, **params):
    """What a method of the protocol gives."""
    number = next(self._ids)
    message = {"id": number, "method": method, "params": params}
    self._to.write(json.dumps(message | self._session).encode() + b"\0")
    self._to.flush()
    return self._wait(lambda answer: answer.get("id") == number)["result"]

  def _wait(self, is_it):
    while True:
      text = b""
      while not text.endswith(b"\0"):
        byte = self._from.read(1)
        assert byte, "the browser has ended"
        text += byte
      answer = json.loads(text[:-1])
      if is_it(answer):
        assert "error" not in answer, answer
        return answer

  def open(self, page):
    """Opens a file, or an address, and waits until it is loaded."""
    url = page if isinstance(page, str) else page.as_uri()
    self.call("Page.navigate", url=url)
    self._wait(lambda answer: answer.get("method") == "Page.loadEventFired")

  def run(self, expression):
    """The value of a script's expression, a promise's once it is there."""
    answer = self.call(
      "Runtime.evaluate",
      expression=expression,
      returnByValue=True,
      awaitPromise=True,
    )
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")

  def press(self, key, code):
    """A key as if a person pressed it; `code` is that of Windows."""
    for kind in ("rawKeyDown", "keyUp"):
      self.call(
        "Input.dispatchKeyEvent",
        type=kind,
        key=key,
        code=key,
        windowsVirtualKeyCode=code,
      )


@contextlib.contextmanager
def tab(tmp_path, *flags):
  """A tab of a browser of its own, which ends with it; later flags win."""
  browser_in, to_browser = os.pipe()
  from_browser, browser_out = os.pipe()
  process = subprocess.Popen(
    [
      "bash",
      "-c",
      f'exec "$@" 3<&{browser_in} 4>&{browser_out}',
      "bash",
      CHROMIUM,
      *FLAGS,
      *flags,
      "--remote-debugging-pipe",
      f"--user-data-dir={tmp_path / 'profile'}",
    ],
    pass_fds=(browser_in, browser_out),
    stderr=subprocess.DEVNULL,
  )
  os.close(browser_in)
  os.close(browser_out)
  with open(to_browser, "wb") as to, open(from_browser, "rb") as back:
    try:
      yield Tab(to, back)
    finally:
      process.kill()
      process.wait()
