"""The tree of a classifier as one interactive page, for a browser.

A file of its own that needs no network: style, script (`page.css` and `page.js`
beside this file), images and data are in it, and its content security policy
admits nothing else. Names reach the document as text only. It is written here
and not in `fbnax.report`, whose pages are read without scripts and which knows
no trees.

Nodes close and open, are found by name, and are walked by the arrow keys. A
sample's path is marked, with the probabilities of every decision on it and,
where it is wrong, the path of the true class. Trees of more than 64 classes
begin with the larger nodes open; all of ImageNet's 1,000 can be opened.

A page can be opened in a state: `#sample=2&search=dog&node=14&open=all` after
its address selects the second sample, searches, goes to a node, opens all nodes
(or none).

Symbols: `n` samples, `K` classes, `V` nodes, classes first.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.base.names import escaped
from fbnax.nbdt import inference
from fbnax.nbdt.drawing import data_uri
from fbnax.nbdt.hierarchy import Hierarchy
from fbnax.nbdt.naming import all_names, by_leaves
from fbnax.nbdt.sketch import as_rgb, checked_images, opened

_ROWS = 40  # Shown at first; larger trees begin with nodes closed.
_SMALL = 64  # Trees with as many classes begin with all nodes open.
_LEAF, _SAMPLE = 64, 192  # Longest sides of images, in pixels.


class Samples(NamedTuple):
  """Samples whose paths a page shows.

  Attributes:
    images: `u8[n, H, W, C]` with one or three channels, or None.
    logits: `f32[n, K]`.
    labels: the true classes, `i32[n]`, or None.
  """

  images: Any
  logits: Any
  labels: Any = None


def tree_page(
  hierarchy: Hierarchy,
  *,
  title: str = "Decision tree",
  class_names: Sequence[str] | None = None,
  samples: Samples | None = None,
  leaf_images: Sequence[np.ndarray | None] | None = None,
  node_accuracy: Sequence[float | None] | None = None,
  node_visits: Sequence[float | None] | None = None,
) -> str:
  """A page with the tree: nodes close and open, are found by name, are zoomed.

  Equal arguments give equal pages.

  Args:
    hierarchy: over `K` classes; its labels name the inner nodes.
    title: of the page.
    class_names: names of the `K` classes, or of all `V` nodes.
    samples: their paths are shown, with the probabilities of every decision.
    leaf_images: `u8[H, W]`, `[H, W, 1]` or `[H, W, 3]` per class, or None.
    node_accuracy: share of right decisions of each of the `V` nodes, or None.
    node_visits: how many samples reach each of the `V` nodes, or None.

  Returns:
    The document.

  Raises:
    ValueError: arguments that do not fit the hierarchy or each other.
  """
  names = all_names(hierarchy, class_names)
  pictures = checked_images(hierarchy, leaf_images)
  if hierarchy.num_classes <= _SMALL:
    start = list(range(hierarchy.num_classes, hierarchy.num_nodes))
  else:
    start = opened(hierarchy, _ROWS)
  data = {
    "names": [escaped(name) for name in names],
    "listed": _listed(hierarchy, names),
    "parents": np.asarray(hierarchy.parents).tolist(),
    "children": hierarchy.children,
    "open": sorted(start),
    "images": [None if p is None else data_uri(p, _LEAF) for p in pictures],
    "accuracy": _per_node("node_accuracy", hierarchy, node_accuracy),
    "visits": _per_node("node_visits", hierarchy, node_visits),
    "samples": [] if samples is None else _samples(hierarchy, samples),
  }
  script, style = _part("page.js"), _part("page.css")
  digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
  policy = (
    f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    f"script-src 'sha256-{digest}'"
  )
  # No end tag or comment can begin in the data.
  text = json.dumps(data, ensure_ascii=True, allow_nan=False)
  text = text.replace("<", "\\u003c")
  inner = hierarchy.num_nodes - hierarchy.num_classes
  kind = f"Decision tree · {hierarchy.num_classes:,} classes, {inner:,} nodes"
  return _DOCUMENT.format(
    policy=html.escape(policy),
    title=html.escape(escaped(title)),
    kind=kind,
    style=style,
    data=text,
    script=script,
  )


def _listed(hierarchy: Hierarchy, names: Sequence[str]) -> list[int]:
  """Nodes that have no name but a list of their classes, found by these."""
  classes = hierarchy.num_classes
  lists = by_leaves(hierarchy, names[:classes])
  return [i for i in range(classes, len(names)) if names[i] == lists[i]]


def _per_node(
  key: str, hierarchy: Hierarchy, values: Sequence[float | None] | None
) -> list[float | None] | None:
  if values is None:
    return None
  if len(values) != hierarchy.num_nodes:
    raise ValueError(
      f"{key} has {len(values)} entries; legal: {hierarchy.num_nodes}, one a "
      f"node"
    )
  # A share of no samples is often NaN.
  return [
    None if v is None or not np.isfinite(v) else round(float(v), 6)
    for v in values
  ]


def _samples(hierarchy: Hierarchy, samples: Samples) -> list[dict[str, Any]]:
  logits = np.asarray(samples.logits, np.float32)
  if logits.ndim != 2 or logits.shape[1] != hierarchy.num_classes:
    raise ValueError(
      f"samples.logits has shape {logits.shape}; legal: [n, "
      f"{hierarchy.num_classes}], as the hierarchy has "
      f"{hierarchy.num_classes} classes"
    )
  if not np.isfinite(logits).all():
    raise ValueError("samples.logits are not finite; legal: finite numbers")
  for key, values in (("images", samples.images), ("labels", samples.labels)):
    if values is not None and len(values) != len(logits):
      raise ValueError(
        f"samples.{key} has {len(values)} entries; legal: {len(logits)}, as "
        f"samples.logits"
      )
  if not len(logits):
    return []
  labels = [] if samples.labels is None else [int(x) for x in samples.labels]
  wrong = [x for x in labels if not 0 <= x < hierarchy.num_classes]
  if wrong:
    raise ValueError(
      f"samples.labels has {wrong[0]}; legal: 0 to {hierarchy.num_classes - 1}"
    )
  z = jnp.asarray(logits)
  steps = np.exp(np.asarray(inference.decision_log_probs(z, hierarchy)))
  soft = np.asarray(inference.soft_predict(z, hierarchy)).tolist()
  hard = np.asarray(inference.hard_predict(z, hierarchy)).tolist()
  plain = logits.argmax(1).tolist()
  return [
    {
      "image": None
      if samples.images is None
      else data_uri(as_rgb(samples.images[i]), _SAMPLE),
      "label": labels[i] if labels else None,
      "soft": soft[i],
      "hard": hard[i],
      "plain": plain[i],
      # Six digits: products over long paths stay right to four.
      "steps": [float(f"{p:.6g}") for p in steps[i].tolist()],
    }
    for i in range(len(logits))
  ]


@functools.cache
def _part(name: str) -> str:
  return resources.files("fbnax.nbdt").joinpath(name).read_text("utf-8")


_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<div class="heading"><p class="kind">{kind}</p><h1>{title}</h1></div>
<form id="finder" role="search">
<input id="search" type="search" placeholder="Find a class or node"
 aria-label="Find a class or node" autocomplete="off" spellcheck="false">
<output id="matches" for="search"></output>
</form>
<div class="tools" role="group" aria-label="View">
<button type="button" id="open-all">Open all</button>
<button type="button" id="close-all">Close all</button>
<span class="gap"></span>
<button type="button" id="zoom-out" aria-label="Smaller">−</button>
<button type="button" id="zoom-in" aria-label="Larger">+</button>
<button type="button" id="fit">Fit</button>
</div>
</header>
<main>
<aside id="side" aria-label="Samples"></aside>
<div id="stage"><svg id="canvas" role="tree" aria-label="{title}"></svg>
<p class="hint">Click a node to close or open it. Drag to move, scroll to zoom.
Keys: <kbd>/</kbd> find, arrows walk, <kbd>Enter</kbd> opens,
<kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom.</p></div>
</main>
<noscript><p>This page draws the tree by a script, which is in the file and
which this browser does not run.</p></noscript>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
