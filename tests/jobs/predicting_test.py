"""`python -m fbnax.predict`: images of all kinds, decisions, a page."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fbnax import nbdt
from fbnax.jobs.runtime import predicting
from fbnax.models.building import build
from fbnax.spaces import ResNet
from fbnax.training import model_files
from fbnax.training.recipes import Settings

NAMES = ("a<b>", "bird", "cat")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  """A tiny network for colours, which sees red, green or blue."""
  network = ResNet((1,), (4,), 4, resolution=8)
  module = build(network, 3)
  shapes = jax.eval_shape(
    lambda k: module.init(k, jnp.zeros((1, 8, 8, 3)), train=False),
    jax.random.key(0),
  )
  variables = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  middle = np.zeros((3, 3, 3, 4), np.float32)
  middle[1, 1] = np.eye(3, 4)
  variables["params"]["stem"]["conv"]["kernel"] = middle
  variables["params"]["stem"]["norm"]["scale"] += 1
  variables["params"]["classifier"]["kernel"] = 4 * np.eye(4, 3, dtype="f4")
  variables["batch_stats"]["stem"]["norm"]["var"] += 1
  path = tmp_path_factory.mktemp("run") / "members" / "tiny"
  model_files.save(
    path, network, variables, Settings(1, 1, 8, (0.0,) * 3, (1.0,) * 3), NAMES
  )
  return path


def picture(color=(255, 0, 0), size=(8, 8)):
  return Image.new("RGB", size, color)


def test_probabilities(model, tmp_path):
  picture((0, 255, 0)).save(tmp_path / "green.png")
  (found,) = predicting.predict(model, [tmp_path / "green.png"], 2)
  shares = np.exp([0, 4, 0]) / np.exp([0, 4, 0]).sum()
  (first, share), (_, second) = found.classes
  assert first == "bird"
  assert share == pytest.approx(shares[1], abs=1e-4)
  assert second == pytest.approx(shares[0], abs=1e-4)
  assert found.notes == ()


def test_probabilities_are_calibrated_by_the_card(model, tmp_path):
  picture((0, 255, 0)).save(tmp_path / "green.png")
  calibrated = shutil.copytree(model, tmp_path / "members" / "tiny")
  card = json.loads((calibrated / "model.json").read_text())
  card["calibration"] = {"temperature": 2.0}
  (calibrated / "model.json").write_text(json.dumps(card))
  (found,) = predicting.predict(calibrated, [tmp_path / "green.png"], 2)
  shares = np.exp([0, 2, 0]) / np.exp([0, 2, 0]).sum()
  assert found.classes[0] == ("bird", pytest.approx(shares[1], abs=1e-4))
  assert found.classes[1][1] == pytest.approx(shares[0], abs=1e-4)


@pytest.mark.parametrize(
  ("share", "words"),
  [
    (0.4, "taken for crack: 40.00% of crack reaches the threshold of 30.00%"),
    (0.2, "taken for fine: 20.00% of crack is below the threshold of 30.00%"),
  ],
)
def test_a_threshold_decides(share, words):
  saved = model_files.SavedModel(
    None,
    None,
    {
      "class_names": ["fine", "crack"],
      "calibration": {"positive": "crack", "threshold": 0.3},
    },
  )
  shares = np.asarray([1 - share, share])
  assert predicting._decision(saved, shares) == words


@pytest.mark.parametrize(
  ("place", "value", "message"),
  [
    (("batch_stats", "stem", "norm", "var"), -1.0, "var has -1.0; legal: var"),
    (("batch_stats", "stem", "norm", "var"), np.nan, "is nan, and 4 of 4"),
    (("params", "classifier", "kernel"), 3e38, "logits that are not finite"),
  ],
)
def test_a_model_that_gives_no_numbers(model, tmp_path, place, value, message):
  saved = model_files.load(model)
  variables = jax.tree.map(np.array, saved.variables)
  node = variables
  for name in place:
    node = node[name]
  node[...] = value
  model_files.save(
    tmp_path / "m",
    saved.module.architecture,
    variables,
    saved.settings(),
    NAMES,
  )
  picture((255, 255, 255)).save(tmp_path / "a.png")
  with pytest.raises(ValueError, match=message):
    predicting.predict(tmp_path / "m", [tmp_path / "a.png"], 2)


def _rotated(path):
  image = Image.new("RGB", (8, 8), (255, 0, 0))
  image.paste((0, 0, 255), (0, 0, 8, 4))
  exif = Image.Exif()
  exif[0x0112] = 3  # By half a turn.
  image.save(path, "JPEG", exif=exif, quality=100, subsampling=0)


@pytest.mark.parametrize(
  ("file", "save", "pixel", "note"),
  [
    (
      "a.png",
      lambda p: Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(p),
      (255, 255, 255),
      "transparency shown on white",
    ),
    (
      "a.png",
      lambda p: Image.fromarray(np.full((8, 8), 0x7FFF, np.uint16)).save(p),
      (127, 127, 127),
      "16 bits cut to 8",
    ),
    # Eight bits in two bytes, which would be black.
    (
      "a.png",
      lambda p: Image.fromarray(np.full((8, 8), 200, np.uint16)).save(p),
      (200, 200, 200),
      "16 bits: 0 to 255 became 0 to 255, as in training",
    ),
    (
      "a.tif",
      lambda p: Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(p),
      (255, 0, 0),
      "CMYK converted to RGB",
    ),
    (
      "a.png",
      lambda p: Image.new("L", (8, 8), 90).save(p),
      (90, 90, 90),
      "gray repeated for each colour",
    ),
    ("a.jpg", _rotated, (255, 0, 0), "turned as its EXIF says"),
    (
      "a.png",
      lambda p: picture(size=(16, 8)).save(p),
      (255, 0, 0),
      "16 x 8 pixels squeezed into a square",
    ),
  ],
)
def test_kinds_of_images(model, tmp_path, file, save, pixel, note):
  save(tmp_path / file)
  (found,) = predicting.predict(model, [tmp_path / file])
  assert note in found.notes
  assert found.image.shape == (8, 8, 3)
  assert np.abs(found.image[0, 0].astype(int) - pixel).max() <= 3
  assert note in predicting.text(found)


def _mpo(path):
  image = Image.new("RGB", (8, 8), (0, 0, 255))
  image.paste((255, 0, 0), (0, 4, 8, 8))
  exif = Image.Exif()
  exif[0x0112] = 3
  pictures = {"save_all": True, "append_images": [image]}
  image.save(path, "MPO", exif=exif, quality=100, subsampling=0, **pictures)


def _in(kind, **options):
  def save(path):
    image = Image.new("RGB", (8, 8), (0, 0, 255))
    image.paste((255, 0, 0), (0, 4, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(path, kind, exif=exif, **options)

  return save


@pytest.mark.parametrize(
  ("file", "save"),
  [
    ("a.jpg", _mpo),
    ("a.png", _in("PNG")),
    ("a.webp", _in("WEBP", lossless=True)),
    ("a.tif", _in("TIFF")),
  ],
)
def test_every_container_is_turned_and_says_so(model, tmp_path, file, save):
  save(tmp_path / file)
  (found,) = predicting.predict(model, [tmp_path / file])
  assert "turned as its EXIF says" in found.notes
  assert np.abs(found.image[0, 0].astype(int) - (255, 0, 0)).max() <= 3
  picture().save(tmp_path / "upright.png")
  (found,) = predicting.predict(model, [tmp_path / "upright.png"])
  assert found.notes == ()


def test_sixteen_bits_are_scaled_as_the_models_images_were(model, tmp_path):
  path = tmp_path / "a.png"
  Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(path)
  copy = tmp_path / "model"
  shutil.copytree(model, copy)
  card = json.loads((copy / "model.json").read_text())
  assert "bits" not in card["preprocessing"]
  for bits, value, note in (
    (16, 3, "16 bits cut to 8"),
    (12, 62, "16 bits: 0 to 4,095 became 0 to 255, as in training"),
    (8, 255, "16 bits: 0 to 255 became 0 to 255, as in training"),
  ):
    card["preprocessing"]["bits"] = bits
    (copy / "model.json").write_text(json.dumps(card))
    (found,) = predicting.predict(copy, [path])
    assert (found.image == value).all() and note in found.notes
  for wrong in (7, 17, "12", True, [12]):
    card["preprocessing"]["bits"] = wrong
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"preprocessing.bits is .*8 to 16"):
      predicting.predict(copy, [path])


def test_a_model_keeps_the_bits_of_its_images(tmp_path):
  network = ResNet((1,), (4,), 4, resolution=8)
  module = build(network, 3)
  shapes = jax.eval_shape(
    lambda k: module.init(k, jnp.zeros((1, 8, 8, 3)), train=False),
    jax.random.key(0),
  )
  variables = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  settings = Settings(1, 1, 8, (0.0,) * 3, (1.0,) * 3)
  model_files.save(tmp_path, network, variables, settings, NAMES, bits=12)
  assert model_files.load(tmp_path).bits == 12


def test_names_that_would_not_be_shown_are_escaped(model, tmp_path):
  path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9\x1b[2J.png"))
  picture().save(path)
  (found,) = predicting.predict(model, [path])
  found = found._replace(classes=(("a\u202eb", 0.5),))
  text, page = predicting.text(found), predicting.page([found])
  assert r"caf\udce9\x1b[2J.png" in text and r"a\u202eb" in text
  assert r"caf\udce9\x1b[2J.png" in page
  (text + page).encode()


def test_other_formats_are_refused(model, tmp_path):
  path = tmp_path / "a.png"
  path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
  with pytest.raises(ValueError, match=r"a.png: cannot be decoded; legal: BMP"):
    predicting.predict(model, [path])


def test_with_a_hierarchy(model, tmp_path):
  copy = tmp_path / "model"
  shutil.copytree(model, copy)
  nbdt.Hierarchy.from_children([[0, 1], [3, 2]]).save(copy / "hierarchy.json")
  picture((0, 0, 255)).save(tmp_path / "blue.png")
  (found,) = predicting.predict(copy, [tmp_path / "blue.png"])
  assert found.classes[0][0] == "cat"
  assert "rather than" in found.path_text
  # Probabilities are those of paths, and sum to one.
  assert sum(share for _, share in found.classes) == pytest.approx(1, abs=1e-5)
  page = predicting.page([found])
  assert "rather than" in page and "a&lt;b&gt;" in page and "<b>" not in page
  # The tree is drawn, with an id of its own for each image.
  pair = predicting.predict(copy, [tmp_path / "blue.png"] * 2)
  page = predicting.page(pair)
  assert page.count("<svg") == 2
  assert 'id="tree-0"' in page and 'id="tree-1"' in page
  nbdt.Hierarchy.from_children([[0, 1]]).save(copy / "hierarchy.json")
  with pytest.raises(ValueError, match="has 2 classes; legal: 3"):
    predicting.predict(copy, [tmp_path / "blue.png"])


def test_a_hierarchy_in_another_order(model, tmp_path):
  copy = tmp_path / "model"
  shutil.copytree(model, copy)
  names = model_files.load(copy).card["class_names"]
  picture((0, 0, 255)).save(tmp_path / "blue.png")
  found = []
  for order in ([0, 1, 2], [2, 0, 1]):
    a, b, c = (order.index(k) for k in range(3))
    tree = nbdt.Hierarchy.from_children(
      [[a, b], [3, c]], labels=[*(names[k] for k in order), "pair", "all"]
    )
    tree.save(copy / "hierarchy.json")
    found += predicting.predict(copy, [tmp_path / "blue.png"])
  assert found[0].classes == found[1].classes
  assert found[0].path_text == found[1].path_text
  other = [*names[:2], "unheard of", "pair", "all"]
  tree = nbdt.Hierarchy.from_children([[0, 1], [3, 2]], labels=other)
  tree.save(copy / "hierarchy.json")
  with pytest.raises(ValueError, match=r"file alone: \['unheard of'\]"):
    predicting.predict(copy, [tmp_path / "blue.png"])


def _run(*arguments):
  return subprocess.run(
    [sys.executable, "-m", "fbnax.predict", *map(str, arguments)],
    capture_output=True,
    text=True,
    check=False,
  )


def test_the_command(model, tmp_path):
  picture().save(tmp_path / "red.png")
  html = tmp_path / "page.html"
  done = _run(model, tmp_path / "red.png", f"--html={html}", "--top=1")
  assert done.returncode == 0, done.stderr
  assert "a<b>" in done.stdout and "bird" not in done.stdout
  assert html.read_text().count("<img") == 1
  (tmp_path / "text.png").write_text("no image")
  for wrong, message in (
    ((model, tmp_path / "text.png"), "text.png: cannot be decoded"),
    ((model, tmp_path / "none.png"), "none.png: cannot be decoded"),
    ((tmp_path, tmp_path / "red.png"), "holds no model"),
    ((model, tmp_path / "red.png", "--top=0"), "top is 0"),
  ):
    done = _run(*wrong)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_predict_is_short():
  source = pathlib.Path(predicting.__file__).parents[2] / "predict.py"
  assert len(source.read_text().splitlines()) < 70


def test_what_would_not_be_seen_in_names_is_escaped():
  tree = nbdt.Hierarchy.from_children([[0, 1]])
  names = ["cat\x1b[2J", "\u202edog\nship"]
  found = predicting.Prediction(
    pathlib.Path("a\u2066.png"),
    np.zeros((2, 2, 3), np.uint8),
    (),
    tuple(zip(names, (0.75, 0.25), strict=True)),
    nbdt.describe(nbdt.explain(np.asarray([1.0, 0.0]), tree, names)),
    nbdt.tree_svg(tree, class_names=names),
  )
  shown, page = predicting.text(found), predicting.page([found])
  assert shown.splitlines()[:3] == [
    r"a\u2066.png",
    r"   75.00%  cat\x1b[2J",
    r"   25.00%  \u202edog\nship",
  ]
  assert len(shown.splitlines()) == 5  # A name makes no line of its own.
  for text in (shown, page):
    assert not {"\x1b", "\u202e", "\u2066"} & set(text)
    assert r"\u202edog\nship" in text
