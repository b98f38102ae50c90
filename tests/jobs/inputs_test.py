import numpy as np
import pytest
from ml_collections import config_dict

from fbnax.jobs import inputs


def config(seed=0, **changes):
  data = {
    "name": "digits",
    "path": "",
    "tfds_name": "",
    "test_fraction": 0.2,
    "max_images": 0,
    "decode_resolution": 0,
  }
  return config_dict.ConfigDict({"seed": seed, "data": data | changes})


def images(split):
  return {image.tobytes() for image in split.images}


def test_without_folds_the_split_is_the_sources_own():
  old, new = config(), config(folds=0, fold=0)
  for name in ("train", "test"):
    a, b = (getattr(inputs.dataset(c), name).images for c in (old, new))
    assert np.array_equal(a, b)


def test_a_fold_is_the_same_for_every_seed_and_fraction():
  first = inputs.dataset(config(folds=5, fold=2))
  again = inputs.dataset(config(seed=3, folds=5, fold=2, test_fraction=0.4))
  assert np.array_equal(first.test.images, again.test.images)
  assert np.array_equal(first.train.images, again.train.images)
  assert "fold 2 of 5" in first.source


def test_the_folds_of_digits_share_no_image_with_their_training():
  tests = []
  for i in range(5):
    found = inputs.dataset(config(folds=5, fold=i))
    assert len(found.train) + len(found.test) == 1797
    assert not images(found.train) & images(found.test)
    tests.append(images(found.test))
  assert len(set.union(*tests)) == sum(len(t) for t in tests) == 1797


def test_max_images_cuts_down_what_the_fold_made():
  whole = inputs.dataset(config(folds=5, fold=1))
  cut = inputs.dataset(config(folds=5, fold=1, max_images=100))
  assert (len(cut.train), len(cut.test)) == (100, 100)
  assert images(cut.train) <= images(whole.train)
  assert images(cut.test) <= images(whole.test)


def test_a_fold_without_folds_is_refused():
  with pytest.raises(ValueError, match=r"data\.fold=2 without data\.folds"):
    inputs.dataset(config(fold=2))
