"""The chart of a training step's memory: masks, or one block per option."""

from __future__ import annotations

from fbnax.jobs.dnas.result import DnasResult
from fbnax.report import chart
from fbnax.report.markup import plural

# How options of channels are built, and what it is called.
FORMS = {"masks": "masks, as here", "blocks": "one block per option"}


def memory_of(result: DnasResult, form: str) -> list[tuple[int, float]]:
  """Options and bytes of a form, by options."""
  return sorted(
    (row.options, row.total)
    for row in result.memory
    if row.form == form and row.total and row.options > 0
  )


def memory(result: DnasResult) -> str | None:
  """Memory of a training step against the channel options of each block."""
  found = {form: memory_of(result, form) for form in FORMS}
  found = {form: rows for form, rows in found.items() if rows}
  if not found:
    return None
  with chart.style("chart-memory"):
    figure = chart.new(8.4, 3.9)
    axes = figure.add_subplot()
    for i, (form, rows) in enumerate(found.items()):
      axes.plot(
        [k for k, _ in rows],
        [total / 1e6 for _, total in rows],
        color=chart.COLOURS[i],
        linestyle=chart.DASHES[i],
        marker="o",
        label=FORMS[form],
      )
    options = sorted({k for rows in found.values() for k, _ in rows})
    axes.set_xticks(options, [str(k) for k in options])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("channel options of each block")
    axes.set_ylabel("memory of a training step, MB")
    axes.legend(loc="upper left")
    label = "Memory of a training step: " + "; ".join(
      f"{FORMS[form]} {rows[0][1] / 1e6:.4g} MB with {rows[0][0]} and "
      f"{rows[-1][1] / 1e6:.4g} MB with {plural(rows[-1][0], 'option')}"
      for form, rows in found.items()
    )
    return chart.svg(figure, "chart-memory", label)
