"""A page opened from its file in headless Chromium."""

import json
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
  "--dump-dom",
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
