"""A classifier from elsewhere: its last weights and its logits, as a tree.

NumPy files (`.npy`, `.npz`) and safetensors; nothing that could run code is
read. The logits of some images and the final weights are all that a tree needs
(equation 5.5 of Wan 2022).

Symbols: `N` samples, `K` classes, `D` features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from fbnax.base import text
from fbnax.base.arrays import check_finite, open_npz, read_array
from fbnax.jobs.nbdt import analyses
from fbnax.jobs.nbdt.config import ForeignKeys, NbdtConfig
from fbnax.jobs.nbdt.result import ForeignData, ForeignResult, WeightsResult
from fbnax.jobs.runtime.trees import explaining, measuring, settings
from fbnax.jobs.runtime.trees.explaining import Seen
from fbnax.jobs.runtime.workdir import WorkDir
from fbnax.models import safetensors
from fbnax.models.weight_names import shared_prefix

# What last layers are called where people save them, in the order of trust.
_USUAL = (
  "fc_weights",
  "weights",
  "fc.weight",
  "classifier.weight",
  "head.weight",
  "head.fc.weight",
  "classifier.1.weight",
  "linear.weight",
  "heads.head.weight",
  "weight",
)
# Arrays of a file that are not weights.
_OTHERS = ("logits", "labels", "images", "class_names")


class Foreign(NamedTuple):
  """A classifier from elsewhere, as far as its files tell.

  Attributes:
    weights: of the last layer, `[K, D]`.
    class_names: of the classes.
    logits: `f32[N, K]`, or None.
    labels: `i32[N]`, or None.
    images: `u8[N, H, W, C]`, or None.
  """

  weights: np.ndarray
  class_names: tuple[str, ...]
  logits: np.ndarray | None = None
  labels: np.ndarray | None = None
  images: np.ndarray | None = None


def explained(config: NbdtConfig, work: WorkDir) -> WeightsResult:
  """A classifier from elsewhere, explained as it is."""
  with work.phase("reading"):
    foreign = read(config.foreign, config.class_names)
  with work.phase("hierarchy"):
    tree = settings.hierarchy(
      config.tree, foreign.class_names, foreign.weights, seed=config.seed
    )
  seen, analysed, accuracies = None, None, {}
  if foreign.logits is not None:
    images = foreign.images if config.data.pictures else None
    seen = Seen(foreign.logits, foreign.labels, images)
    with work.phase("analyses"):
      analysed = analyses.analyse(seen, tree, foreign.weights)
      if foreign.labels is not None:
        accuracies["given"] = measuring.accuracies(
          foreign.logits, foreign.labels, tree
        )
  with work.phase("pictures"):
    pictures = explaining.draw(
      work.path,
      tree,
      "Decision tree",
      seen,
      () if analysed is None else analysed.nodes,
    )
  result = WeightsResult(
    dataset=ForeignData(
      name=config.foreign.weights,
      source=config.foreign.logits or config.foreign.weights,
      num_classes=len(foreign.class_names),
      class_names=foreign.class_names,
      test=None if seen is None else len(seen.logits),
    ),
    hierarchy=analyses.described(config.tree.hierarchy, tree),
    accuracies=accuracies,
    pictures=pictures,
  )
  if analysed is None:
    return result
  return ForeignResult(**vars(result), **vars(analysed))


def read(section: ForeignKeys, class_names: str = "") -> Foreign:
  """What `config.foreign` names.

  Args:
    section: `config.foreign`.
    class_names: `config.class_names`.

  Raises:
    ValueError: a file, a key or an array that is none of what is legal.
  """
  arrays = read_arrays(section.weights, "config.foreign.weights")
  weights = _final(section.weights, arrays, section.key)
  outputs = arrays
  if section.logits:
    outputs = read_arrays(section.logits, "config.foreign.logits")
    if set(outputs) == {""}:
      outputs = {"logits": outputs[""]}
  names = _names(class_names, arrays, outputs, len(weights))
  logits = outputs.get("logits")
  if section.logits and logits is None:
    raise ValueError(
      f"{section.logits} has no array 'logits'; found {sorted(outputs)}"
    )
  if logits is None:
    return Foreign(weights, names)
  return Foreign(
    weights,
    names,
    _logits(logits, len(weights)),
    _labels(outputs.get("labels"), len(logits), len(weights)),
    _images(outputs.get("images"), len(logits)),
  )


def read_arrays(path: str, key: str) -> dict[str, np.ndarray]:
  """All arrays of a file by their names, "" in a `.npy`.

  Args:
    path: of the file; its ending tells the format.
    key: of the config, for messages.

  Raises:
    ValueError: no such file, another format, damaged, or pickled objects.
  """
  file = Path(path)
  if not file.is_file():
    raise ValueError(f"{key}={path!r}: there is no such file")
  try:
    if file.suffix == ".npy":
      with file.open("rb") as content:
        return {"": read_array(content, file.stat().st_size, file)}
    if file.suffix == ".npz":
      with open_npz(file) as arrays:
        return dict(arrays)
    if file.name.endswith((".safetensors", ".safetensors.index.json")):
      return safetensors.read(file)
  except (ValueError, OSError) as error:
    raise ValueError(f"{key}={path!r} cannot be read: {error}") from error
  raise ValueError(
    f"{key}={path!r}; legal: a file that ends in .npy, .npz or .safetensors, or"
    " the index of one in parts, .safetensors.index.json"
  )


def _final(path: str, arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
  """The matrix of the last layer."""
  tables = sorted(
    k for k, v in arrays.items() if v.ndim == 2 and k not in _OTHERS
  )
  if not key:
    only = tables if len(tables) == 1 else []
    prefix = shared_prefix(
      arrays, lambda names: not {*_USUAL}.isdisjoint(names)
    )
    usual = ("", *_USUAL, *only, *(prefix + name for name in _USUAL))
    key = next((k for k in usual if k in arrays), "")
  if key not in arrays:
    missing = f"array {key!r}" if key else "weights of a usual name"
    raise ValueError(
      f"{path} has no {missing}; legal as config.foreign.key: one of its "
      f"matrices, {tables[:20]}"
    )
  weights = arrays[key]
  if weights.ndim != 2:
    raise ValueError(
      f"{path}: {key!r} has shape {list(weights.shape)}; legal: [K, D], a row "
      f"for each class"
    )
  if weights.shape[0] < 2 or not weights.size:
    raise ValueError(
      f"{path}: {key!r} has shape {list(weights.shape)}; legal: [K, D] of 2 "
      f"classes or more, with 1 feature or more"
    )
  return _numbers(weights, f"{path}: {key!r}")


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
  """The array if it is one of finite numbers."""
  if not jnp.issubdtype(array.dtype, jnp.number) or np.iscomplexobj(array):
    raise ValueError(f"{where} is {array.dtype}; legal: real numbers")
  check_finite(array, where)
  return array


def _names(
  words: str,
  arrays: Mapping[str, np.ndarray],
  outputs: Mapping[str, np.ndarray],
  classes: int,
) -> tuple[str, ...]:
  names: tuple[str, ...] = tuple(str(k) for k in range(classes))
  listed = outputs.get("class_names", arrays.get("class_names"))
  if listed is not None:
    if listed.dtype.kind not in "SU" or listed.shape != (classes,):
      raise ValueError(
        f"class_names is {listed.dtype}{list(listed.shape)}; legal: {classes} "
        f"strings, one for each row of the weights"
      )
    names = tuple(_name(i, name) for i, name in enumerate(listed))
    settings.check_forms(names, "class_names")
  return settings.named(words, names, "config.class_names")


def _name(index: int, name: str | bytes) -> str:
  where = f"class_names[{index}]"
  if isinstance(name, str):
    name = name.encode("utf-8", "surrogatepass")
  decoded = text.decode(name, where)
  if not decoded.strip():
    raise ValueError(f"{where} is {decoded!r}; legal: a name that is not blank")
  return decoded


def _logits(logits: np.ndarray, classes: int) -> np.ndarray:
  if logits.ndim != 2 or logits.shape[1] != classes or not len(logits):
    raise ValueError(
      f"logits has shape {list(logits.shape)}; legal: [N, {classes}], as the "
      f"weights have {classes} rows"
    )
  return _numbers(logits, "logits").astype(np.float32)


def _labels(
  labels: np.ndarray | None, count: int, classes: int
) -> np.ndarray | None:
  if labels is None:
    return None
  if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(
      f"labels is {labels.dtype}{list(labels.shape)}; legal: {count} integers, "
      f"as logits"
    )
  if labels.min() < 0 or labels.max() >= classes:
    raise ValueError(
      f"labels goes from {labels.min()} to {labels.max()}; legal: 0 to "
      f"{classes - 1}"
    )
  return labels.astype(np.int32)


def _images(images: np.ndarray | None, count: int) -> np.ndarray | None:
  if images is None:
    return None
  legal = images.ndim == 4 and images.shape[-1] in (1, 3)
  if not legal or images.dtype != np.uint8 or len(images) != count:
    raise ValueError(
      f"images is {images.dtype}{list(images.shape)}; legal: "
      f"uint8[{count}, H, W, 1 or 3], as logits"
    )
  return images
