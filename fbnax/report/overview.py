"""The head of the report: what was designed, on what data, and the family."""

from __future__ import annotations

from fbnax.base.cost_kinds import ALWAYS, COST_KINDS
from fbnax.report import markup
from fbnax.report.family import family_table
from fbnax.report.markup import (
  count,
  escape,
  percent,
  plural,
  significant,
  whole,
)
from fbnax.report.schema import DatasetFacts, MemberRow, Numbers, Result

_SHOWN_NAMES = 10
JOBS = {"nars": "architectures and their training recipes, searched together"}


def title(result: Result) -> str:
  """The page's title, as text."""
  amount = len(result.members)
  what = "A network" if amount == 1 else f"{amount} networks"
  data = result.dataset.name or "an unnamed data set"
  return f"{what} for {data}" if amount else f"A search on {data}"


def overview(result: Result) -> str:
  """Key numbers, the data, the space, and the family's table, as HTML."""
  parts = [_tiles(result), _facts(result)]
  if result.members:
    parts.append(family_table(result))
  else:
    parts.append('<p class="note">The result names no finished network.</p>')
  return "".join(parts)


def absences(data: DatasetFacts) -> str:
  """Which classes a split has no image of, after its numbers, as HTML."""
  words = ""
  for split, names in (
    ("test", data.untested),
    ("validation", data.unvalidated),
  ):
    if names:
      shown = ", ".join(escape(name) for name in names[:_SHOWN_NAMES])
      more = len(names) - _SHOWN_NAMES
      shown += f" and {whole(more)} more" if more > 0 else ""
      words += f"; <strong>no {split} image of {shown}</strong>"
  return words


def _tiles(result: Result) -> str:
  tiles = []
  tested = [m for m in result.members if m.test_accuracy is not None]
  if tested:
    best = max(tested, key=lambda m: m.test_accuracy or 0.0)
    tiles.append(
      (
        percent(best.test_accuracy),
        f"best test accuracy, {best.name}",
      )
    )
  macs = [m.macs for m in result.members if m.macs is not None]
  if macs:
    scale = markup.unit(macs)
    low, high = count(min(macs), scale), count(max(macs), scale)
    words = low if low == high else f"{low.split()[0]} to {high}"
    tiles.append((words, "MACs for one image"))
  if result.trials:
    failed = sum(t.status == "failed" for t in result.trials)
    done = len(result.trials) - failed
    words = "candidates trained" + (f", {failed} failed" if failed else "")
    tiles.append((whole(done), words))
  if result.times.total is not None:
    tiles.append((markup.duration(result.times.total), "in all"))
  return markup.tiles(*tiles)


def _facts(result: Result) -> str:
  rows = []
  job = result.job or "unnamed"
  meaning = JOBS.get(job)
  rows.append(
    ("Job", escape(job) + (f": {escape(meaning)}" if meaning else ""))
  )
  rows += _data(result)
  space = result.space
  if space.name is not None:
    words = escape(space.name)
    if space.decisions:
      words += f", {plural(len(space.decisions), 'decision')}"
      recipes = sum(bool(d.recipe) for d in space.decisions)
      if recipes:
        words += f" of which {recipes} are the recipe's"
    if space.size is not None:
      words += f"; {_size(space.size)} candidates"
    low, high = space.macs_range or (None, None)
    if low is not None and high is not None:
      words += f", from {count(low)} to {count(high)} MACs"
    rows.append(("Space", words))
  budgets = [
    f'<span class="whole">{escape(m.name)}: {", ".join(_limits(m))}</span>'
    for m in result.members
    if _limits(m)
  ]
  if budgets:
    rows.append(("Budgets", "; ".join(budgets)))
  return (
    '<dl class="facts">'
    + "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in rows)
    + "</dl>"
  )


def _data(result: Result) -> list[tuple[str, str]]:
  data = result.dataset
  rows = []
  if data.name is not None:
    words = escape(data.name)
    if data.image_shape:
      words += f", {'×'.join(str(s) for s in data.image_shape)} images"
    if data.num_classes is not None:
      words += f" of {whole(data.num_classes)} classes"
    if data.source:
      words += f"; {escape(data.source)}"
    if data.class_names:
      names = ", ".join(escape(n) for n in data.class_names)
      if len(data.class_names) <= 12:
        words += f' <span class="muted">({names})</span>'
      else:
        words += markup.details("names of the classes", f"<p>{names}</p>")
    rows.append(("Data", words))
  splits = [
    f"{whole(n)} {name}"
    for name, n in (
      ("train", data.train),
      ("validation", data.validation),
      ("test", data.test),
    )
    if n is not None
  ]
  if splits:
    words = f"{', '.join(splits)} images"
    if data.shared_images is not None:
      shared = data.shared_images
      words += (
        "; no image is in two of them"
        if shared == 0
        else f"; <strong>{plural(shared, 'image')} in two of them</strong>"
      )
    words += absences(data)
    if result.trials:
      words += ". Candidates were compared on the validation images"
    if any(m.test_accuracy is not None for m in result.members):
      words += (
        ". The test images were used once, at the end, on what was finished"
      )
    words += "."
    rows.append(("Splits", words))
  return rows


def _size(size: float) -> str:
  """A number of candidates in words short enough to read."""
  if size < 1_000_000:
    return whole(size)
  mantissa, exponent = f"{size:.1e}".split("e")
  return f"{mantissa}×10<sup>{int(exponent)}</sup>"


def _limits(member: MemberRow) -> list[str]:
  """The member's budget in words, one entry for each limited cost."""
  words = []
  for kind in COST_KINDS.values():
    limits = member.budget.get(kind.name)
    text = _range(limits)
    if kind.name not in ALWAYS:
      _, high = limits or (None, None)
      text = "" if high is None else f"at most {significant(high)}"
    if text:
      words.append(f"{text} {kind.limit}")
  return words


def _range(limits: Numbers | None) -> str:
  low, high = limits or (None, None)
  if high is None:
    return f"at least {count(low)}" if low is not None else ""
  scale = markup.unit([high])
  if not low:
    return f"at most {count(high, scale)}"
  return f"{count(low, scale).split()[0]} to {count(high, scale)}"
