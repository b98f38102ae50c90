"""Pictures of the data in a result: small, whole, in a page's own address."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from fbnax.jobs.runtime import pictures
from fbnax.report import markup

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 3, 1), np.uint8)


def _opened(text):
  return Image.open(io.BytesIO(base64.b64decode(text)))


def test_pictures_are_png():
  for image in (IMAGE, np.zeros((200, 100, 3), np.uint8)):
    found = _opened(pictures.png(image))
    assert found.format == "PNG"
    assert max(found.size) <= 96
  shown = np.asarray(_opened(pictures.png(IMAGE)))
  np.testing.assert_array_equal(shown[..., 0], IMAGE[..., 0])


@pytest.mark.parametrize(("side", "kind"), [(8, "png"), (150, "jpeg")])
def test_an_address_holds_the_smaller_of_two_formats(side, kind):
  ramp = np.linspace(0, 200, side)[:, None, None] + np.zeros((side, side, 3))
  noise = np.random.default_rng(1).normal(0, 20, (side, side, 3))
  image = np.clip(ramp + noise, 0, 255).astype(np.uint8)
  found = pictures.address(image)
  assert re.fullmatch(markup.PICTURE, found)
  assert found.startswith(f"data:image/{kind};base64,")
  assert found == pictures.address(image)
  picture = _opened(found.partition(",")[2])
  assert picture.size == (min(side, 96),) * 2
  assert len(found) < 12_000
