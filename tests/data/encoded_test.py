"""WebDataset's shards and Hugging Face's data sets on disk."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from fbnax import data


def png(value, size=(8, 8), mode="RGB"):
  content = io.BytesIO()
  color = value if mode == "L" else (value, 0, 0)
  Image.new(mode, size, color).save(content, "PNG")
  return content.getvalue()


def shard(path, samples, mode="w"):
  """A tar file; samples are `(name, content)` of members."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(path, mode) as tar:
    for name, content in samples:
      member = tarfile.TarInfo(name)
      member.size = len(content)
      tar.addfile(member, io.BytesIO(content))


def samples(first, count, label=lambda i: str(i % 2), **kind):
  """An image whose red is `10 * i`, and its class."""
  for i in range(first, first + count):
    yield f"a/{i:03}.png", png(10 * i, **kind)
    yield f"a/{i:03}.cls", f"{label(i)}\n".encode()
    yield f"a/{i:03}.json", b"{}"  # What is not asked for.


@pytest.fixture
def shards(tmp_path):
  shard(tmp_path / "train-000000.tar", samples(0, 6))
  shard(tmp_path / "train-000001.tar", samples(6, 4))
  shard(tmp_path / "val-000000.tar", samples(10, 4))
  return tmp_path


def reds(split):
  return sorted(split.images[:, 0, 0, 0].tolist())


def test_shards_are_read_where_they_lie(shards):
  assert data.kind(shards) == "webdataset"
  found = data.load("webdataset", path=shards)
  assert found.class_names == ("0", "1") and found.numbered
  assert reds(found.train) == [10 * i for i in range(10)]
  assert reds(found.test) == [10 * i for i in range(10, 14)]
  for split in (found.train, found.test):
    np.testing.assert_array_equal(
      split.images[:, 0, 0, 0] // 10 % 2, split.labels
    )
  assert found.notes == ("tested on validation",)
  streamed = data.load("webdataset", path=shards, in_memory_bytes=1)
  assert isinstance(streamed.train, data.StreamedSplit)
  assert streamed.train.read(7)[0, 0, 0] == 70


def test_names_of_classes(shards):
  (shards / "classnames.txt").write_text("cat\ndog\n")
  found = data.load("webdataset", path=shards)
  assert found.class_names == ("cat", "dog") and not found.numbered
  other = shards / "other"
  shard(
    other / "0.tar", samples(0, 6, lambda i: "zb"[i % 2], mode="L", size=(4, 4))
  )
  found = data.load("webdataset", path=other, test_fraction=0.34)
  assert found.class_names == ("b", "z") and found.image_shape == (4, 4, 1)
  assert len(found.test) == 2
  images = np.concatenate([found.train.images, found.test.images])
  labels = np.concatenate([found.train.labels, found.test.labels])
  np.testing.assert_array_equal(images[:, 0, 0, 0] // 10 % 2, 1 - labels)


@pytest.mark.parametrize(
  ("members", "mode", "message"),
  [
    ([("a.png", b"x")], "w", r"0\.tar: a: found \['png'\]; legal: \.cls and o"),
    ([("a.cls", b"0")], "w", r"found \['cls'\]; legal: \.cls and one of bmp"),
    ([("a.png", b"x"), ("a.cls", b"0")], "w", r"a: is no image that can be"),
    ([("a.cls", b"0")] * 2, "w", r"0\.tar: a: has \.cls twice"),
    (list(samples(0, 2)), "w:gz", r"0\.tar: .*; legal: a \.tar .* not compre"),
    (list(samples(0, 2, lambda i: "0x"[i])), "w", "class 'x', and others are"),
    (list(samples(0, 2, lambda i: 7)), "w", r"found class 7 among 2 images"),
    ([], "w", "found train; legal: with shards of 'train'"),
  ],
)
def test_bad_shards_are_told(tmp_path, members, mode, message):
  shard(tmp_path / "0.tar", members, mode)
  with pytest.raises(ValueError, match=message):
    data.load("webdataset", path=tmp_path)


def test_a_class_of_test_images_alone(tmp_path):
  with pytest.raises(ValueError, match=r"path=None; legal: a folder with"):
    data.load("webdataset")
  shard(tmp_path / "train.tar", samples(0, 4, lambda i: "ab"[i % 2]))
  shard(tmp_path / "test.tar", samples(4, 2, lambda i: "c"))
  with pytest.raises(ValueError, match=r"a/004: class 'c'; legal: one of the"):
    data.load("webdataset", path=tmp_path)


def saved(folder, parts, names=("cat", "dog"), images="img"):
  """What `save_to_disk` leaves of splits of `(first, count)`."""
  datasets = pytest.importorskip("datasets", reason="needs: fbnax[datasets]")
  datasets.disable_progress_bars()
  features = datasets.Features(
    {images: datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
  )

  def part(first, count):
    numbers = range(first, first + count)
    columns = {
      images: [{"bytes": png(10 * i), "path": None} for i in numbers],
      "label": [i % 2 for i in numbers],
    }
    return datasets.Dataset.from_dict(columns, features=features)

  made = {name: part(*numbers) for name, numbers in parts.items()}
  kept = datasets.DatasetDict(made) if len(made) > 1 else made["train"]
  kept.save_to_disk(str(folder))
  return folder


def test_a_hugging_face_data_set(tmp_path):
  folder = saved(
    tmp_path / "d", {"train": (0, 8), "test": (8, 4), "validation": (12, 2)}
  )
  assert data.kind(folder) == "hf"
  found = data.load("hf", path=folder)
  assert found.class_names == ("cat", "dog") and not found.numbered
  assert reds(found.train) == [10 * i for i in range(8)]
  assert reds(found.test) == [10 * i for i in range(8, 12)]
  assert found.notes == ("validation not used",)
  np.testing.assert_array_equal(
    found.train.images[:, 0, 0, 0] // 10 % 2, found.train.labels
  )
  one = data.load("hf", path=saved(tmp_path / "one", {"train": (0, 10)}))
  assert len(one.train) == 8 and len(one.test) == 2


def test_bad_hugging_face_data_sets_are_told(tmp_path):
  with pytest.raises(ValueError, match=r"path=None; legal: a folder that save"):
    data.load("hf")
  folder = saved(tmp_path / "d", {"other": (0, 4), "test": (4, 2)})
  with pytest.raises(ValueError, match=r"\['other', 'test'\]; legal: with 'tr"):
    data.load("hf", path=folder)
  (arrow,) = (folder / "other").glob("*.arrow")
  arrow.write_bytes(b"damaged")
  with pytest.raises(ValueError, match="cannot be opened by datasets"):
    data.load("hf", path=folder)


def test_other_paths_are_folders_or_arrays(tmp_path):
  assert data.kind(tmp_path) == "folder"
  assert data.kind("photos.npz") == "npz"
  assert data.kind(tmp_path / "absent") == "folder"
