"""The task as a function: from images and budgets to a family of networks.

    import fbnax

    family = fbnax.design("photos", macs=(4e6, 8e6))
    member = family.best(macs=5e6)
    print(member.name, member.macs, member.test_accuracy)
    probabilities = member.predict(images)
    member.export("exported")

It runs the job `nars`, and leaves what that leaves; `open_run` opens a run that
has ended, of the command line, too.

Symbols: `N` images, `h`, `w` height and width, `C` channels, `K` classes.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_DATA = "images.npz"


@dataclasses.dataclass(frozen=True)
class RunMember:
  """A trained network of a run.

  Attributes:
    name: of the network.
    path: the model's directory.
    macs: multiply-accumulates.
    params: parameters.
    test_accuracy: share of the test images that it is right for.
    test_log_loss: of them.
  """

  name: str
  path: Path
  macs: int
  params: int
  test_accuracy: float | None
  test_log_loss: float | None

  @property
  def class_names(self) -> tuple[str, ...]:
    """In the order of the probabilities."""
    return self._model().class_names

  def predict(self, images: Any) -> np.ndarray:
    """Probabilities of the classes.

    Args:
      images: `u8[N, h, w, C]`, or `u8[N, h, w]` without colours, of any size.

    Returns:
      `f32[N, K]`, by the temperature that the model was calibrated with.

    Raises:
      ValueError: they are no such images.
    """
    import jax

    from fbnax.training import augment

    saved = self._model()
    array = np.asarray(images)
    if array.ndim == 3:
      array = array[..., None]
    channels = saved.module.architecture.input_channels
    if array.dtype != np.uint8 or array.ndim != 4:
      raise ValueError(
        f"images are {array.dtype}{list(array.shape)}; legal: u8[N, h, w, C]"
      )
    if array.shape[-1] != channels:
      raise ValueError(
        f"images have {array.shape[-1]} channels; legal: {channels}, as those"
        f" that {self.name} was trained on"
      )
    settings = saved.settings()
    logits = jax.jit(
      lambda x: saved.module.apply(
        saved.variables, augment.prepare(x, settings), train=False
      )
    )(array)
    return np.asarray(jax.nn.softmax(logits / saved.calibration.by))

  def explain(self, image: str | Path) -> str:
    """The decisions on an image's path, in words.

    Args:
      image: a file.

    Raises:
      ValueError: the network has no tree of decisions, or the file is no image.
    """
    from fbnax.jobs.runtime import predicting

    (prediction,) = predicting.predict(self.path, [image])
    if not prediction.path_text:
      raise ValueError(
        f"{self.name} has no tree of decisions; legal: a member of a run with"
        " head='nbdt'"
      )
    return prediction.path_text

  def export(self, out: str | Path, **keys: Any) -> Path:
    """Writes programs of the network: the job `export`.

    Args:
      out: the directory to write to.
      **keys: of its config, such as `onnx=True`; a dot is `__`.
    """
    _run("export", "", out, {"model": str(self.path), **keys})
    return Path(out)

  def _model(self) -> Any:
    from fbnax.training import model_files

    return model_files.load(self.path)


@dataclasses.dataclass(frozen=True)
class Family:
  """The networks of a run.

  Attributes:
    path: the run's directory.
    members: the cheapest first.
  """

  path: Path
  members: tuple[RunMember, ...]

  @property
  def report(self) -> Path:
    """The page that explains them."""
    return self.path / "report.html"

  def best(
    self, *, macs: float | None = None, params: float | None = None
  ) -> RunMember:
    """The most accurate network within limits; of equal ones the cheapest.

    Args:
      macs: most multiply-accumulates; None for any.
      params: most parameters; None for any.

    Raises:
      ValueError: none is within them.
    """
    within = [
      m
      for m in self.members
      if (macs is None or m.macs <= macs)
      and (params is None or m.params <= params)
    ]
    if not within:
      there = ", ".join(
        f"{m.name} ({m.macs:,}, {m.params:,})" for m in self.members
      )
      raise ValueError(
        f"no member has at most {macs} MACs and {params} parameters; there are"
        f" {there}"
      )
    return max(within, key=lambda m: (m.test_accuracy or 0.0, -m.macs))


def design(
  images: Any,
  labels: Any = None,
  *,
  macs: Sequence[float] = (),
  weights: str = "",
  out: str | Path | None = None,
  class_names: Sequence[str] = (),
  **keys: Any,
) -> Family:
  """Designs and trains a family of networks for images and budgets.

  Args:
    images: `u8[N, h, w, C]` or `u8[N, h, w]`; or a folder with one for each
      class, an `.npz` file, or another source on disk (`fbnax.data.kind`); or a
      `fbnax.data.Dataset` in memory.
    labels: `[N]`, whole numbers from 0, of images in memory.
    macs: limits on multiply-accumulates, a network for each; none for those of
      the preset.
    weights: a pretrained network to start from, such as `lite0`.
    out: the run's directory; None for a new one among the temporary files. A
      run that was stopped goes on with the same arguments.
    class_names: of images in memory; none for their numbers.
    **keys: of `configs/nars.py`, such as `training__epochs=20`; a dot is `__`.

  Raises:
    ValueError: an argument is not legal; or as the job.
  """
  folder = Path(tempfile.mkdtemp(prefix="fbnax-") if out is None else out)
  changes = dict(_source(images, labels, class_names, folder))
  if macs:
    changes |= {"budgets.macs": tuple(map(float, macs))}
  if weights:
    changes |= {"weights": weights}
    if macs:
      changes |= {"budgets.share": ()}
  _run("nars", "photos" if weights else "images", folder, {**changes, **keys})
  return open_run(folder)


def open_run(path: str | Path) -> Family:
  """The family that a finished run left.

  Raises:
    ValueError: there is no finished run, or it trained no networks.
  """
  from fbnax.base import json_values

  folder = Path(path)
  try:
    result = json_values.read_object(folder / "result.json")
  except (FileNotFoundError, NotADirectoryError):
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    raise ValueError(
      f"{folder} holds no finished run: result.json is missing; there is:"
      f" {', '.join(there) or 'nothing'}"
    ) from None
  rows = result.get("members") or []
  if not rows:
    raise ValueError(
      f"{folder} is a run of {result.get('job')!r} and has no members; legal:"
      " one of nars, train or dnas"
    )
  members = [
    RunMember(
      row["name"],
      folder / "members" / row["name"],
      int(row["macs"]),
      int(row["params"]),
      row.get("test_accuracy"),
      row.get("test_log_loss"),
    )
    for row in rows
  ]
  return Family(folder, tuple(sorted(members, key=lambda m: m.macs)))


def _source(
  images: Any, labels: Any, class_names: Sequence[str], folder: Path
) -> dict[str, Any]:
  """The keys of the data; images in memory are written beside the run."""
  from fbnax.base import files
  from fbnax.data import Dataset, Split, kind

  if isinstance(images, str | Path):
    return {"data.name": kind(images), "data.path": str(images)}
  if isinstance(images, Dataset):
    arrays: dict[str, Any] = {}
    for part, split in (("train", images.train), ("test", images.test)):
      if not isinstance(split, Split):
        raise ValueError(
          f"{images.source} is read as it is needed; legal: its path"
        )
      arrays |= {f"{part}_x": split.images, f"{part}_y": split.labels}
    class_names = images.class_names
  else:
    if labels is None:
      raise ValueError("labels is None; legal: a number for each image")
    arrays = {"train_x": np.asarray(images), "train_y": np.asarray(labels)}
  if class_names:
    arrays["class_names"] = np.asarray(list(class_names))
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / _DATA
  if not path.exists():
    with files.writing(path) as file:
      np.savez(file, allow_pickle=False, **arrays)
  return {"data.name": "npz", "data.path": str(path)}


def _run(name: str, preset: str, out: str | Path, keys: dict[str, Any]) -> None:
  """Runs a job as its config and changes say."""
  from fbnax.jobs.runtime import compiling

  compiling.prepare()  # Before JAX is imported, where nothing else has.
  from fbnax.jobs.runtime import config_files, config_values
  from fbnax.jobs.runtime.shell import run_job

  spec = importlib.util.spec_from_file_location(
    f"fbnax_config_{name}", config_files.path(name)
  )
  assert spec is not None and spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(*([preset] if preset else []))
  config.lock()
  config.update_from_flattened_dict(
    {key.replace("__", "."): value for key, value in keys.items()}
  )
  config_values.check(config)
  run_job(config, out)
