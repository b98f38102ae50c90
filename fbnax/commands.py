"""The command `fbnax`: the jobs by the names of what one wants.

    fbnax search photos --macs 4e6,8e6 --out runs/photos
    fbnax predict runs/photos/members/around-8m holiday.jpg
    fbnax --help

A row for each command says which config it starts from and which keys its flags
set; any other key is set by `--set key=value`. What it runs is a command line
of `python -m fbnax.main`, which is printed first.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fbnax import __version__
from fbnax.training import stopping


@dataclasses.dataclass(frozen=True)
class Flag:
  """A flag of a command.

  Attributes:
    name: without dashes.
    keys: of the config that take its value; none in a command without.
    meaning: for the help.
    is_switch: it has no value.
    default: where it is not given.
  """

  name: str
  keys: tuple[str, ...]
  meaning: str
  is_switch: bool = False
  default: Any = None


@dataclasses.dataclass(frozen=True)
class Command:
  """A command that runs a job.

  Attributes:
    name: of the command.
    config: name of its config, with a preset or without.
    words: what it does, in a line.
    argument: what comes first, for the help; "" for nothing.
    key: of the config that takes it; "images" for a data set.
    is_needed: it cannot be left out.
    flags: beside those that all have.
    examples: of its arguments.
  """

  name: str
  config: str
  words: str
  argument: str = ""
  key: str = ""
  is_needed: bool = False
  flags: tuple[Flag, ...] = ()
  examples: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tool:
  """A command that runs no job.

  Attributes:
    name: of the command.
    words: what it does, in a line.
    run: takes its parsed arguments, gives the exit code.
    argument: what comes first, for the help; "" for nothing.
    count: of arguments, as argparse has it: None for one, "?" or "+".
    flags: of it.
    examples: of its arguments.
  """

  name: str
  words: str
  run: Callable[[argparse.Namespace], int]
  argument: str = ""
  count: str | None = None
  flags: tuple[Flag, ...] = ()
  examples: tuple[str, ...] = ("",)


def _limit(name: str, of: str) -> Flag:
  return Flag(name, (f"budgets.{name}",), f"{of}, such as 4e6,8e6")


_EPOCHS = Flag("epochs", ("training.epochs",), "of the training")
_WEIGHTS = Flag("weights", ("weights",), "a pretrained network to start from")
_LIMITS = (
  _limit("macs", "limits on multiply-accumulates"),
  _limit("params", "limits on parameters"),
)
COMMANDS = (
  Command(
    "search",
    "nars",
    "designs and trains a family of networks for budgets",
    "IMAGES",
    "images",
    flags=(
      *_LIMITS,
      _WEIGHTS,
      Flag("minutes", ("minutes",), "that it may take, with weights"),
      _EPOCHS,
    ),
    examples=(
      "",
      "photos --macs 4e6,8e6",
      "photos --weights lite0 --minutes 30",
    ),
  ),
  Command(
    "train",
    "train",
    "trains one network",
    "IMAGES",
    "images",
    flags=(
      Flag("architecture", ("architecture",), "of the zoo, or a JSON file"),
      Flag("resolution", ("resolution",), "of the images, pixels"),
      _WEIGHTS,
      _EPOCHS,
    ),
    examples=("photos --architecture fbnetv3_a --resolution 96",),
  ),
  Command(
    "explain",
    "nbdt",
    "makes a classifier a tree of decisions",
    "IMAGES",
    "images",
    flags=(Flag("model", ("model",), "a trained model's directory"), _EPOCHS),
    examples=("", "photos --model runs/nars/members/small-800k"),
  ),
  Command(
    "score",
    "zero_cost",
    "scores networks of a space without training them",
    "IMAGES",
    "images",
    flags=(
      Flag("space", ("space",), "the space"),
      Flag("sample", ("sample",), "random networks of it"),
    ),
    examples=("--space small --sample 16",),
  ),
  Command(
    "eval",
    "eval",
    "measures a trained model on images",
    "MODEL",
    "model",
    is_needed=True,
    flags=(Flag("images", ("images",), "a data set"),),
    examples=("runs/nars/members/small-800k --images photos",),
  ),
  Command(
    "export",
    "export",
    "writes a trained model as files for other programs",
    "MODEL",
    "model",
    is_needed=True,
    flags=(
      Flag("onnx", ("onnx",), "an ONNX file", is_switch=True),
      Flag("tflite", ("tflite",), "a TensorFlow Lite file", is_switch=True),
      Flag("int8", ("int8",), "an int8 one for devices", is_switch=True),
      Flag("images", ("images",), "that int8 is calibrated on"),
    ),
    examples=("runs/nars/members/small-800k --int8 --images photos",),
  ),
  Command(
    "evolve",
    "evolve",
    "finds networks for other budgets in a finished search",
    "RUN",
    "run",
    is_needed=True,
    flags=_LIMITS,
    examples=("runs/nars --macs 1e6",),
  ),
  Command(
    "profile",
    "profile",
    "measures what layers take on this machine",
    flags=(Flag("space", ("space",), "whose layers"),),
    examples=("--space small",),
  ),
)


def main(argv: list[str] | None = None) -> int:
  """Runs what the command line asks for; returns the exit code."""
  given = list(sys.argv[1:] if argv is None else argv)
  return stopping.run(lambda: _chosen(given), "stopped")


def _chosen(argv: list[str]) -> int:
  try:
    parsed = _parser().parse_args(_known(argv))
    code: int = parsed.run(parsed)
  except BrokenPipeError:
    # Who reads has read enough; Python would say so once more at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
  except Exception as error:
    from fbnax.jobs.runtime.messages import explain

    if (message := explain(error)) is None:
      raise
    print(f"error: {message}", file=sys.stderr)
    return 2
  return code


def script() -> None:
  """The entry point of the installed command."""
  stopping.leave(main())


def _known(argv: list[str]) -> list[str]:
  """The arguments, if they begin with a command that there is.

  Raises:
    ValueError: they do not; the nearest is told.
  """
  from fbnax.base.names import nearest

  legal = [c.name for c in (*COMMANDS, *TOOLS)]
  if argv and not argv[0].startswith("-") and argv[0] not in legal:
    near = nearest(argv[0], legal)
    raise ValueError(
      f"there is no command {argv[0]!r}; "
      + (
        f"nearest: {', '.join(near)}" if near else f"legal: {', '.join(legal)}"
      )
    )
  return argv


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="fbnax",
    description="Designs efficient convolutional networks.",
    epilog="examples:\n"
    + "\n".join(
      f"  fbnax {c.name} {c.examples[-1]}".rstrip() for c in (*COMMANDS, *TOOLS)
    )
    + "\n\nA command's own help: fbnax COMMAND --help",
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--version", action="version", version=f"fbnax {__version__}"
  )
  commands = parser.add_subparsers(
    metavar="COMMAND", required=True, title="commands"
  )
  for command in COMMANDS:
    _add(commands, command)
  for tool in TOOLS:
    _add_tool(commands, tool)
  return parser


def _add_tool(commands: Any, tool: Tool) -> None:
  parser = commands.add_parser(
    tool.name,
    help=tool.words,
    description=f"{tool.words.capitalize()}.",
    epilog=_examples(tool),
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  if tool.argument:
    first, *others = tool.argument.split()
    parser.add_argument(
      "argument", nargs=None if others else tool.count, metavar=first
    )
    for other in others:
      parser.add_argument(other.lower(), nargs=tool.count, metavar=other)
  _add_flags(parser, tool.flags)
  parser.set_defaults(run=tool.run)


def _add_flags(parser: Any, flags: Sequence[Flag]) -> None:
  for flag in flags:
    action: dict[str, Any] = {"action": "store_true"} if flag.is_switch else {}
    if flag.default is not None:
      action = {"type": type(flag.default), "default": flag.default}
    parser.add_argument(f"--{flag.name}", help=flag.meaning, **action)


def _examples(command: Command | Tool) -> str:
  lines = (f"  fbnax {command.name} {e}".rstrip() for e in command.examples)
  return "\n".join(("examples:", *lines))


def _add(commands: Any, command: Command) -> None:
  parser = commands.add_parser(
    command.name,
    help=command.words,
    description=f"{command.words.capitalize()} (configs/{command.config}.py).",
    epilog=_examples(command)
    + f"\n\nAll keys: fbnax keys {command.config}; what it does, and results: "
    f"fbnax docs {command.config}",
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  if command.argument:
    parser.add_argument(
      "argument",
      nargs=None if command.is_needed else "?",
      metavar=command.argument,
      help="a folder with one for each class, an .npz file, a folder of"
      " WebDataset's shards, or what Hugging Face's save_to_disk left"
      if command.key == "images"
      else None,
    )
  _add_flags(parser, command.flags)
  parser.add_argument("--out", help="the work directory; default: runs/JOB")
  parser.add_argument("--preset", help="of the config")
  parser.add_argument(
    "--set",
    action="append",
    default=[],
    metavar="KEY=VALUE",
    help="any key of the config",
  )
  parser.add_argument(
    "--dry-run", action="store_true", help="says what it would take"
  )
  parser.set_defaults(run=lambda given: _run(command, given))


def _run(command: Command, given: argparse.Namespace) -> int:
  from fbnax import main as jobs

  argv = arguments(command, given)
  print(f"python -m fbnax.main {shlex.join(argv)}", flush=True)
  return jobs.main(["fbnax", *argv])


def arguments(command: Command, given: argparse.Namespace) -> list[str]:
  """The command line of `fbnax.main` that a command stands for.

  Args:
    command: a row of `COMMANDS`.
    given: its parsed arguments.

  Raises:
    ValueError: a `--set` is no `key=value`.
  """
  values: dict[str, str] = {}
  config, preset = command.config, given.preset
  if command.name == "search" and given.weights:
    preset = preset or "photos"
  if command.name == "search" and given.argument and not preset:
    preset = "images"
  if command.name == "train" and given.weights:
    config = "finetune"
  if command.argument and given.argument is not None:
    values |= (
      _images(given.argument)
      if command.key == "images"
      else {command.key: given.argument}
    )
  for flag in command.flags:
    value = getattr(given, flag.name)
    if value in (None, False):
      continue
    for key in flag.keys:
      if key == "images":
        values |= _images(value)
      elif key.startswith("budgets."):
        # In place of those that the config has.
        values |= {"budgets.macs": "()", key: _tuple(value)}
        if preset == "photos":
          values["budgets.share"] = "()"
      else:
        values[key] = "True" if flag.is_switch else value
  for text in given.set:
    key, equals, value = text.partition("=")
    if not equals or not key:
      raise ValueError(f"--set is {text!r}; legal: key=value")
    values[key.removeprefix("config.")] = value
  name = f"configs/{config}.py" + (f":{preset}" if preset else "")
  argv = [f"--config={name}"]
  if given.out:
    argv.append(f"--workdir={given.out}")
  if given.dry_run:
    argv.append("--dry_run")
  return [*argv, *(f"--config.{key}={v}" for key, v in values.items())]


def _images(path: str) -> dict[str, str]:
  """The keys of a data set on disk."""
  from fbnax import data

  return {"data.name": data.kind(path), "data.path": path}


def _tuple(text: str) -> str:
  """`4e6,8e6` as a config's flag takes it."""
  return f"({text.strip('(), ')},)"


def _jobs(_: argparse.Namespace) -> int:
  from fbnax.jobs.runtime import config_files

  for name in config_files.names():
    print(f"{name:<18} {config_files.docstring(name).splitlines()[0]}")
  return 0


def _keys(given: argparse.Namespace) -> int:
  from fbnax import main as jobs

  name = given.argument or "nars"
  return jobs.main(["fbnax", f"--config={_path(name)}", "--explain"])


def _docs(given: argparse.Namespace) -> int:
  from fbnax.jobs.runtime import config_files

  if given.argument:
    print(config_files.docstring(given.argument.partition(":")[0]))
    return 0
  readme = Path(__file__).parents[1] / "README.md"
  if readme.is_file():
    print(f"{readme}\n")
  print("What each job does, and its results: fbnax docs JOB\n")
  return _jobs(given)


def _path(name: str) -> str:
  from fbnax.jobs.runtime import config_files

  config, colon, preset = name.partition(":")
  return config_files.path(config) + colon + preset


def _predict(given: argparse.Namespace) -> int:
  from fbnax import predict

  flags = [f"--top={given.top}"] + ([f"--html={given.html}"] * bool(given.html))
  argv = ["fbnax", *flags, "--", given.argument, *given.image]
  return predict.main(argv)


def _report(given: argparse.Namespace) -> int:
  from fbnax import report

  print(report.write(given.argument))
  return 0


def _to_optuna(given: argparse.Namespace) -> int:
  from fbnax import bridges

  path = bridges.write_study(given.argument, given.out)
  print(f"{path}\noptuna-dashboard sqlite:///{path}")
  return 0


def _serve(given: argparse.Namespace) -> int:
  from fbnax.bridges import serving

  limits = serving.ServingLimits(
    given.megabytes, given.megapixels, given.seconds, given.threads
  )
  told = functools.partial(print, flush=True)
  serving.serve(
    given.argument, host=given.host, port=given.port, limits=limits, told=told
  )
  return 0


TOOLS = (
  Tool(
    "predict",
    "tells the classes of images",
    _predict,
    "MODEL IMAGE",
    "+",
    (
      Flag("top", (), "classes to show", default=5),
      Flag("html", (), "a page to write, too"),
    ),
    (
      "runs/nars/members/small-800k a.jpg b.jpg",
      "runs/nars/members/small-800k a.jpg --html page.html",
    ),
  ),
  Tool(
    "serve",
    "answers with a trained model over HTTP, and shows a page",
    _serve,
    "MODEL",
    flags=(
      Flag("host", (), "the address to listen at", default="127.0.0.1"),
      Flag("port", (), "likewise; 0 for one that is free", default=8000),
      Flag("megabytes", (), "most of an image's file", default=20.0),
      Flag("megapixels", (), "most of an image", default=50.0),
      Flag("seconds", (), "most that a request may take", default=10.0),
      Flag("threads", (), "images looked at at a time", default=2),
    ),
    examples=(
      "runs/nars/members/small-800k",
      "runs/nars/members/small-800k --port 8080 --megabytes 5",
    ),
  ),
  Tool(
    "report",
    "writes the report of a finished run again",
    _report,
    "RUN",
    examples=("runs/nars",),
  ),
  Tool(
    "to-optuna",
    "writes the trials of a finished search as a study of Optuna",
    _to_optuna,
    "RUN",
    flags=(Flag("out", (), "the file; default: RUN/optuna.sqlite"),),
    examples=("runs/nars",),
  ),
  Tool("jobs", "lists the jobs", _jobs),
  Tool(
    "keys",
    "explains the keys of a job",
    _keys,
    "JOB",
    "?",
    examples=("", "nars:photos"),
  ),
  Tool(
    "docs",
    "says what a job does, and its results",
    _docs,
    "JOB",
    "?",
    examples=("", "nars"),
  ),
)

if __name__ == "__main__":
  script()
