"""Data sources, splits and input pipelines.

`load` gives a `Dataset` of a training and a test split; `hold_out` cuts a
search's own splits from the training split; `fold` makes one of several parts
of a set its test split; `stream` makes batches of images that do not fit on the
device.
"""

from fbnax.data.assembling import Request, assemble
from fbnax.data.checking import check
from fbnax.data.dataset import AnySplit, Dataset, Split, StreamedSplit
from fbnax.data.sources import SOURCES, kind, load, names
from fbnax.data.splitting import fold, hold_out, some_classes, subset
from fbnax.data.statistics import normalization, shared_images
from fbnax.data.streaming import stream

__all__ = [
  "SOURCES",
  "AnySplit",
  "Dataset",
  "Request",
  "Split",
  "StreamedSplit",
  "assemble",
  "check",
  "fold",
  "hold_out",
  "kind",
  "load",
  "names",
  "normalization",
  "shared_images",
  "some_classes",
  "stream",
  "subset",
]
