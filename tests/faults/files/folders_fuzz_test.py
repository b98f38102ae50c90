"""Folders of images as people lay them out: the classes that they mean, or why.

Random trees of class folders, alone or below splits that are called in many
ways, with what systems and archives leave in them, links, nested folders, names
in two Unicode forms and in none, and files that are no images. Every image has
a grey of its own, so that what is read can be compared with what was laid out:
every class with its images, each in the split in which it lies.

The command of the long version: `encodings_fuzz_test.py` beside this file.
"""

import functools
import io
import itertools
import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from fbnax import data
from tests.faults.cases import SEED, check, is_told_in_a_line, share

LIMIT = 5.0  # CPU-seconds of a case.
CLASSES = (
  *("cat", "dog", "Zebra", "cat 2", "10", "2", "forêt", "日本", "CON", "🦊"),
  *("size one = 1", "a,b", "crème brûlée", "e-mail", "training shoes", "%s"),
)
FILES = (
  "{}.png",
  "IMG ({}).PNG",
  "é{}.png",
  "日本{}.jpg",
  "-{}.jpeg",
  "a.{}.JPG",
)
TRAIN = ("train", "train", "Train", "TRAIN")
TEST = ("test", "test", "Test", "val", "Val", "valid", "Valid", "validation")
MORE_TEST = ("VALIDATION", "VAL", "TEST", "Validation")
# What systems and archives leave; a folder ends in a slash.
SYSTEM = (
  *(".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"),
  *("._x.png", "__MACOSX/", "$RECYCLE.BIN/", "System Volume Information/"),
  *("@eaDir/", ".ipynb_checkpoints/", ".git/", ".Trash-1000/"),
)
OUTSIDE = frozenset(range(250, 254))  # Greys of images that links lead to.


class Layout:
  """A tree of files, and what must come of it.

  Attributes:
    files: paths below the root, as bytes, to what they hold: bytes, a link's
      target as `("link", target)`, or None for a folder.
    splits: for each part (`all`, or `train` and `test`) and class, NFC, the
      greys of its images.
    must_read: whether it has to be read.
    must_refuse: whether it has to be refused.
    notes: what is in it.
  """

  def __init__(self):
    self.files = {}
    self.splits = {}
    self.must_read = True
    self.must_refuse = False
    self.notes = []
    self.folders = {}  # Of classes, as bytes: the parts that lie there.
    self.parents = {}  # Of these, likewise.
    self.greys = itertools.count(1)

  def __repr__(self):
    return (
      f"{self.notes} read={self.must_read} refuse={self.must_refuse} "
      f"{sorted(self.files)}"
    )

  def doubt(self):
    """It may be read or refused."""
    self.must_read = False

  def refuse(self):
    """It has to be refused."""
    self.must_read, self.must_refuse = False, True

  def add_class(self, random, part, parent, name, count):
    """A folder of a class with so many images."""
    folder = _joined(parent, os.fsencode(name))
    self.folders[folder] = part
    greys = set()
    for index in range(count):
      grey = next(self.greys)
      file = random.choice(FILES).format(index)
      if random.random() < 0.3:
        file = unicodedata.normalize("NFD", file)
      self.files[_joined(folder, os.fsencode(file))] = picture(grey)
      greys.add(grey)
    by_class = self.splits.setdefault(part, {})
    normal = unicodedata.normalize("NFC", name)
    by_class[normal] = by_class.get(normal, set()) | greys


def _joined(parent, name):
  return parent + b"/" + name if parent else name


@functools.cache
def picture(grey):
  """A PNG of two pixels."""
  file = io.BytesIO()
  Image.new("L", (2, 1), grey).save(file, "PNG")
  return file.getvalue()


def draw(random):
  """A layout, with up to two disturbances."""
  layout = Layout()
  names = random.sample(CLASSES, random.randint(2, 4))
  kind = random.choice(("flat", "split", "split", "both", "no train"))
  if kind == "flat":
    layout.parents = {b"": "all"}
    for name in names:
      layout.add_class(random, "all", b"", _form(random, name), 4)
  else:
    tests = random.sample(TEST + MORE_TEST, 2 if kind == "both" else 1)
    if kind == "both" and tests[0].lower() == tests[1].lower():
      tests = tests[:1]
    parents = [random.choice(TRAIN), *tests]
    if kind == "no train":
      parents = [tests[0], random.choice(("test1", "images", "val"))]
      layout.refuse()
    folders = [os.fsencode(parent) for parent in dict.fromkeys(parents)]
    layout.parents = {folder: "test" for folder in folders}
    layout.parents[folders[0]] = "train"
    if len(folders) == 3:
      # Of two sets to test on, it is the one that is called so, or either.
      layout.doubt()
      for folder in folders[1:]:
        if folder.lower() != b"test":
          layout.parents[folder] = f"unused {folder}"
    for parent, part in layout.parents.items():
      for name in names:
        # Decomposed in one split alone, it may be refused, with the reason.
        form = _form(random, name)
        if form != name:
          layout.doubt()
        layout.add_class(random, part, parent, form, 2)
    if b"train" not in folders:
      layout.doubt()
    if not any(p in (b"test", b"val", b"validation") for p in folders):
      layout.doubt()
  layout.notes.append(kind)
  for _ in range(random.choice((0, 1, 1, 2))):
    disturbance = random.choice(DISTURBANCES)
    if disturbance.__name__ not in layout.notes:
      layout.notes.append(disturbance.__name__)
      disturbance(random, layout)
  return layout


def _form(random, name):
  return unicodedata.normalize("NFD", name) if random.random() < 0.2 else name


def system_files(random, layout):
  """Passed over, wherever they lie."""
  for name in random.sample(SYSTEM, random.randint(1, 4)):
    parent = random.choice((b"", *layout.parents, *layout.folders))
    path = _joined(parent, os.fsencode(name.removesuffix("/")))
    if name.endswith("/"):
      layout.files[_joined(path, b"x.png")] = picture(0)
      layout.files[_joined(path, b"sub/y.bin")] = b"\0"
    else:
      layout.files[path] = b"\0\1Mac OS X"


def dead_link(random, layout):
  target = random.choice((b"/nowhere/a.png", b"gone.png", b"../gone/a.png"))
  _put(random, layout, b"zz.png", ("link", target))
  layout.refuse()


def looping_link(random, layout):
  name, target = random.choice(
    ((b"zz.png", b"zz.png"), (b"zz", b"."), (b"zz", b".."))
  )
  _put(random, layout, name, ("link", target))
  layout.refuse()


def outward_link(random, layout):
  """To an image, or to a folder of them, beside the root."""
  if random.random() < 0.5:
    _put(random, layout, b"out.png", ("link", b"OUTSIDE/o0.png"))
    layout.notes.append("image outside")
  else:
    parent = random.choice(list(layout.parents))
    layout.files[_joined(parent, b"outer")] = ("link", b"OUTSIDE")
    layout.notes.append("class outside")
  layout.doubt()


def nested_folder(random, layout):
  inside = random.choice((b"sub/x.png", b"sub/deeper/x.png", b"x.png/y.png"))
  _put(random, layout, inside, picture(0))
  layout.refuse()


def empty_folder(random, layout):
  _put(random, layout, b"sub", None)
  layout.refuse()


def no_image(random, layout):
  name, content = random.choice(
    (
      (b"e.png", b""),
      (b"zero.jpg", b"\0" * 100),
      (b"page.png", b"<html>404</html>"),
      (b"notes.txt", b"of 2021"),
      (b"labels.csv", b"a,b\n"),
      (b"raw.tif", picture(0)),
      (b"noending", picture(0)),
      (b"x.png.part", picture(0)[:20]),
      (b"cut.png", picture(0)[:40]),
      (b"new\nline.txt", b""),
      (b"\x1b[2Jx.txt", b""),
    )
  )
  _put(random, layout, name, content)
  layout.refuse()


def stray_image(random, layout):
  parent, part = random.choice(list(layout.parents.items()))
  layout.files[_joined(parent, b"stray.png")] = picture(0)
  if part.startswith("unused"):
    layout.doubt()
  else:
    layout.refuse()


def stray_text(random, layout):
  parent = random.choice(list(layout.parents))
  layout.files[_joined(parent, b"README.txt")] = b"of 2021"
  layout.doubt()


def empty_class(random, layout):
  layout.files[_joined(next(iter(layout.parents)), b"nothing")] = None
  layout.refuse()


def class_of_the_test_set(random, layout):
  for parent, part in layout.parents.items():
    if part == "test":
      layout.add_class(random, "test", parent, "other", 2)
      layout.refuse()


def name_not_utf8(random, layout):
  parent = next(iter(layout.parents))
  folder = _joined(parent, random.choice((b"caf\xe9", b"\xff\xfe", b"\x83V")))
  for index in range(4):
    layout.files[_joined(folder, b"%d.png" % index)] = picture(0)
  layout.refuse()


def same_name_twice(random, layout):
  """Two folders whose names look the same."""
  for form in ("NFC", "NFD"):
    name = unicodedata.normalize(form, "été")
    layout.add_class(random, "double", next(iter(layout.parents)), name, 4)
  layout.refuse()


def hidden_signs(random, layout):
  """A class whose name a terminal would act on."""
  name = random.choice(("a\nb", "\x1b[31mred", "a\u202eb", "a\x07", "x\r"))
  for parent, part in layout.parents.items():
    layout.add_class(random, part, parent, name, 4)
  layout.doubt()


DISTURBANCES = (
  system_files,
  system_files,
  system_files,
  dead_link,
  looping_link,
  outward_link,
  nested_folder,
  empty_folder,
  no_image,
  no_image,
  stray_image,
  stray_text,
  empty_class,
  class_of_the_test_set,
  name_not_utf8,
  same_name_twice,
  hidden_signs,
)


def _put(random, layout, name, content):
  """Into a class that is used."""
  used = [f for f, part in layout.folders.items() if part in ("all", "train")]
  layout.files[_joined(random.choice(used), name)] = content


def write(layout, folder):
  """Lays it out under `folder/root`, with `folder/outside` beside it."""
  shutil.rmtree(os.fsencode(folder), ignore_errors=True)
  outside = folder / "outside"
  outside.mkdir(parents=True)
  for index, grey in enumerate(OUTSIDE):
    (outside / f"o{index}.png").write_bytes(picture(grey))
  root = os.fsencode(folder / "root")
  os.mkdir(root)
  for name, content in layout.files.items():
    path = root + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if content is None:
      os.makedirs(path, exist_ok=True)
    elif isinstance(content, tuple):
      target = content[1].replace(b"OUTSIDE", os.fsencode(outside))
      os.symlink(target, path)
    else:
      with open(path, "wb") as file:
        file.write(content)


def read(folder, layout):
  """Reads the layout, and compares what is read with what was laid out."""
  write(layout, folder)
  try:
    found = data.load("folder", path=folder / "root", test_fraction=0.5)
  except Exception:
    assert not layout.must_read, "a layout that is legal is refused"
    raise
  assert not layout.must_refuse, f"read as {found.class_names}"
  names = [unicodedata.normalize("NFC", name) for name in found.class_names]
  assert list(found.class_names) == sorted(found.class_names)
  trained, tested = (_greys(names, part) for part in (found.train, found.test))
  wanted = layout.splits
  if "all" in wanted:
    assert all(trained[n] and tested[n] for n in wanted["all"])
    assert not any(trained[n] & tested[n] for n in wanted["all"])
    _same({n: trained[n] | tested[n] for n in names}, wanted["all"])
    return
  _same(trained, wanted["train"])
  if "test" in wanted:
    _same(tested, wanted["test"])
  else:  # Of two sets to test on, either may serve.
    others = [wanted[part] for part in wanted if part != "train"]
    assert {n: g for n, g in tested.items() if g} in others


def _greys(names, images):
  """The greys of each class's images, but of those that lie outside."""
  pixels = images.images[:, 0, 0, 0]
  return {
    name: set(pixels[images.labels == label].tolist()) - OUTSIDE
    for label, name in enumerate(names)
  }


def _same(found, wanted):
  found = {n: g for n, g in found.items() if g}
  assert found == wanted, f"{found}; laid out: {wanted}"


def _drawn_and_read(name, folder):
  del name
  return draw, lambda layout: read(folder / "case", layout)


KINDS = ("layouts",)


def _check(cases, folder):
  drawn, read_drawn = _drawn_and_read("layouts", folder)
  seen = check(drawn, read_drawn, cases, LIMIT, is_told_in_a_line)
  print(f"folders: seed {SEED}, {dict(seen)}")
  return seen


def test_layouts(tmp_path):
  seen = _check(150, tmp_path)
  assert seen["read"] and seen["refused"]


@pytest.mark.slow
def test_many_layouts(tmp_path):
  _check(share(0.15), tmp_path)


def test_a_picture_is_of_its_grey():
  image = np.asarray(Image.open(io.BytesIO(picture(7))))
  assert image.tolist() == [[7, 7]]
