"""Draws the picture at the top of the README, from a finished search.

    .venv/bin/python launch/picture.py runs/digits launch/picture.svg

The committed one is of a smaller search, four CPU-minutes, with these values
over those of `configs/nars.py`:

    fix="resolution=8;stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;
    stage4.kernel=3;stage1.depth=1;stage2.depth=1,2;stage3.depth=1,2;
    stage4.depth=1" budgets.macs="(250e3,400e3,600e3)" search.rounds=2
    search.epochs=8 training.epochs=20

What the search tried and what it chose; a member block by block; and the path
of a test image through the tree that the member's own last weights induce. All
of them are drawings of the reports, put in one.
"""

import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
from ml_collections import config_dict

from fbnax import nbdt, report
from fbnax.base import files
from fbnax.jobs.runtime import inputs
from fbnax.models import classifier
from fbnax.report import accuracy_chart, chart, markup
from fbnax.training import augment, model_files

WIDTH, MARGIN, TITLE, GAP = 1060.0, 24.0, 30.0, 22.0


def picture(run: Path) -> str:
  """The picture of a run of the job `nars`, as an SVG document."""
  result = report.read(run)
  member = max(result.members, key=lambda m: m.macs or 0)
  assert member.architecture is not None
  return stacked(
    [
      (
        "Networks and recipes that were tried, and the family that was chosen",
        accuracy_chart.accuracy_macs(result) or "",
      ),
      (
        f"A member, block by block: {markup.count(member.macs)} MACs, "
        f"{markup.percent(member.test_accuracy)} of the test images right",
        report.draw(member.architecture, "member", "A member of the family"),
      ),
      (
        "Why this class? Its decisions for the image that it is least sure of",
        path_of_image(run, member.name),
      ),
    ]
  )


def path_of_image(run: Path, name: str) -> str:
  """The path of the test image that a member is least sure of, yet right.

  Every leaf shows a test image of its class, the one at the path's end is it.
  """
  saved = model_files.load(run / "members" / name)
  config = config_dict.ConfigDict(json.loads((run / "config.json").read_text()))
  found = inputs.dataset(config)
  images = np.stack([found.test.read(i) for i in range(len(found.test))])
  logits = np.asarray(
    jax.jit(
      lambda x: saved.module.apply(
        saved.variables, augment.prepare(x, saved.settings()), train=False
      )
    )(images)
  )
  tree = nbdt.wrap(
    lambda _: logits,
    classifier.final_weights(saved.variables),
    found.class_names,
  )
  shares = np.exp(np.asarray(tree(images)))
  labels = np.asarray(found.test.labels)
  right = (shares.argmax(1) == labels) & (logits.argmax(1) == labels)
  chosen = int(np.argmin(np.where(right, shares.max(1), np.inf)))
  leaves = [images[labels == k][0] for k in range(found.num_classes)]
  leaves[int(labels[chosen])] = images[chosen]
  return nbdt.tree_svg(
    tree.hierarchy,
    class_names=tree.names,
    logits=logits[chosen],
    leaf_images=leaves,
    label="The decisions on the path of a test image",
  )


def stacked(parts: list[tuple[str, str]]) -> str:
  """Titles and drawings, one under the other."""
  lines, y = [], MARGIN
  inner = WIDTH - 2 * MARGIN
  for title, svg in parts:
    opening = re.match(r"<svg\b[^>]*>", svg)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert opening is not None and view is not None
    width, height = float(view[1]), float(view[2])
    scale = min(inner / width, 4 / 3)
    shown = f'width="{width * scale:.1f}" height="{height * scale:.1f}"'
    lines.append(
      f'<text x="{MARGIN:g}" y="{y + 18:.0f}" font-size="17" '
      f'font-weight="600" fill="{chart.INK}">{markup.escape(title)}</text>'
    )
    name = re.search(r'\bid="[^"]*"', opening[0])
    lines.append(
      f'<svg {name[0] if name else ""} x="{MARGIN:g}" y="{y + TITLE:.0f}" '
      f'{shown} viewBox="{view[0][9:-1]}">{svg[opening.end() :]}'
    )
    y += TITLE + height * scale + GAP
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" '
    f'viewBox="0 0 {WIDTH:g} {y:.0f}" font-family="{chart.FONTS}">'
    f'<rect width="{WIDTH:g}" height="{y:.0f}" fill="#fff"/>'
    + "\n".join(lines)
    + "</svg>\n"
  )


def main(arguments: list[str]) -> None:
  """Writes the picture of a run to a file."""
  run, path = map(Path, arguments)
  files.write_atomically(path, picture(run))
  print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
  main(sys.argv[1:])
