"""Any image classification set of TensorFlow Datasets, without TensorFlow.

Reads what is on disk in a format with random access (array_record, parquet)
through `as_data_source`; nothing is downloaded. The images are decoded here,
by Pillow.
"""

from pathlib import Path
from typing import Any

import numpy as np

from fbnax.data.assembling import Request, assemble
from fbnax.data.dataset import Dataset, StreamedSplit
from fbnax.data.decoding import decode

_IMAGE, _LABEL, _TRAIN = "image", "label", "train"
_TEST = ("test", "validation")
_CHUNK = 256


def load_tfds(request: Request) -> Dataset:
  """Opens `request.tfds_name` under the data folder `request.path`.

  Without a name, `path` is one prepared set (with its dataset_info.json);
  without a path, tfds' own data folder is used. Where there is no split `test`,
  `validation` is the test set (`Dataset.source` says so, and which splits are
  not used), where there is neither, one is held out of `train`. All records are
  read once for their labels.

  Raises:
    ValueError: if the set is not prepared on disk in a format with random
      access (it says how to prepare it), has no split `train`, or not the
      features `image` (uint8) and `label` (ClassLabel).
  """
  builder = _builder(request)
  source = f"{builder.info.full_name} in {builder.data_path}"
  image, label = _features(builder.info.features, source)
  splits = list(builder.info.splits)
  if _TRAIN not in splits:
    raise ValueError(
      f"{source}: found the splits {splits}; legal: with 'train'"
    )
  tests = [name for name in _TEST if name in splits]
  train = _split(builder, _TRAIN, image, source)
  test = _split(builder, tests[0], image, source) if tests else None
  notes = []
  if tests and tests[0] != _TEST[0]:
    notes.append(f"tested on {tests[0]}")
  if unused := sorted({*splits} - {_TRAIN, *tests[:1]}):
    notes.append(f"{', '.join(unused)} not used")
  return assemble(
    request,
    name=f"tfds:{builder.info.full_name}",
    class_names=tuple(label.names),
    train=train,
    test=test,
    source=f"{source} ({'; '.join(notes)})" if notes else source,
    notes=tuple(notes),
    licence=builder.info.as_proto.redistribution_info.license,
  )


def _builder(request: Request) -> Any:
  """A builder made from the files alone, of a format with random access."""
  import tensorflow_datasets as tfds

  path, name = request.path, request.tfds_name
  if name is None:
    if path is None:
      raise ValueError(
        "tfds_name=None, path=None; legal: a name such as 'cifar10', or the"
        " path of a prepared data set"
      )
    if not (path / "dataset_info.json").is_file():
      raise ValueError(
        f"path={str(path)!r}: holds no dataset_info.json; legal: the folder of"
        " a prepared version, or a data folder together with tfds_name"
      )
    builder = tfds.builder_from_directory(path)
  else:
    try:
      builder = tfds.core.read_only_builder.builder_from_files(
        name, **({} if path is None else {"data_dir": path})
      )
    except Exception as error:  # Of a name, of a config, of the files.
      raise ValueError(
        f"tfds_name={name!r}: no such data set is prepared in"
        f" {path or 'the data folder of tfds'}; {_how_to_prepare(name, path)}"
      ) from error
  try:
    builder.as_data_source()
  except NotImplementedError as error:
    prepared = builder.info.file_format.value
    name = name or builder.info.full_name
    raise ValueError(
      f"{builder.data_path}: prepared as {prepared}; legal: array_record;"
      f" {_how_to_prepare(name, path if request.tfds_name else None)}"
    ) from error
  return builder


def _how_to_prepare(name: str, path: Path | None) -> str:
  folder = "" if path is None else f", data_dir={str(path)!r}"
  return (
    'to prepare it: python -c "import tensorflow_datasets as tfds;'
    f' tfds.data_source({name!r}{folder})" (this downloads it, and for many'
    " sets needs TensorFlow once; reading it here does not)"
  )


def _features(features: Any, source: str) -> tuple[Any, Any]:
  import tensorflow_datasets as tfds

  kinds = {_IMAGE: tfds.features.Image, _LABEL: tfds.features.ClassLabel}
  for key, kind in kinds.items():
    feature = dict(features.items()).get(key)
    if not isinstance(feature, kind):
      raise ValueError(
        f"{source}: feature {key!r}: found {feature!r} among"
        f" {sorted(features.keys())}; legal: {kind.__name__}"
      )
  if features[_IMAGE].np_dtype != np.uint8:
    raise ValueError(
      f"{source}: feature {_IMAGE!r}: {np.dtype(features[_IMAGE].np_dtype)};"
      " legal: uint8"
    )
  return features[_IMAGE], features[_LABEL]


def _split(builder: Any, key: str, image: Any, source: str) -> StreamedSplit:
  import tensorflow_datasets as tfds

  records = builder.as_data_source(
    key, decoders={_IMAGE: tfds.decode.SkipDecoding()}
  )
  labels = [
    record[_LABEL]
    for start in range(0, len(records), _CHUNK)
    for record in records.__getitems__(
      list(range(start, min(start + _CHUNK, len(records))))
    )
  ]
  height, width, channels = image.shape
  channels = channels or 3

  def describe(index: int) -> str:
    return f"{source}: {key}: record {index}"

  return StreamedSplit(
    labels=np.array(labels, np.int32),
    reader=lambda i: decode(records[i][_IMAGE], channels, describe(i)),
    records=np.arange(len(labels)),
    channels=channels,
    describe=describe,
    size=None if None in (height, width) else (height, width),
  )
