"""The embedded data set: scikit-learn's handwritten digits.

1,797 grey images of 8 x 8 pixels in ten classes, the test part of the UCI set
"Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). It
comes with scikit-learn, so that everything can be tried without a download.
"""

import numpy as np

from fbnax.data.assembling import Request, assemble
from fbnax.data.dataset import Dataset, Split

_LARGEST = 16


def load_digits(request: Request) -> Dataset:
  """Digits as u8[N, 8, 8, 1]: values 0 .. 16 become 0 .. 255, rounded.

  Digits are not mirrored; a crop moves them by one pixel.

  Raises:
    ValueError: if `request.path` or `request.tfds_name` is given.
  """
  from sklearn.datasets import load_digits as load

  if request.path is not None:
    raise ValueError(f"path={str(request.path)!r}: digits takes none")
  bunch = load()
  images = np.rint(bunch.images * (255 / _LARGEST)).astype(np.uint8)
  return assemble(
    request,
    name="digits",
    class_names=tuple(str(name) for name in bunch.target_names),
    train=Split(images[..., None], bunch.target.astype(np.int32)),
    test=None,
    source="scikit-learn's load_digits",
    licence="CC BY 4.0",
    flip=False,
    crop_padding=1,
  )
