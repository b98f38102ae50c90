"""The family's table: one row for each member, what it costs and can."""

from __future__ import annotations

from collections.abc import Sequence

from fbnax.base.cost_kinds import ALWAYS, COST_KINDS, CostKind
from fbnax.report import markup
from fbnax.report.markup import (
  MISSING,
  count,
  escape,
  percent,
  plural,
  significant,
  whole,
)
from fbnax.report.schema import MemberRow, Numbers, Result

LIKELIHOOD = (
  " A likelihood is the geometric mean of the probabilities that the right "
  "classes get: it tells candidates apart where accuracy hardly does."
)


def signal(result: Result) -> str:
  """What candidates were ranked by, as a noun."""
  return "likelihood" if result.signal == "likelihood" else "accuracy"


def family_table(result: Result) -> str:
  """One row for each member; the best of what is better or worse is bold."""
  members = result.members
  accuracy = [m.test_accuracy for m in members]
  losses = [m.test_log_loss for m in members]
  several = len(members) > 1  # Of one, nothing is the best.
  best_accuracy = max((a for a in accuracy if a is not None), default=None)
  best_loss = min((x for x in losses if x is not None), default=None)
  columns: list[tuple[str, list[str]]] = [
    ("member", [escape(m.name) for m in members]),
    (
      "test accuracy",
      [
        _best(percent(a), several and a is not None and a == best_accuracy)
        + _interval(a, result.dataset.test)
        for a in accuracy
      ],
    ),
    (
      "log-loss",
      [
        _best(markup.number(x), several and x is not None and x == best_loss)
        for x in losses
      ],
    ),
    *((kind.column, _costs(members, kind)) for kind in COST_KINDS.values()),
    ("network", [_network(m) for m in members]),
    ("training", [_training(m) for m in members]),
    (
      f"predicted {signal(result)}",
      [percent(m.predicted) for m in members],
    ),
  ]
  return _filled(columns) + _table_note(result)


def _costs(members: Sequence[MemberRow], kind: CostKind) -> list[str]:
  """A cost of each member, with its share of the member's budget."""
  costs = [getattr(m, kind.name) for m in members]
  scale = markup.unit(costs)
  cells = []
  for member, cost in zip(members, costs, strict=True):
    if kind.name in ALWAYS:
      cell = count(cost, scale)
    elif cost is None:
      cell = ""
    else:
      cell = whole(cost) if kind.is_count else significant(cost)
    cells.append(cell + _share(cost, member.budget.get(kind.name)))
  return cells


def _filled(columns: Sequence[tuple[str, list[str]]]) -> str:
  """A table of the columns in which there is something."""
  kept = [c for c in columns if any(cell not in ("", MISSING) for cell in c[1])]
  rows = list(zip(*(cells for _, cells in kept), strict=True))
  shown = [[cell or MISSING for cell in row] for row in rows]
  return markup.table([name for name, _ in kept], shown, "family")


def _best(text: str, best: bool) -> str:
  return f"<strong>{text}</strong>" if best else text


def _interval(share: float | None, images: int | None) -> str:
  if share is None or not images or not 0 <= share <= 1:
    return ""
  low, high = markup.interval(share, images)
  return _under(f"{100 * low:.1f}–{100 * high:.1f}")


def _table_note(result: Result) -> str:
  notes = []
  if result.dataset.test and any(
    m.test_accuracy is not None for m in result.members
  ):
    notes.append(
      "Below each test accuracy stands its 95% interval (Wilson) for "
      f"{whole(result.dataset.test)} test images; networks whose intervals "
      "overlap much are not told apart by this test set."
    )
  if any(m.predicted is not None for m in result.members):
    notes.append(
      f"“Predicted {signal(result)}” is what the search expected of a "
      "candidate on validation images, before the member was trained."
      + (LIKELIHOOD if signal(result) == "likelihood" else "")
    )
  if any(m.checkpoint for m in result.members):
    paths = ", ".join(
      f"<code>{escape(m.checkpoint)}</code>"
      for m in result.members
      if m.checkpoint
    )
    notes.append(f"Checkpoints, in the work directory: {paths}.")
  return f'<p class="note">{" ".join(notes)}</p>' if notes else ""


def _share(cost: float | None, limits: Numbers | None) -> str:
  """A cost as a share of its upper limit, with a bar; empty without one."""
  high = limits[1] if limits else None
  if cost is None or not high:
    return ""
  share = cost / high
  over = " over" if share > 1 else ""
  return _under(
    f'<span class="meter{over}"><i style="width:{min(share, 1) * 100:.1f}%">'
    f"</i></span> {100 * share:.0f}% of budget"
  )


def _network(member: MemberRow) -> str:
  if member.architecture is None:
    return ""
  blocks = plural(len(member.architecture.blocks), "block")
  return blocks + _under(f"at {member.architecture.resolution} pixels")


def _training(member: MemberRow) -> str:
  """Optimizer and epochs; below, who taught it and how long it took."""
  words = []
  if member.recipe.get("optimizer") is not None:
    words.append(escape(member.recipe["optimizer"]))
  if member.epochs is not None:
    words.append(plural(member.epochs, "epoch"))
  below = []
  if member.teacher is not None:
    below.append(f"taught by {escape(member.teacher)}")
  if member.seconds is not None:
    below.append(markup.duration(member.seconds))
  return ", ".join(words) + _under(", ".join(below))


def _under(words: str) -> str:
  """A second line in a cell."""
  return f'<span class="under">{words}</span>' if words else ""
