"""How a result was made: facts, the command that repeats it, its config."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fbnax.base.flat import flat
from fbnax.report import markup
from fbnax.report.markup import escape
from fbnax.report.schema import JobResult


def made_by(
  result: JobResult, facts: Sequence[tuple[str, str]], file: str
) -> str:
  """As `made`, with the time of a run and its command behind the facts.

  Args:
    result: of the run.
    facts: name as text, words as HTML.
    file: of the run's config, in `configs/`.

  Returns:
    HTML; "" where nothing is known.
  """
  rows, times = list(facts), result.times
  if times.total is not None:
    rows.append(("Time", markup.time_spent(times.total, times.compiled)))
  if result.config:
    text = escape(command(file, result.config))
    rows.append(("Command", f"<code>{text}</code>"))
  return made(rows, result.config) if rows else ""


def footer(result: JobResult, run: str = "run") -> str:
  """The last line of a page, as text.

  Args:
    result: what is drawn.
    run: what it is of.
  """
  version = result.fbnax_version or "of unknown version"
  return (
    f"Written by fbnax.report from the {run}'s result.json (fbnax {version})."
  )


def made(facts: Sequence[tuple[str, str]], config: Mapping[str, Any]) -> str:
  """The facts as a list, and the config folded under it.

  Args:
    facts: name as text, words as HTML.
    config: as `result.json` has it.
  """
  rows = "".join(f"<dt>{escape(n)}</dt><dd>{words}</dd>" for n, words in facts)
  found = f'<dl class="facts">{rows}</dl>' if facts else ""
  if config:
    text = json.dumps(config, indent=2, ensure_ascii=False)
    found += markup.details("configuration", f"<pre>{escape(text)}</pre>")
  return found


def command(file: str, config: Mapping[str, Any]) -> str:
  """The command that gives such a result, without the work directory.

  Args:
    file: the config's, in `configs/`.
    config: as `result.json` has it; empty values are the defaults.
  """
  flags = [
    flag(key, value)
    for key, value in flat(config).items()
    if key != "job" and value not in (None, "", [], {})
  ]
  return " ".join([f"python -m fbnax.main --config=configs/{file}", *flags])


def flag(key: str, value: Any) -> str:
  """A key of a config as a command sets it."""
  return f"{shlex.quote(f'--config.{key}')}={_said(value)}"


def _said(value: Any) -> str:
  """A value as a shell and the flags understand it."""
  if isinstance(value, list):
    items = "(" + "".join(f"{item!r}," for item in value) + ")"
    return f'"{items}"' if "'" in items else shlex.quote(items)
  return shlex.quote(str(value))
