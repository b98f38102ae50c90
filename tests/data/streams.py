"""Splits in memory as those that are read image by image."""

import numpy as np

from fbnax.data import StreamedSplit


def streamed(split):
  """The split, its images read one by one."""
  return StreamedSplit(
    labels=split.labels,
    reader=split.images.__getitem__,
    records=np.arange(len(split)),
    channels=1,
    describe=str,
    size=split.size,
  )
