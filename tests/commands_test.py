"""The command `fbnax`: what its command lines stand for."""

import argparse
import importlib.util
import re

import pytest

import fbnax
from fbnax import commands
from fbnax.jobs.runtime import config_files, configs


def _argv(*words):
  given = commands._parser().parse_args(words)
  (command,) = [c for c in commands.COMMANDS if c.name == words[0]]
  return commands.arguments(command, given)


def test_a_search_of_images_for_budgets():
  assert _argv("search", "photos", "--macs", "4e6,8e6", "--out", "runs/x") == [
    "--config=configs/nars.py:images",
    "--workdir=runs/x",
    "--config.data.name=folder",
    "--config.data.path=photos",
    "--config.budgets.macs=(4e6,8e6,)",
  ]
  # A limit on parameters takes the place of the MACs of the config.
  assert _argv("search", "--params", "1e5")[1:] == [
    "--config.budgets.macs=()",
    "--config.budgets.params=(1e5,)",
  ]
  from_weights = _argv("search", "a.npz", "--weights", "lite0", "--macs", "9e6")
  assert from_weights[0] == "--config=configs/nars.py:photos"
  assert "--config.data.name=npz" in from_weights
  assert "--config.budgets.share=()" in from_weights
  assert _argv("search") == ["--config=configs/nars.py"]


def test_any_key_is_set():
  argv = _argv(
    "train", "--set", "training.epochs=3", "--set", "config.seed=1", "--dry-run"
  )
  assert argv == [
    "--config=configs/train.py",
    "--dry_run",
    "--config.training.epochs=3",
    "--config.seed=1",
  ]
  with pytest.raises(ValueError, match="--set is 'seed'; legal: key=value"):
    _argv("train", "--set", "seed")


@pytest.mark.parametrize("command", commands.COMMANDS, ids=lambda c: c.name)
def test_every_row_names_keys_that_there_are(command):
  """Of its config, and its examples are command lines of its own."""
  spec = importlib.util.spec_from_file_location(
    "one", config_files.path(command.config)
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  keys = set(configs.fields(type(configs.typed(module.get_config()))))
  wanted = {k for flag in command.flags for k in flag.keys} | {command.key}
  assert wanted - {"", "images"} <= keys | {"weights"}
  if "images" in wanted:
    assert {"data.name", "data.path"} <= keys
  for example in command.examples:
    assert _argv(command.name, *example.split())


@pytest.mark.parametrize("tool", commands.TOOLS, ids=lambda t: t.name)
def test_the_examples_of_tools_are_command_lines(tool):
  for example in tool.examples:
    given = commands._parser().parse_args([tool.name, *example.split()])
    assert given.run is tool.run


def test_what_a_tool_is_told_goes_on(tmp_path, monkeypatch, capsys):
  from fbnax import predict, report

  given = []
  monkeypatch.setattr(predict, "main", lambda argv: given.append(argv) or 0)
  monkeypatch.setattr(report, "write", lambda run: f"page of {run}")
  assert commands.main(["predict", "m", "x"]) == 0
  assert commands.main(["predict", "m", "x", "y", "--html", "p.html"]) == 0
  assert given == [
    ["fbnax", "--top=5", "--", "m", "x"],
    ["fbnax", "--top=5", "--html=p.html", "--", "m", "x", "y"],
  ]
  assert commands.main(["report", "r"]) == 0
  assert capsys.readouterr().out == "page of r\n"
  assert commands.main(["to-optuna", str(tmp_path)]) == 2
  assert re.search(r"error: .*(result\.json|fbnax\[o)", capsys.readouterr().err)


def test_help_and_wrong_names(capsys):
  every = [c.name for c in (*commands.COMMANDS, *commands.TOOLS)]
  for words in ([], *([name] for name in every)):
    with pytest.raises(SystemExit) as stopped:
      commands.main([*words, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert re.search(rf"examples:\n  fbnax {''.join(words)}", said)
    assert re.match(rf"usage: fbnax {''.join(words)}", said)
  assert commands.main(["serch"]) == 2
  assert "nearest: search" in capsys.readouterr().err
  assert commands.main(["docs", "nras"]) == 2
  assert "nearest: nars" in capsys.readouterr().err
  with pytest.raises(SystemExit) as stopped:
    commands.main(["predict", "model"])
  assert stopped.value.code == 2
  said = capsys.readouterr().err
  assert "usage: fbnax predict" in said and "MODEL IMAGE" in said
  with pytest.raises(SystemExit):
    commands.main(["--version"])
  assert fbnax.__version__ in capsys.readouterr().out


def test_jobs_and_docs(capsys):
  assert commands.main(["jobs"]) == 0
  said = capsys.readouterr().out
  assert len(said.splitlines()) == len(config_files.names())
  assert commands.main(["docs", "evolve"]) == 0
  assert "configs/evolve.py" in capsys.readouterr().out


def test_configs_are_found_from_anywhere(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  inside = str(config_files.folder() / "nars.py")
  for given, wanted in (
    (["--config=configs/nars.py:photos"], [f"--config={inside}:photos"]),
    (["--config", "configs/nars.py"], ["--config", inside]),
    (["--config=mine.py", "--config.seed=1"], None),
    (["--config=configs/mine.py"], None),
  ):
    assert config_files.located(given) == (wanted or given)
  # A file of one's own at that path is taken.
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs" / "nars.py").touch()
  given = ["--config=configs/nars.py"]
  assert config_files.located(given) == given


def test_switches_have_no_value():
  argv = _argv("export", "m", "--int8", "--images", "photos")
  assert "--config.int8=True" in argv and "--config.model=m" in argv
  with pytest.raises(SystemExit):
    commands._parser().parse_args(["export"])
  assert isinstance(commands._parser(), argparse.ArgumentParser)


def test_the_readmes_commands_are_command_lines():
  """Those of the command, as they stand there."""
  readme = (config_files.folder().parent / "README.md").read_text("utf-8")
  blocks = "".join(re.findall(r"^```\n(.*?)^```", readme, re.M | re.S))
  lines = re.findall(r"^fbnax (.+?)(?: {2,}#.*)?$", blocks, re.M)
  assert len(lines) >= 4
  for line in lines:
    assert commands._parser().parse_args(line.split())
