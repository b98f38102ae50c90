import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fbnax import data


def pixels(split):
  assert isinstance(split, data.Split)
  return split.images


def test_every_name_is_in_the_table():
  names = ("digits", "npz", "folder", "tfds", "hf", "webdataset")
  assert data.names() == names
  assert set(data.SOURCES) == set(data.names())


def test_digits_are_scikit_learns():
  found = data.load("digits")
  assert found.image_shape == (8, 8, 1) and found.num_classes == 10
  assert (found.flip, found.crop_padding) == (False, 1)
  assert found.class_names == tuple("0123456789")
  images = np.concatenate([pixels(found.train), pixels(found.test)])
  assert images.dtype == np.uint8 and images.max() == 255
  values = sorted(tuple(x.ravel()) for x in images / 255 * 16)
  expected = sorted(tuple(x.ravel()) for x in load_digits().images)
  np.testing.assert_allclose(values, expected, atol=16 / 510 + 1e-9)
  assert abs(len(found.test) - 0.2 * 1797) < 1
  share = np.bincount(found.test.labels) / np.bincount(load_digits().target)
  assert (abs(share - 0.2) < 0.01).all()


def test_seed_and_fraction_decide_the_test_set():
  a, b, c = (pixels(data.load("digits", seed=s).test) for s in (0, 0, 1))
  assert (a == b).all() and (a != c).any()
  assert len(data.load("digits", test_fraction=0.5).test) in (898, 899)


def test_a_resolution_that_no_memory_holds():
  with pytest.raises(ValueError, match=r"resolution=4096: .*GB; legal: at"):
    data.load("digits", decode_resolution=4096)
  with pytest.raises(ValueError, match=r"resolution=1000000; legal: at most 4"):
    data.load("digits", decode_resolution=1_000_000)


def test_decode_resolution_and_max_images_hold_for_arrays_too():
  found = data.load("digits", decode_resolution=12, max_images=50)
  assert found.image_shape == (12, 12, 1)
  assert len(found.train) == len(found.test) == 50


def test_search_splits_come_out_of_the_training_set():
  found = data.load("digits")
  kept, held = data.hold_out(found.train, 0.25, seed=0)
  assert len(kept) + len(held) == len(found.train)
  assert data.shared_images(kept, held, found.test) == data.shared_images(
    found.train, found.test
  )


def test_function_of_the_callers():
  def source(request):
    assert request.seed == 7
    images = np.zeros((4, 2, 2, 1), np.uint8)
    split = data.Split(images, np.array([0, 1, 0, 1], np.int32))
    return data.assemble(
      request,
      name="mine",
      class_names=("a", "b"),
      train=split,
      test=None,
      source="here",
    )

  found = data.load(source, seed=7, test_fraction=0.5)
  assert found.name == "mine" and len(found.test) == 2


def test_callers_source_is_checked():
  split = data.Split(
    np.zeros((2, 2, 2, 1), np.uint8), np.array([0, 0], np.int32)
  )
  bad = data.Dataset("bad", ("a", "b"), split, split, False, 0, "there")
  with pytest.raises(
    ValueError, match=r"there: train: found no image of .*'b'"
  ):
    data.load(lambda request: bad)


@pytest.mark.parametrize(
  "name, options, message",
  [
    ("digit", {}, "name='digit'; did you mean 'digits'.*legal: digits, npz"),
    ("qqqqq", {}, "name='qqqqq'; legal: digits, npz, folder, tfds"),
    ("digits", {"test_fraction": 0.0}, "test_fraction=0.0"),
    ("digits", {"test_fraction": 1}, "test_fraction=1"),
    ("digits", {"seed": -1}, "seed=-1"),
    ("digits", {"max_images": 0}, "max_images=0"),
    ("digits", {"max_images": 9}, "count=9 .*10 classes"),
    ("digits", {"decode_resolution": 0}, "decode_resolution=0"),
    ("digits", {"crop_padding": -1}, "crop_padding: found -1"),
    ("digits", {"path": "/some"}, "path='/some'"),
    ("npz", {"path": "a", "tfds_name": "mnist"}, "tfds_name='mnist'"),
  ],
)
def test_wrong_arguments_are_named(name, options, message):
  with pytest.raises(ValueError, match=message):
    data.load(name, **options)


def test_import_is_light():
  heavy = "PIL", "grain", "sklearn", "tensorflow_datasets", "tensorflow"
  code = (
    f"import fbnax.data, sys; print([m for m in {heavy} if m in sys.modules])"
  )
  found = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert found.stdout.strip() == "[]"
