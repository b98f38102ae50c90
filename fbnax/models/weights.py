"""Weights of a network from files of PyTorch programs, and back.

A safetensors file, or one of `torch.save`, of timm's networks, the official
ones or EfficientNets (see `fbnax.models.weight_names`) becomes the variables of
a `Network`, which become a safetensors file. Only layouts change: convolutions
are OIHW there and HWIO here, linear layers `[K, C]` there and `[C, K]` here. So
weights come back bit for bit.

timm's convolutions have no bias before BN. Where a network has some, `unbiased`
moves them into BN's running means, which changes no result.

Symbols: `C` channels, `K` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fbnax.base.arrays import check_finite
from fbnax.base.names import escaped
from fbnax.models import safetensors, torch_files, weight_names
from fbnax.models.weight_places import Place, get, places, put
from fbnax.spaces import zoo
from fbnax.spaces.architecture import Architecture

_COUNTER = "num_batches_tracked"  # Of BN in PyTorch; here nothing reads it.
# Also of averages of weights.
_COUNTERS = (_COUNTER, "n_averaged")
_CLASSIFIER = {
  "timm": "classifier",
  "official": "head.conv",
  "lukemelas": "_fc",
}
_SHOWN = 200


class Comparison(NamedTuple):
  """What a file has for a network, by the file's names.

  Attributes:
    layout: of the file.
    num_classes: `K` of the file's classifier; None where it has none.
    missing: what the network needs and the file lacks.
    unused: what the file has and the network does not take.
    misfits: for each name the shape in the file, and the one that is needed.
  """

  layout: str
  num_classes: int | None
  missing: tuple[str, ...]
  unused: tuple[str, ...]
  misfits: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

  @property
  def fits(self) -> bool:
    """Whether every array has its place."""
    return not (self.missing or self.unused or self.misfits)

  def lines(self) -> list[str]:
    """All that does not fit, a line for each array."""
    return [
      *(f"missing: {name}" for name in self.missing),
      *(f"unused: {escaped(name)}" for name in self.unused),
      *(
        f"shape of {name}: {list(found)} in the file, {list(wanted)} needed"
        for name, (found, wanted) in self.misfits.items()
      ),
    ]


def load_weights(
  path: str | Path,
  architecture: Architecture | str,
  num_classes: int | None = None,
  *,
  key: jax.Array | None = None,
) -> dict[str, Any]:
  """Variables of a `Network` from a file of PyTorch's weights.

  A line is printed where the classifier is new, where kernels are summed for
  images of one channel, where all names had a prefix (`module.`, `_orig_mod.`,
  `model_ema.`, …), which is taken off, and where the average of weights is
  taken of a file that has both.

  Args:
    path: of a safetensors file or one of `torch.save` (`.pth`, `.pt`, `.bin`),
      of one of `weight_names.LAYOUTS`, or of the index of a safetensors file in
      parts (`NAME.safetensors.index.json`). Nothing in a file is run.
    architecture: of the network, or its name in the zoo.
    num_classes: `K`; the file's by default. Where it is another, or the file
      has no classifier, the classifier is new: its weights are drawn as a
      network's first ones, its biases 0.
    key: random key of a new classifier; `jax.random.key(0)` by default.

  Returns:
    `params` and `batch_stats` of `Network(architecture, num_classes)`, float32.
    A network for images of one channel takes the sum of the first convolution's
    kernels over the file's channels, which is what gray images, repeated for
    each of them, would give.

  Raises:
    ValueError: the file is none of these, is damaged, has the network twice (a
      plain copy and an average), or does not fit the network: each missing,
      unused and misshapen array is listed; or a number is not finite, or a
      variance is negative: its array is named.
  """
  architecture = _named(architecture)
  arrays = _read(path)
  layout = _layout(path, arrays)
  classes = num_classes or _classes(arrays, layout)
  if not classes:
    raise ValueError(
      f"{path} has no classifier; say num_classes, for a new one"
    )
  wanted = places(architecture, classes, layout, arrays)
  of_file, arrays = arrays, _one_channel(architecture, wanted, arrays)
  summed = arrays is not of_file
  replaced = set()
  heads = _head_sizes(arrays, layout)
  if classes not in heads:
    replaced = {name for name, p in wanted.items() if "classifier" in p.path}
    arrays = {n: a for n, a in arrays.items() if n not in replaced}
  found = _compared(
    {n: p for n, p in wanted.items() if n not in replaced}, arrays, layout
  )
  if not found.fits:
    lines = found.lines()
    shown = lines[:_SHOWN]
    if len(lines) > _SHOWN:
      shown.append(f"… and {len(lines) - _SHOWN} more")
    raise ValueError(
      f"{path} (layout {layout}, {len(arrays)} arrays{_partly(arrays)}) is of"
      f" another network, {len(lines)} do not fit:\n  " + "\n  ".join(shown)
    )
  _check_types(path, wanted, arrays)
  if summed:
    print(
      f"{path}: the images have one channel, so the first kernels are summed"
      " over the file's channels: exact where these have one mean and deviation"
    )
  if replaced:
    print(
      f"{path}: the classifier is new, for {classes} classes; the file has"
      + (f" one for {heads[0]}" if heads else " none")
    )
  variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
  random = jax.random.key(0) if key is None else key
  for name, place in wanted.items():
    if name not in replaced:
      value = place.from_file(arrays[name])
    elif name.endswith("bias"):
      value = np.zeros(place.shape)
    else:
      value = np.asarray(0.01 * jax.random.normal(random, place.shape))
    put(variables, place.path, jnp.asarray(value, jnp.float32))
  return variables


def read_state(path: str | Path) -> dict[str, np.ndarray]:
  """The arrays of a safetensors file or a file of `torch.save`, by name.

  Which of the two it is its first bytes tell, not its name.

  Raises:
    ValueError: as `safetensors.read` and `torch_files.read`.
  """
  if (file := Path(path)).is_file():
    with file.open("rb") as content:
      if torch_files.is_torch(content.read(torch_files.START)):
        return torch_files.read(file)
  return safetensors.read(file)


def compare_weights(
  path: str | Path,
  architecture: Architecture | str,
  num_classes: int | None = None,
) -> Comparison:
  """What of a file fits a network, and what does not.

  Args:
    path: as in `load_weights`.
    architecture: as in `load_weights`.
    num_classes: `K`; the file's by default, 1000 where it has no classifier.

  Raises:
    ValueError: the file cannot be read, is of no known layout, or has the
      network twice, or a number that no weight can be.
  """
  architecture = _named(architecture)
  arrays = _read(path)
  layout = _layout(path, arrays)
  classes = num_classes or _classes(arrays, layout) or 1000
  wanted = places(architecture, classes, layout, arrays)
  arrays = _one_channel(architecture, wanted, arrays)
  _check_types(path, wanted, arrays)
  return _compared(wanted, arrays, layout)


def save_weights(
  path: str | Path,
  architecture: Architecture | str,
  variables: Any,
  layout: str = "timm",
) -> None:
  """Writes a network's variables as a safetensors file for PyTorch.

  Args:
    path: of the file.
    architecture: of the network, or its name in the zoo.
    variables: of `Network(architecture, K)`.
    layout: one of `weight_names.LAYOUTS`. For `timm` the network is `unbiased`
      first where it has biases before BN.

  Raises:
    ValueError: the layout has no place for something in the network.
  """
  safetensors.write(
    path, state_dict(architecture, variables, layout), {"format": "pt"}
  )


def state_dict(
  architecture: Architecture | str, variables: Any, layout: str = "timm"
) -> dict[str, np.ndarray]:
  """What `save_weights` writes, by name."""
  architecture = _named(architecture)
  if layout == "timm":
    architecture, variables = unbiased(architecture, variables)
  classes = variables["params"]["head"]["classifier"]["bias"].shape[-1]
  arrays: dict[str, np.ndarray] = {}
  for name, place in places(architecture, classes, layout).items():
    arrays[name] = place.to_file(get(variables, place.path))
    if name.endswith(".running_var"):
      counter = name.removesuffix("running_var") + _COUNTER
      arrays[counter] = np.zeros((), np.int64)
  return arrays


def unbiased(
  architecture: Architecture, variables: Any
) -> tuple[Architecture, Any]:
  """The same function of images, without biases in front of BN.

  `BN(x + b)` with running mean `m` is `BN(x)` with `m - b`.

  Args:
    architecture: of the network.
    variables: of it.

  Returns:
    The architecture and the variables of the network without them.
  """
  plain = dataclasses.replace(
    architecture,
    stem=_without_bias(architecture.stem),
    head=_without_bias(architecture.head),
    block_bias=False,
  )

  def walk(params: Any, statistics: Any) -> tuple[Any, Any]:
    if "conv" in params and "norm" in params:
      conv = dict(params["conv"])
      bias = conv.pop("bias", None)
      if bias is None:
        return params, statistics
      norm = dict(statistics["norm"])
      norm["mean"] = norm["mean"] - bias
      return {**params, "conv": conv}, {**statistics, "norm": norm}
    both = {
      name: walk(inner, statistics[name])
      for name, inner in params.items()
      if name in statistics
    }
    return (
      {**params, **{name: p for name, (p, _) in both.items()}},
      {**statistics, **{name: s for name, (_, s) in both.items()}},
    )

  params, statistics = walk(variables["params"], variables["batch_stats"])
  return plain, {"params": params, "batch_stats": statistics}


def _without_bias(part: Any) -> Any:
  """A stem or head without the bias that its BN can take."""
  return dataclasses.replace(part, bias=part.bias and not part.norm)


def _named(architecture: Architecture | str) -> Architecture:
  if isinstance(architecture, str):
    return zoo.get(architecture)
  return architecture


def _read(path: str | Path) -> dict[str, np.ndarray]:
  """The arrays of a file but counters, without what wraps their names."""
  arrays = {
    name: array
    for name, array in read_state(path).items()
    if name.rsplit(".", 1)[-1] not in _COUNTERS
  }
  for name, array in arrays.items():
    _check_numbers(path, name, array)
  copies = weight_names.prefixes(arrays)
  if len(copies) > 1:
    shown = " and ".join(
      f"'{escaped(copy)}'" if copy else "no prefix" for copy in copies[:4]
    )
    raise ValueError(
      f"{path} has the network {len(copies)} times, with {shown} in front of"
      " its arrays' names (one is perhaps an average); legal: a file of the"
      " one that you want"
    )
  prefix = weight_names.shared_prefix(
    arrays, lambda names: weight_names.layout_of(names) is not None
  )
  if prefix:
    print(
      f"{path}: '{escaped(prefix)}' is taken off the names of its"
      f" {len(arrays)} arrays"
    )
  return {name.removeprefix(prefix): array for name, array in arrays.items()}


def _check_numbers(path: str | Path, name: str, array: np.ndarray) -> None:
  if not jnp.issubdtype(array.dtype, jnp.floating):
    return
  where = f"{path}: {escaped(name)}"
  check_finite(array, where)
  if name.endswith("running_var") and (negative := array < 0).any():
    first = np.unravel_index(int(np.argmax(negative)), array.shape)
    raise ValueError(
      f"{where}{[*map(int, first)]} is {array[first]!s}, and"
      f" {int(negative.sum()):,} of {array.size:,} variances are negative;"
      " legal: 0 or more"
    )


def _check_types(
  path: str | Path, wanted: Mapping[str, Place], arrays: Mapping[str, Any]
) -> None:
  """Refuses whole numbers (of a quantized network, say) as weights."""
  for name in wanted:
    dtype = arrays[name].dtype if name in arrays else np.dtype(np.float32)
    if not jnp.issubdtype(dtype, jnp.floating):
      raise ValueError(
        f"{path}: {name} is {dtype}; legal: float64, float32, float16, bfloat16"
      )


def _layout(path: str | Path, arrays: Mapping[str, np.ndarray]) -> str:
  layout = weight_names.layout_of(arrays)
  # Of a file that has a prefix for the network alone: what does not fit is
  # listed then.
  for copy in weight_names.prefixes(arrays) if layout is None else ():
    layout = weight_names.layout_of([n.removeprefix(copy) for n in arrays])
  if layout is None:
    first = escaped(", ".join(list(arrays)[:3])) or "nothing"
    raise ValueError(
      f"{path} has no weights of a known layout: its {len(arrays)} arrays begin"
      f" with {first}; legal: a state dict of timm ('conv_stem.weight', …), of"
      " the official models ('backbone.stages.xif0_0.conv.weight', …) or of an"
      " EfficientNet ('_conv_stem.weight', …)"
    )
  return layout


def _partly(arrays: Mapping[str, np.ndarray]) -> str:
  """What an error says of a prefix that some names have and others have not."""
  copy = "".join(weight_names.prefixes(arrays))
  count = sum(name.startswith(copy) for name in arrays)
  return f", {count} of them with '{escaped(copy)}' in front" if copy else ""


def _head_sizes(arrays: Mapping[str, np.ndarray], layout: str) -> list[int]:
  """Rows of the file's classifier, of its bias and of its weight."""
  names = (f"{_CLASSIFIER[layout]}.{leaf}" for leaf in ("bias", "weight"))
  return [len(arrays[n]) for n in names if n in arrays and arrays[n].ndim]


def _classes(arrays: Mapping[str, np.ndarray], layout: str) -> int | None:
  return next(iter(_head_sizes(arrays, layout)), None)


def _one_channel(
  architecture: Architecture,
  wanted: Mapping[str, Place],
  arrays: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
  """The arrays, the first kernels summed for images of one channel."""
  stem = next(iter(wanted))
  if architecture.input_channels != 1 or stem not in arrays:
    return arrays
  kernel = arrays[stem]
  if kernel.ndim != 4 or kernel.shape[1] == 1:
    return arrays
  return {**arrays, stem: kernel.astype(np.float32).sum(1, keepdims=True)}


def _compared(
  wanted: Mapping[str, Place], arrays: Mapping[str, np.ndarray], layout: str
) -> Comparison:
  return Comparison(
    layout=layout,
    num_classes=_classes(arrays, layout),
    missing=tuple(n for n in wanted if n not in arrays),
    unused=tuple(n for n in arrays if n not in wanted),
    misfits={
      name: (arrays[name].shape, place.in_file)
      for name, place in wanted.items()
      if name in arrays and arrays[name].shape != place.in_file
    },
  )
