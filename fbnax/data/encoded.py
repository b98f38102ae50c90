"""Splits of images that come as the contents of files, one at a time.

Sources share it that hold images in larger files: what such an image is, its
header says, as a file's in a folder does. Grey images alone have C = 1, all
others C = 3; of more than 8 bits the highest are kept.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from fbnax.data.dataset import StreamedSplit
from fbnax.data.decoding import decode, probe

TESTS = ("test", "validation")  # Splits that are tested on, the first there is.


@dataclasses.dataclass(frozen=True)
class EncodedImages:
  """Images of a split, not decoded.

  Attributes:
    labels: i32[N].
    fetch: gives the content of an image's file; called from several threads.
    describe: gives the name of an image for error messages.
  """

  labels: np.ndarray
  fetch: Callable[[int], bytes]
  describe: Callable[[int], str]


def splits(parts: Sequence[EncodedImages]) -> list[StreamedSplit]:
  """The splits of a data set; reads the header of each image.

  Raises:
    ValueError: something is no image that is read here; it is named.
  """
  headers = [_headers(part) for part in parts]
  grey = all(is_grey for part in headers for *_, is_grey in part)
  channels = 1 if grey else 3
  return [
    _split(part, [(height, width) for height, width, _ in found], channels)
    for part, found in zip(parts, headers, strict=True)
  ]


def tested_on(names: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
  """Which of a source's splits is the test split, and notes on the choice.

  Args:
    names: of all splits, "train" among them.
  """
  tests = [name for name in TESTS if name in names]
  notes = []
  if tests and tests[0] != TESTS[0]:
    notes.append(f"tested on {tests[0]}")
  if unused := sorted({*names} - {"train", *tests[:1]}):
    notes.append(f"{', '.join(unused)} not used")
  return (tests[0] if tests else None), tuple(notes)


def _headers(part: EncodedImages) -> list[tuple[int, int, bool]]:
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    return list(
      pool.map(
        lambda i: probe(part.fetch(i), part.describe(i)),
        range(len(part.labels)),
      )
    )


def _split(
  part: EncodedImages, sizes: Sequence[tuple[int, int]], channels: int
) -> StreamedSplit:
  other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
  mixed = ""
  if other is not None:
    mixed = (
      f"{part.describe(0)} is (H, W) {sizes[0]}, {part.describe(other)} is"
      f" {sizes[other]}"
    )
  return StreamedSplit(
    labels=part.labels,
    reader=lambda i: decode(part.fetch(i), channels, part.describe(i)),
    records=np.arange(len(part.labels)),
    channels=channels,
    describe=part.describe,
    size=sizes[0] if sizes and other is None else None,
    mixed_sizes=mixed,
  )
