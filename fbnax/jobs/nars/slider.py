"""A budget that the reader drags, and the network that the search has for it.

The budgets of the front are the stops of a native range input, one for each
cost: arrow keys, Home, End, Page Up and Page Down move it as in any other page,
and it says its budget in words. Nothing moves by itself, so there is no motion
to reduce. Without its script (`slider.js`, which the page's policy admits by
its digest) a reader has the chart and the table of every cost.

What the script shows is text that is written here. Drawings and commands are
many and alike, so they are compressed together: gzip, as base64, which browsers
unpack; one that cannot shows the rest.
"""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from fbnax.base.cost_kinds import ALWAYS, COST_KINDS, CostKind
from fbnax.jobs.nars import front_chart
from fbnax.jobs.nars.front_chart import FrontChart
from fbnax.jobs.nars.result import FamilyMember, NarsResult
from fbnax.report import drawing, markup
from fbnax.report.family import LIKELIHOOD, signal
from fbnax.report.front_schema import Front, FrontLine, FrontNetwork, FrontStop
from fbnax.report.made import flag
from fbnax.report.markup import count, escape, percent, plural, significant

# Stands for the run's directory, which the script knows by the page's address.
_RUN = "\x01"
_COMMAND = "python -m fbnax.main --config=configs/"
_SPOKEN = {"k": "thousand", "M": "million", "G": "billion"}
_COMMANDS = (
  "Commands are for the directory of fbnax; where a command says RUN, it means "
  "the directory of this report."
)


def script() -> str:
  """What the page runs."""
  return _part("slider.js")


def style() -> str:
  """What the section needs beside the style of all pages."""
  return _part("slider.css")


def slider(result: NarsResult) -> str:
  """The section; "" where the result has no front."""
  front = result.front
  lines = [] if front is None else [line for line in front.lines if line.stops]
  if front is None or not lines:
    return ""
  charts = {line.cost: front_chart.draw(result, front, line) for line in lines}
  return (
    f"<p>{_introduction(front, result.supernet is not None)}</p>"
    f'<div class="slider" id="slider">{_costs(lines)}'
    + "".join(_line(front, line, charts[line.cost]) for line in lines)
    + f"{_choice(front)}</div>"
    f'<p class="note">{escape(_note(result, front))}</p>'
    '<script type="application/json" id="slider-data">'
    f"{_json(_data(result, front, lines, charts))}</script>"
  )


def _introduction(front: Front, inherits: bool) -> str:
  amount = len({n.architecture for n in front.networks})
  trained = "inherits its weights" if inherits else "is not trained"
  return (
    "The members above are of the budgets that were asked for. For any other "
    "budget in the range of its trials the search has a network as well, which "
    f"{trained}: {plural(amount, 'architecture')} in all."
  )


def _note(result: NarsResult, front: Front) -> str:
  state = f" after {plural(front.epochs, 'epoch')}" if front.epochs else ""
  if result.supernet is not None:
    state = " with the weights that it inherits"
  words = (
    "The expected accuracy is what the predictor gives for a candidate"
    f"{state}, on validation images; a full training mostly ends higher, so "
    "that members stand above the line. The spread is one standard deviation "
    "of the predictor's members on each side. "
  )
  if signal(result) == "likelihood":
    words += (
      "The search ranks networks by likelihood, and the trials say which "
      "accuracy goes with it." + LIKELIHOOD + " "
    )
  return words + _COMMANDS


def _costs(lines: Sequence[FrontLine]) -> str:
  """The choice between costs, where there are several."""
  if len(lines) < 2:
    return ""
  choices = "".join(
    f'<label><input type="radio" name="slider-cost" value="{line.cost}">'
    f"{escape(COST_KINDS[line.cost].column)}</label>"
    for line in lines
  )
  return (
    f'<fieldset class="costs" hidden><legend>Budget of</legend>{choices}'
    "</fieldset>"
  )


def _line(front: Front, line: FrontLine, chart: FrontChart) -> str:
  """Chart, slider and table of one cost."""
  kind = COST_KINDS[line.cost]
  name = f"slider-{line.cost}"
  place = (
    f"margin-left:{100 * chart.left:.2f}%;"
    f"margin-right:{100 * (1 - chart.right):.2f}%"
  )
  return (
    f'<div data-cost="{line.cost}">'
    f"{markup.figure(chart.svg, '')}"
    f'<div class="bar" style="{place}" hidden>'
    f'<input type="range" id="{name}" min="0" max="{len(line.stops) - 1}" '
    f'step="1" value="{len(line.stops) // 2}">'
    f'<label for="{name}">Budget: at most <output for="{name}"></output>'
    "</label></div>"
    + markup.details(
      f"all budgets of {escape(kind.column)} as a table",
      _table(front, line),
    )
    + "</div>"
  )


def _choice(front: Front) -> str:
  """What the script fills with the network of the budget."""
  drawn = [n.architecture for n in front.networks if n.architecture]
  return (
    '<div class="choice" hidden><h3></h3><p class="note"></p>'
    '<div class="tiles"></div><div class="scroll drawing"></div>'
    f"{drawing.legend(drawn)}"
    '<div class="recipe"></div>'
    '<h4>To train it and export it</h4><pre class="commands"></pre>'
    '<div class="trained"></div></div>'
  )


def _table(front: Front, line: FrontLine) -> str:
  """A row for each budget from which on another network is the best."""
  kind = COST_KINDS[line.cost]
  further = [
    k
    for k in COST_KINDS.values()
    if k.name not in ALWAYS
    and any(getattr(n, k.name) is not None for n in front.networks)
  ]
  kinds = [*(COST_KINDS[name] for name in ALWAYS), *further]
  scales = {
    k.name: markup.unit(getattr(n, k.name) for n in front.networks)
    for k in kinds
  }
  rows, before = [], None
  for stop in line.stops:
    if stop.network == before:
      continue
    before = stop.network
    network = front.networks[stop.network]
    architecture = network.architecture
    rows.append(
      [
        _amount(kind, stop.limit, scales[kind.name]),
        percent(network.accuracy),
        _spread(network) or markup.MISSING,
        *(_amount(k, getattr(network, k.name), scales[k.name]) for k in kinds),
        markup.MISSING
        if architecture is None
        else f"{plural(len(architecture.blocks), 'block')} at "
        f"{architecture.resolution} px",
      ]
    )
  head = [
    f"budget, {kind.limit}",
    "expected accuracy",
    "its spread",
    *(k.column for k in kinds),
    "network",
  ]
  return markup.table([escape(cell) for cell in head], rows)


def _data(
  result: NarsResult,
  front: Front,
  lines: Sequence[FrontLine],
  charts: Mapping[str, FrontChart],
) -> dict[str, Any]:
  """All that the script puts into the page; drawings and commands packed."""
  drawings = [
    ""
    if n.architecture is None
    else drawing.draw(n.architecture, "slider-network", _shape(n))
    for n in front.networks
  ]
  packed = {
    "drawings": drawings,
    "commands": {
      line.cost: [_commands(result, front, line, stop) for stop in line.stops]
      for line in lines
    },
  }
  members = sorted(
    (m for m in result.members if m.checkpoint), key=lambda m: m.macs or 0.0
  )
  return {
    "lines": {
      line.cost: {
        "chart": charts[line.cost].name,
        "moves": charts[line.cost].moves,
        "stops": [_stop(front, line, stop, members) for stop in line.stops],
      }
      for line in lines
    },
    "networks": [_network(result, n) for n in front.networks],
    "members": [_member(m) for m in members],
    "packed": base64.b64encode(
      gzip.compress(json.dumps(packed).encode(), mtime=0)
    ).decode(),
  }


def _stop(
  front: Front,
  line: FrontLine,
  stop: FrontStop,
  members: Sequence[FamilyMember],
) -> dict[str, Any]:
  """A budget: its words, its network, and who is trained within it."""
  kind = COST_KINDS[line.cost]
  network = front.networks[stop.network]
  cost = getattr(network, line.cost)
  words = f"{_amount(kind, stop.limit)} {kind.limit}"
  number, _, unit = _amount(kind, stop.limit).partition(" ")
  spoken = " ".join(filter(None, (number, _SPOKEN.get(unit, unit), kind.limit)))
  inside = [
    i
    for i, member in enumerate(members)
    if (paid := getattr(member, line.cost)) is not None
    and paid <= (stop.limit or 0.0)
  ]
  best = max(
    inside, key=lambda i: members[i].test_accuracy or 0.0, default=None
  )
  return {
    "words": words,
    "spoken": f"at most {spoken}: expected accuracy "
    f"{percent(network.accuracy)}",
    "cost": cost,
    "paid": f"{_amount(kind, cost)} {kind.limit}",
    "network": stop.network,
    "member": best,
  }


def _network(result: NarsResult, network: FrontNetwork) -> dict[str, Any]:
  """What there is to say of a network, as text."""
  spread = _spread(network)
  tiles = [
    (
      percent(network.accuracy),
      "expected accuracy" + (f", {spread}" if spread else ""),
    )
  ]
  for kind in COST_KINDS.values():
    value = getattr(network, kind.name)
    if value is not None:
      tiles.append((_amount(kind, value), kind.limit))
  if signal(result) == "likelihood" and network.predicted is not None:
    tiles.append((percent(network.predicted), "likelihood, predicted"))
  searched = any(d.recipe for d in result.space.decisions)
  recipe = [
    (field.replace("_", " "), markup.plain(value))
    for field, value in network.recipe.items()
  ]
  same = [
    m.name
    for m in result.members
    if m.architecture is not None and m.architecture == network.architecture
  ]
  return {
    "shape": _shape(network),
    "tiles": tiles,
    "recipe": recipe if searched else [],
    "same": same[0] if same else "",
    "costs": {
      kind: getattr(network, kind)
      for kind in COST_KINDS
      if getattr(network, kind) is not None
    },
  }


def _member(member: FamilyMember) -> dict[str, str]:
  """A trained member and the command that exports it."""
  place = shlex.quote(member.checkpoint or "")
  return {
    "words": f"{member.name}, {count(member.macs)} MACs, "
    f"{percent(member.test_accuracy)} test accuracy",
    "command": f"{_COMMAND}export.py \\\n"
    f"  --workdir={_RUN}-{shlex.quote(member.name)}-exported \\\n"
    f"  --config.model={_RUN}/{place}",
  }


def _commands(
  result: NarsResult, front: Front, line: FrontLine, stop: FrontStop
) -> str:
  """The commands that give, train and export the network of a budget."""
  kind, network = COST_KINDS[line.cost], front.networks[stop.network]
  name = shlex.quote(stop.name)
  chosen, pair = f"{_RUN}-{name}", f"{_RUN}-{name}/candidates/{name}"
  cost = getattr(network, kind.name)
  cost = int(cost) if kind.is_count and cost is not None else cost
  evolve = [
    f"--workdir={chosen}",
    f"--config.run={_RUN} --config.front=True",
    flag(f"budgets.{kind.name}", [cost]),
  ]
  if kind.name != "macs":
    evolve.append("--config.budgets.macs='()'")
  budgets = result.config.get("budgets", {})
  if kind.name == "latency" and budgets.get("table"):
    evolve.append(flag("budgets.table", budgets["table"]))
  space = str(result.config.get("space", ""))
  if ":" in space:  # A part of the user's, which only a command can name.
    evolve.append(flag("space", space))
  train = [
    f"--workdir={chosen}-trained",
    f"--config.architecture={pair}.architecture.json",
    f"--config.recipe_file={pair}.recipe.json",
    "--config.resolution=0",
    *(flag(key, value) for key, value in front.training.items()),
    *_teacher(result, network),
  ]
  export = [
    f"--workdir={chosen}-exported",
    f"--config.model={chosen}-trained/members/{name}.architecture",
  ]
  jobs = [("evolve", evolve), ("train", train), ("export", export)]
  if result.supernet is not None:  # What it inherits is trained.
    export[1] = f"--config.model={chosen}/members/{name}"
    jobs = [("evolve", evolve), ("export", export)]
  return "\n".join(
    " \\\n  ".join([f"{_COMMAND}{job}.py", *flags]) for job, flags in jobs
  )


def _teacher(result: NarsResult, network: FrontNetwork) -> list[str]:
  """The flag of the member that taught the others, if it is larger."""
  teachers = {m.teacher for m in result.members}
  for member in result.members:
    larger = (member.macs or 0.0) > (network.macs or 0.0)
    if member.name in teachers and member.checkpoint and larger:
      return [f"--config.teacher={_RUN}/{shlex.quote(member.checkpoint)}"]
  return []


def _shape(network: FrontNetwork) -> str:
  if network.architecture is None:
    return "a network"
  blocks = plural(len(network.architecture.blocks), "block")
  return f"{blocks} at {network.architecture.resolution} pixels"


def _spread(network: FrontNetwork) -> str:
  """`96.9 to 98.1%`."""
  low, high = network.accuracy_range or (None, None)
  if low is None or high is None:
    return ""
  return f"{markup.number(100 * low, 1)} to {percent(high)}"


def _amount(
  kind: CostKind, cost: float | None, scale: tuple[float, str] | None = None
) -> str:
  if cost is None:
    return markup.MISSING
  return count(cost, scale) if kind.is_count else significant(cost)


def _json(data: dict[str, Any]) -> str:
  """As it may stand in a script element, in which no tag can begin."""
  text = json.dumps(data, ensure_ascii=True, allow_nan=False)
  return text.replace("<", "\\u003c")


def _part(name: str) -> str:
  return resources.files(__package__).joinpath(name).read_text("utf-8")
