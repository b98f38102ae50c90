"""On scikit-learn's digits, prepared on disk by tfds without TensorFlow."""

import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

from fbnax.data import Split, StreamedSplit, load, stream

NAMES = ["zero", "one", "two", "three", "four"]


def real_images(start, stop):
  digits = load_digits(n_class=5)
  images = (digits.images[start:stop] * 15).astype(np.uint8)
  return images, digits.target[start:stop].astype(int)


def prepare(folder, splits, *, features=None, encode=None):
  """Writes an array_record data set of real digits; gives its folder."""
  features = features or {
    "image": tfds.features.Image(shape=(8, 8, 1)),
    "label": tfds.features.ClassLabel(names=NAMES),
  }
  encode = encode or (lambda i, image: image)

  class TinyDigits(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
  ):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(features),
        license="CC BY 4.0",
      )

    def _split_generators(self, dl_manager):
      return {key: self._generate_examples(*r) for key, r in splits.items()}

    def _generate_examples(self, start, stop):
      images, labels = real_images(start, stop)
      for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        example = {
          "image": encode(i, Image.fromarray(image)),
          "label": int(label),
        }
        yield i, {key: example[key] for key in features}

  builder = TinyDigits(data_dir=folder, file_format="array_record")
  builder.download_and_prepare(file_format="array_record")
  return builder.data_path


def pixels(split):
  assert isinstance(split, Split)
  return split.images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("tfds")
  prepare(path, {"train": (0, 60), "test": (60, 90)})
  return path


def as_set(images, labels):
  return {(x.tobytes(), int(y)) for x, y in zip(images, labels, strict=True)}


def test_prepared_set_is_read_without_tensorflow(folder):
  found = load("tfds", path=folder, tfds_name="tiny_digits")
  assert isinstance(found.train, Split)
  assert as_set(pixels(found.train), found.train.labels) == as_set(
    *real_images(0, 60)
  )
  assert as_set(pixels(found.test), found.test.labels) == as_set(
    *real_images(60, 90)
  )
  assert found.class_names == tuple(NAMES)
  assert found.image_shape == (8, 8, 1)
  assert found.name == "tfds:tiny_digits/1.0.0"
  assert found.licence == "CC BY 4.0"
  assert (found.flip, found.crop_padding) == (False, 0)
  assert "tensorflow" not in sys.modules


def test_set_is_found_by_its_own_folder_too(folder):
  found = load("tfds", path=folder / "tiny_digits" / "1.0.0")
  assert len(found.train) == 60
  found = load("tfds", path=folder, tfds_name="tiny_digits:1.0.0")
  assert len(found.train) == 60


def test_large_sets_are_streamed(folder):
  found = load(
    "tfds", path=folder, tfds_name="tiny_digits", in_memory_bytes=1000
  )
  assert isinstance(found.train, StreamedSplit)
  assert found.image_shape == (8, 8, 1)
  images = [found.train.read(i) for i in range(60)]
  assert as_set(images, found.train.labels) == as_set(*real_images(0, 60))
  batches = stream(
    found.test,
    batch_size=16,
    resolution=8,
    seed=0,
    train=False,
    workers=2,
    crop_ratio=1.0,
  )
  labels = np.concatenate([y for _, y in batches])
  assert labels.tolist() == [*found.test.labels.tolist(), -1, -1]


def test_validation_serves_as_test_set_and_says_so(tmp_path):
  path = prepare(tmp_path, {"train": (0, 40), "validation": (40, 60)})
  found = load("tfds", path=path)
  assert len(found.test) == 20 and "tested on validation" in found.source


def test_splits_that_are_not_used_are_said(tmp_path):
  splits = {"train": (0, 40), "validation": (40, 50), "test": (50, 60)}
  found = load("tfds", path=prepare(tmp_path, splits))
  assert len(found.test) == 10
  assert found.source.endswith(" (validation not used)")


def test_without_either_a_test_set_is_held_out(tmp_path):
  path = prepare(tmp_path, {"train": (0, 50)})
  found = load("tfds", path=path, test_fraction=0.2)
  assert (len(found.train), len(found.test)) == (40, 10)


def test_images_of_unknown_size(tmp_path):
  features = {
    "image": tfds.features.Image(),
    "label": tfds.features.ClassLabel(names=NAMES),
  }
  path = prepare(
    tmp_path,
    {"train": (0, 30), "test": (30, 60)},
    features=features,
    encode=lambda i, image: image.convert("RGB").resize((8 + i, 40)),
  )
  found = load("tfds", path=path)
  assert isinstance(found.train, StreamedSplit) and found.flip
  with pytest.raises(ValueError, match=r"no common shape"):
    _ = found.image_shape
  sizes = {found.train.read(i).shape for i in range(30)}
  assert sizes == {(40, 8 + i, 3) for i in range(30)}
  found = load("tfds", path=path, decode_resolution=16)
  assert found.image_shape == (16, 16, 3)


def test_image_of_another_shape_is_named(tmp_path):
  path = prepare(
    tmp_path,
    {"train": (0, 30), "test": (30, 60)},
    encode=lambda i, image: image.resize((9, 8)) if i == 7 else image,
  )
  message = r"train: record \d+: found .*\(8, 9, 1\); legal: \(8, 8, 1\)"
  with pytest.raises(ValueError, match=message):
    load("tfds", path=path)


def test_missing_set_says_how_to_prepare_it(folder):
  with pytest.raises(ValueError, match=r"'cifar10': .*tfds.data_source\('cifa"):
    load("tfds", path=folder, tfds_name="cifar10")
  with pytest.raises(ValueError, match=r"holds no dataset_info.json"):
    load("tfds", path=folder)
  with pytest.raises(ValueError, match=r"tfds_name=None, path=None"):
    load("tfds")


def test_other_formats_say_so(folder, tmp_path):
  # Only the metadata is looked at before a format is refused.
  source = folder / "tiny_digits" / "1.0.0"
  target = tmp_path / "tiny_digits" / "1.0.0"
  target.mkdir(parents=True)
  for file in ("dataset_info.json", "features.json"):
    text = (source / file).read_text()
    (target / file).write_text(text.replace("array_record", "tfrecord"))
  with pytest.raises(ValueError, match=r"prepared as tfrecord; .*array_record"):
    load("tfds", path=tmp_path, tfds_name="tiny_digits")


@pytest.mark.parametrize(
  "key, feature",
  [
    ("image", tfds.features.Text()),
    ("label", tfds.features.Scalar(np.int64)),
  ],
)
def test_features_of_another_kind_are_named(tmp_path, key, feature):
  features = {
    "image": tfds.features.Image(shape=(8, 8, 1)),
    "label": tfds.features.ClassLabel(names=NAMES),
  }
  encode = (lambda i, image: "text") if key == "image" else None
  path = prepare(
    tmp_path,
    {"train": (0, 5)},
    features=features | {key: feature},
    encode=encode,
  )
  with pytest.raises(ValueError, match=f"feature '{key}': found "):
    load("tfds", path=path)


def test_set_without_training_images_is_named(tmp_path):
  path = prepare(tmp_path, {"test": (0, 5)})
  with pytest.raises(ValueError, match=r"found the splits \['test'\]"):
    load("tfds", path=path)
