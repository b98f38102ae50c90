"""The members' networks: each drawn, and listed block by block."""

from __future__ import annotations

from fbnax.report import drawing, markup
from fbnax.report.markup import escape, figure, percent
from fbnax.report.schema import MemberRow, Result
from fbnax.report.shapes import steps
from fbnax.spaces.activations import NONLINEARITIES
from fbnax.spaces.kinds import KINDS


def networks(result: Result) -> str:
  """A drawing and a folded table for each member; empty without any."""
  parts = []
  for i, member in enumerate(result.members):
    if member.architecture is None:
      continue
    label = (
      f"{member.name}: {len(member.architecture.blocks)} blocks at "
      f"{member.architecture.resolution} pixels"
    )
    costs = [
      f"{markup.count(value)} {noun}"
      for value, noun in ((member.macs, "MACs"), (member.params, "parameters"))
      if value is not None
    ]
    if member.test_accuracy is not None:
      costs.append(f"{percent(member.test_accuracy)} test accuracy")
    parts.append(
      f'<h3>{escape(member.name)} <span class="muted">{", ".join(costs)}'
      "</span></h3>"
      + figure(drawing.draw(member.architecture, f"network-{i}", label), "")
      + markup.details("block by block", _block_table(member))
    )
  drawn = [m.architecture for m in result.members if m.architecture]
  if not drawn:
    return ""
  return (
    "<p>A bar is a block: its colour the kernel, its height the expansion, "
    "its width the output channels, written below it where they change. "
    "Dotted lines begin a stage.</p>" + drawing.legend(drawn) + "".join(parts)
  )


def _block_table(member: MemberRow) -> str:
  assert member.architecture is not None
  rows = []
  for step in steps(member.architecture):
    block = step.block
    kind = KINDS[block.op]
    searched = not kind.passes
    rows.append(
      [
        escape(step.name),
        escape(kind.label),
        f"{block.kernel}×{block.kernel}" if searched else markup.MISSING,
        f"{block.expansion:g}" if searched else markup.MISSING,
        f"{step.channels_in} → {block.channels}",
        str(block.stride),
        f"{step.size_in} → {step.size_out}",
        markup.plain(block.squeeze_excite),
        markup.plain(step.residual),
        escape(NONLINEARITIES[block.activation].label)
        if searched
        else markup.MISSING,
      ]
    )
  head = [
    "block",
    "operation",
    "kernel",
    "expansion",
    "channels",
    "stride",
    "pixels",
    "squeeze-excite",
    "residual",
    "activation",
  ]
  return markup.table(head, rows)
