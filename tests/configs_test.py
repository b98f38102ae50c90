"""Every config is made of keys that say what they are."""

import dataclasses
import importlib.util
import pathlib
import types
import typing

import pytest

from fbnax.base.flat import flat
from fbnax.jobs import JOBS
from fbnax.jobs.runtime import configs

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(path.name for path in (ROOT / "configs").glob("*.py"))


def load(file):
  """The config's module, by its path: `configs` is no package."""
  spec = importlib.util.spec_from_file_location(
    file.removesuffix(".py"), ROOT / "configs" / file
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def variants(module):
  """All configs of a file: `configs/nars.py:NAME` for each of its `PRESETS`."""
  yield module.get_config()
  for name in getattr(module, "PRESETS", ()):
    yield module.get_config(name)


@pytest.mark.parametrize("file", FILES)
def test_every_config_says_how_it_is_run(file):
  assert f"--config=configs/{file}" in load(file).__doc__


@pytest.mark.parametrize("file", FILES)
def test_every_key_of_every_preset_is_explained(file):
  for config in variants(load(file)):
    values = flat(config.to_dict())
    lines = list(configs.explain(config))
    keys = [line.split("=")[0] for line in lines if line.startswith("--")]
    assert keys == [f"--config.{name}" for name in values]
    assert not [line for line in lines if "key of your own" in line]
    assert all(len(line) <= 80 for line in lines if line.startswith(" "))


def dataclasses_of(job):
  return JOBS[job].config_types()


def keys_of(settings):
  """(annotation, default, metadata) of every key, sections included."""
  hints = typing.get_type_hints(type(settings))
  for field in dataclasses.fields(settings):
    value = getattr(settings, field.name)
    if dataclasses.is_dataclass(value):
      assert isinstance(value, hints[field.name]), field.name
      yield from keys_of(value)
    else:
      yield hints[field.name], value, field.metadata


@pytest.mark.parametrize("job", JOBS)
def test_keys_have_a_meaning_and_a_default_of_their_type(job):
  for kind in dataclasses_of(job):
    for hint, value, metadata in keys_of(kind()):
      assert len(metadata["meaning"]) > 3
      if isinstance(hint, types.GenericAlias):
        item = typing.get_args(hint)[0]
        legal = (int, float) if item is float else item
        assert isinstance(value, tuple)
        assert all(isinstance(v, legal) for v in value)
      else:
        assert type(value) is hint


def test_every_job_has_its_keys():
  for job in JOBS:
    for kind in dataclasses_of(job):
      assert kind().job == job


@dataclasses.dataclass(frozen=True)
class Section:
  size: int = configs.key(3, "of a thing", "px")
  names: tuple[str, ...] = configs.key(("a",), "of things")


@dataclasses.dataclass(frozen=True)
class Job:
  job: str = configs.key("nars", "the job")
  inner: Section = configs.section(Section, size=4)


def test_a_preset_changes_what_it_names():
  presets = {"small": {}, "large": {"inner.size": 9}}
  assert configs.preset(Job(), presets, "small").to_dict() == {
    "job": "nars",
    "inner": {"size": 4, "names": ("a",)},
  }
  assert configs.preset(Job(), presets, "large").inner.size == 9
  with pytest.raises(ValueError, match="no preset 'x'; legal: small, large"):
    configs.preset(Job(), presets, "x")
  with pytest.raises(KeyError, match="sizes"):
    configs.preset(Job(), {"x": {"inner.sizes": 9}}, "x")


def test_what_is_printed():
  config = configs.config(Job())
  config.inner.size = 5
  fields = configs.fields(Job)
  assert list(fields) == ["job", "inner.size", "inner.names"]
  size = fields["inner.size"]
  assert (size["meaning"], size["unit"]) == ("of a thing", "px")
  assert size["default"] == 4
  lines = "\n".join(configs.explain(config))
  assert "--config.inner.size=5\n    a key of your own" in lines
  assert "--config.inner.names=\"('a',)\"\n" in lines


@dataclasses.dataclass(frozen=True)
class Limited:
  share: float = configs.key(0.5, "of a thing", "share", above=0, most=1)
  kind: str = configs.key("a", "of a thing", choices=("a", "b"))
  sizes: tuple[int, ...] = configs.key((1,), "of things", "px", least=1)
  flag: bool = configs.key(False, "whether")


@dataclasses.dataclass(frozen=True)
class LimitedJob:
  job: str = configs.key("limited", "the job")
  inner: Limited = configs.section(Limited)


@pytest.fixture
def limited(monkeypatch):
  class Row:
    def config_types(self):
      return [LimitedJob]

  monkeypatch.setitem(JOBS, "limited", Row())
  return configs.config(LimitedJob())


def test_a_job_gets_its_config_as_a_dataclass(limited):
  limited.inner.share = 1.0
  with limited.unlocked():
    limited.inner.sizes = [2, 3]
    limited.inner.mine = "x"
    del limited.inner.flag
  settings = configs.typed(limited)
  assert isinstance(settings, LimitedJob)
  assert isinstance(settings.inner, Limited)
  # A key of the user's own stays, and what is lacking has its default.
  assert configs.as_dict(settings)["inner"] == {
    "share": 1.0,
    "kind": "a",
    "sizes": (2, 3),
    "flag": False,
    "mine": "x",
  }
  assert settings.inner.mine == "x"


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("share", 0.0, "config.inner.share is 0.0; legal: above 0, at most 1"),
    ("share", "much", "config.inner.share is 'much'; legal: a number"),
    ("kind", "c", "config.inner.kind is 'c'; legal: 'a', 'b'"),
    ("sizes", (2, 0), "config.inner.sizes is 0; legal: at least 1"),
    ("sizes", (2, 0.5), "config.inner.sizes is .*; legal: a list of whole num"),
    ("sizes", 3, "config.inner.sizes is 3; legal: a list"),
    ("flag", 1, "config.inner.flag is 1; legal: True or False"),
  ],
)
def test_what_is_not_legal_is_named(limited, key, value, message):
  with limited.ignore_type():
    limited.inner[key] = value
  with pytest.raises(ValueError, match=message):
    configs.typed(limited)


def test_the_more_special_keys_are_known_too():
  config = load("finetune.py").get_config()
  lines = "\n".join(configs.explain(config))
  assert "--config.weights=\n    safetensors file" in lines
  assert "--config.resolution=0 [px]" in lines
