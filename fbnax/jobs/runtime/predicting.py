"""What a finished model says of images on disk, as text and as a page.

An image is prepared as those that the model was measured on: turned as its EXIF
says, converted as `fbnax.data.decoding` does (transparency on white, CMYK and
palettes to RGB, of 16 bits those that the model's images had), cropped and
scaled. Probabilities are made with the temperature of the model's card, if it
has one; those of a tree's paths are as they are.

Symbols: `H`, `W` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax import nbdt
from fbnax.base import files
from fbnax.base.names import escaped
from fbnax.data import decoding, streaming
from fbnax.nbdt.naming import distinct_names
from fbnax.report import markup
from fbnax.training import augment, model_files

HIERARCHY = "hierarchy.json"


class Prediction(NamedTuple):
  """What a model says of an image.

  Attributes:
    path: of the image.
    image: `u8[H, W, C]`, as the model sees it.
    notes: how it was converted.
    classes: the likeliest, best first, with their probabilities.
    path_text: the decisions of the model's hierarchy, "" without one.
    drawing: the hierarchy with that path marked, an `<svg>`, "" without one.
    decision: what the image is taken for by the threshold of the model's card,
      in words; "" where it has none.
    steps: the decisions of `path_text`, as data.
  """

  path: Path
  image: np.ndarray
  notes: tuple[str, ...]
  classes: tuple[tuple[str, float], ...]
  path_text: str
  drawing: str = ""
  decision: str = ""
  steps: tuple[nbdt.Decision, ...] = ()


class ReadyModel(NamedTuple):
  """A model that is ready to predict; `open_model` makes it.

  Attributes:
    model: its directory.
    saved: what was read of it.
    hierarchy: beside it, or None.
    apply: logits `f32[B, K]` of images `u8[B, H, W, C]`.
  """

  model: Path
  saved: model_files.SavedModel
  hierarchy: nbdt.Hierarchy | None
  apply: Callable[[Any], Any]

  def seen(
    self, encoded: Path | bytes, name: str
  ) -> tuple[np.ndarray, tuple[str, ...]]:
    """An image as the model sees it, and what was done to it."""
    given = self.saved.card["preprocessing"]
    return prepared(
      encoded,
      self.saved.module.architecture.input_channels,
      given["resolution"],
      given.get("crop_ratio", 1.0),
      self.saved.bits,
      name,
    )

  def prediction(
    self,
    image: np.ndarray,
    notes: tuple[str, ...],
    *,
    path: str | Path,
    top: int,
    drawn: str = "",
  ) -> Prediction:
    """What the model says of an image.

    Args:
      image: as `seen` gives it.
      notes: likewise.
      path: what the image is called.
      top: how many classes.
      drawn: the id of the hierarchy's drawing; "" for none.

    Raises:
      ValueError: the logits are not finite.
    """
    saved, hierarchy = self.saved, self.hierarchy
    names = saved.card["class_names"]
    logits = np.asarray(self.apply(jnp.asarray(image[None])))[0]
    if not np.isfinite(logits).all():
      raise ValueError(
        f"{self.model} gives logits that are not finite for {path}; legal: a"
        " model that can be used"
      )
    shares = np.asarray(jax.nn.softmax(logits / saved.calibration.by))
    words, drawing = "", ""
    steps: tuple[nbdt.Decision, ...] = ()
    if hierarchy is not None:
      steps = tuple(nbdt.explain(logits, hierarchy, names))
      words = nbdt.describe(steps)
      if drawn:
        drawing = nbdt.tree_svg(
          hierarchy,
          class_names=names,
          logits=logits,
          name=drawn,
          label=f"The decisions for {escaped(str(path))}",
        )
      logs = nbdt.path_log_probs(logits[None], hierarchy)
      shares = np.exp(np.asarray(logs))[0]
    best = np.argsort(-shares, kind="stable")[:top]
    classes = tuple((names[i], float(shares[i])) for i in best)
    decision = "" if hierarchy is not None else _decision(saved, shares)
    return Prediction(
      Path(path), image, notes, classes, words, drawing, decision, steps
    )


def open_model(model: str | Path) -> ReadyModel:
  """Reads a model, to predict with.

  Raises:
    ValueError: there is no such model.
  """
  saved = model_files.load(model)
  settings = saved.settings()
  apply = jax.jit(
    lambda x: saved.module.apply(
      saved.variables, augment.prepare(x, settings), train=False
    )
  )
  hierarchy = _hierarchy(Path(model), saved.card["class_names"])
  return ReadyModel(Path(model), saved, hierarchy, apply)


def predict(
  model: str | Path, paths: Sequence[str | Path], top: int = 5
) -> list[Prediction]:
  """Predictions for images.

  Args:
    model: a model's directory.
    paths: of the images.
    top: how many classes.

  Raises:
    ValueError: there is no such model, or a path is no image that can be read.
  """
  if top < 1:
    raise ValueError(f"top is {top}; legal: at least 1")
  opened = open_model(model)
  images = [opened.seen(Path(path), str(path)) for path in paths]
  return [
    opened.prediction(image, notes, path=path, top=top, drawn=f"tree-{i}")
    for i, (path, (image, notes)) in enumerate(zip(paths, images, strict=True))
  ]


def text(prediction: Prediction) -> str:
  """A prediction in lines for a terminal."""
  notes = f"  ({'; '.join(prediction.notes)})" if prediction.notes else ""
  lines = [f"{escaped(str(prediction.path))}{notes}"]
  lines += [
    f"  {share:7.2%}  {escaped(name)}" for name, share in prediction.classes
  ]
  if prediction.decision:
    lines.append(f"  {prediction.decision}")
  if prediction.path_text:
    lines += [f"  {line}" for line in prediction.path_text.split("\n")]
  return "\n".join(lines)


def page(predictions: Sequence[Prediction]) -> str:
  """Predictions as one HTML document: each image beside its classes."""
  return _PAGE.format(figures="\n".join(map(_figure, predictions)))


def _decision(saved: model_files.SavedModel, shares: np.ndarray) -> str:
  """What an image is taken for by the threshold of the model's card."""
  positive, threshold = saved.calibration.positive, saved.calibration.threshold
  if positive is None or threshold is None:
    return ""
  place = saved.class_names.index(positive)
  reached = bool(shares[place] >= threshold)
  name = positive if reached else saved.class_names[1 - place]
  return (
    f"taken for {escaped(name)}: {shares[place]:.2%} of {escaped(positive)}"
    f" {'reaches' if reached else 'is below'} the threshold of {threshold:.2%}"
  )


def _hierarchy(model: Path, names: Sequence[str]) -> nbdt.Hierarchy | None:
  """The hierarchy beside a model, or of the run whose member it is."""
  places = [model / HIERARCHY]
  if model.absolute().parent.name == "members":
    places.append(model.absolute().parents[1] / HIERARCHY)
  for place in places:
    if place.exists():
      file = files.inside(place.parent, place)
      return nbdt.Hierarchy.load(file, class_names=distinct_names(names))
  return None


def prepared(
  encoded: Path | bytes,
  channels: int,
  side: int,
  crop: float,
  known_bits: int | None,
  name: str = "",
) -> tuple[np.ndarray, tuple[str, ...]]:
  """The image as a model sees it, `u8[H, W, C]`, and what was done to it.

  Args:
    encoded: the image's path, or the content of its file.
    channels: of the model's images.
    side: of them, pixels.
    crop: share of the shorter side that is seen, centred.
    known_bits: significant ones of images of 16 bits; None if it saw none.
    name: what to call the image in an error message; "" for its path.
  """
  bits = known_bits or decoding.DEEPEST
  name = name or str(encoded)
  image = decoding.decode(encoded, channels, name, bits)
  if known_bits is None and not image[..., :3].any():
    # 8 bits in two bytes, as many programs write them, would stay black.
    bits = 8 if decoding.largest_value(encoded, name) else bits
    image = decoding.decode(encoded, channels, name, bits)
  notes = [*_conversions(encoded, channels, bits)]
  height, width = image.shape[:2]
  if crop == 1.0 and height != width:
    notes.append(f"{width} x {height} pixels squeezed into a square")
  if crop == 1.0:
    return decoding.resize(image, (side, side)), tuple(notes)
  size = (side, side)
  return streaming.resize_centre_crop(image, size, crop), tuple(notes)


def _conversions(encoded: Path | bytes, channels: int, bits: int) -> list[str]:
  """What `decode` has done to an image, in words."""
  with decoding.opened(encoded) as image:
    mode, frames = image.mode, decoding.frames(image)
    deep = "16 bits cut to 8"
    if bits < decoding.DEEPEST:
      deep = f"16 bits: 0 to {2**bits - 1:,} became 0 to 255, as in training"
    rules = (
      (decoding.is_deep(image), deep),
      (mode == "CMYK", "CMYK converted to RGB"),
      (
        image.has_transparency_data and channels != 4,
        "transparency shown on white",
      ),
      (decoding.orientation(image) != 1, "turned as its EXIF says"),
      (frames > 1, f"the first of {frames} frames"),
      (
        channels == 1 and not decoding.is_grey(image),
        "colours converted to gray",
      ),
      (
        channels == 3 and decoding.is_grey(image),
        "gray repeated for each colour",
      ),
    )
  return [words for holds, words in rules if holds]


def _figure(prediction: Prediction) -> str:
  rows = "\n".join(
    f"<tr><td>{markup.escape(name)}</td><td>{share:.1%}</td>"
    f'<td class="bar"><i style="width:{100 * share:.1f}%"></i></td></tr>'
    for name, share in prediction.classes
  )
  caption = "; ".join((escaped(str(prediction.path)), *prediction.notes))
  tree = ""
  if prediction.decision:
    tree = f"<p>{markup.escape(prediction.decision)}</p>"
  if prediction.path_text:
    tree += f"<pre>{markup.escape(prediction.path_text)}</pre>"
  return (
    f'<figure><img alt="" src="{_png(prediction.image)}">'
    f"<div><figcaption>{markup.escape(caption)}</figcaption>"
    f"<table>{rows}</table>{tree}</div>{prediction.drawing}</figure>"
  )


def _png(image: np.ndarray) -> str:
  from PIL import Image

  content = io.BytesIO()
  flat = image[..., 0] if image.shape[-1] == 1 else image
  Image.fromarray(flat).save(content, "PNG")
  return (
    "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
  )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Predictions</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 52rem; padding: 0 1rem; color: #1b1f24; background: #fff }}
figure {{ display: flex; flex-wrap: wrap; gap: 1.5rem; margin: 0 0 2rem }}
figure img {{ width: 12rem; height: 12rem; object-fit: contain;
  image-rendering: pixelated }}
figure svg {{ width: 100% }}
figure div {{ flex: 1; min-width: 18rem }}
figcaption {{ color: #59636e; overflow-wrap: anywhere }}
table {{ width: 100%; border-spacing: 0 }}
td {{ padding: .1rem .8rem .1rem 0; white-space: nowrap }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums }}
.bar {{ width: 60%; padding: 0 }}
.bar i {{ display: block; height: .8rem; background: #2f6db3 }}
pre {{ font: inherit; white-space: pre-wrap; margin: .5rem 0 }}
</style>
{figures}
</html>
"""
