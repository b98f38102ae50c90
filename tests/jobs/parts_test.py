"""A user's own parts: found, called, checked; their faults are told."""

import dataclasses
import pathlib
import sys

import jax
import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import data, spaces
from fbnax.base.json_values import to_json
from fbnax.jobs.runtime import configs, inputs, parts
from fbnax.jobs.runtime.sections import SourceKeys
from fbnax.jobs.runtime.shell import run_job
from fbnax.search.evaluators import Candidate, Outcome
from fbnax.search.nars import predictor, predictor_files
from fbnax.search.nars.predictor import HeadSettings

EXAMPLE = f"{pathlib.Path(__file__).parent}/example_parts.py"
DATA = configs.config(SourceKeys(name=f"{EXAMPLE}:shades"))


@pytest.fixture
def written(tmp_path):
  """Writes a user's file; gives the name of one of its names."""

  def write(text, name):
    (tmp_path / "mine.py").write_text(text)
    return f"{tmp_path}/mine.py:{name}"

  return write


@pytest.mark.parametrize(
  "text, wanted",
  [
    ("a/b.py:space", True),
    ("package.module:name", True),
    ("small", False),
    ("a/b.py", False),
    ("a/b.py:", False),
    ("a/b.py:2", False),
    ("", False),
  ],
)
def test_what_names_a_part(text, wanted):
  assert parts.is_part(text) == wanted


def test_a_file_is_run_once_and_leaves_the_path_as_it_was(written, tmp_path):
  (tmp_path / "neighbour.py").write_text("VALUE = 5\n")
  name = written("import neighbour\nruns = [neighbour.VALUE]\n", "runs")
  before = list(sys.path)
  found = parts.load(name, "config.space")
  assert found == [5]
  assert sys.path == before
  assert parts.load(name, "config.space") is found
  assert "mine" not in sys.modules
  sys.modules.pop("neighbour")


def test_a_module_of_a_package():
  found = parts.load("fbnax.spaces.small:space", "config.space")
  assert found is spaces.small.space
  assert parts.space("fbnax.spaces.small:space") == spaces.get("small")


@pytest.mark.parametrize(
  "text, message",
  [
    ("nowhere/mine.py:space", r"config\.space='nowhere.*no such file: nowhere"),
    (f"{EXAMPLE}:spaec", r"no 'spaec'; nearest: \['space'"),
    ("no.such.module:space", "no module 'no' can be imported; legal: path"),
    ("fbnax.spaces:small", "found a module, .*; legal: a function of"),
    ("small", "legal: path/to/file.py:name or"),
  ],
)
def test_what_cannot_be_found(text, message):
  with pytest.raises(ValueError, match=message):
    parts.space(text)


@pytest.mark.parametrize(
  "text, message",
  [
    ("x = 1\ny = x + z\n", r"mine\.py, line 2, `y = x \+ z`: NameError: name"),
    ("x = 1\ndef f(:\n", r"mine\.py, line 2: SyntaxError"),
    ("import no_such\n", r"line 1, .*ModuleNotFoundError.*no_such"),
    (
      "import numpy\ndef f():\n  return numpy.zeros(3).reshape(2)\n",
      r"line 3, .*: ValueError: cannot reshape",
    ),
    ("def f(a):\n  pass\n", r"missing a required argument: 'a'; legal: a fun"),
    ("def f():\n  return 3\n", "found a int, 3; legal: a fbnax.spaces.Search"),
    ("import sys\nsys.exit(3)\n", r"line 2, `sys\.exit\(3\)`: SystemExit: 3"),
    ("def f():\n  raise SystemExit\n", "line 2, .*: SystemExit"),
  ],
)
def test_a_fault_of_the_users_is_told_with_its_line(written, text, message):
  with pytest.raises(ValueError, match=message) as caught:
    parts.space(written(text, "f"))
  assert str(caught.value).startswith("config.space=")
  # What failed is not kept: the mended file can be loaded.
  fixed = written("from fbnax import spaces\nf = spaces.get('small')\n", "f")
  if "NameError" in message:
    assert parts.space(fixed).name == "small"


def test_a_space_that_files_cannot_be_named_after(written):
  text = "import dataclasses\nfrom fbnax import spaces\n"
  text += "f = dataclasses.replace(spaces.get('small'), name='../x')\n"
  with pytest.raises(ValueError, match=r"name is '\.\./x'; legal: letters"):
    parts.space(written(text, "f"))


def test_space_and_data_by_a_config():
  config = config_dict.create(
    space=f"{EXAMPLE}:space",
    fix="kernel=3",
    architecture="",
    resolution=0,
    recipe_file="",
    data=DATA,
    seed=2,
  )
  space = inputs.space(config, 1)
  assert space.size == 12 and space.table.input_channels == 1
  dataset = inputs.dataset(config)
  assert (len(dataset.train), len(dataset.test)) == (60, 30)
  again = parts.dataset(DATA.name, DATA, 2)
  np.testing.assert_array_equal(again.train.images, dataset.train.images)
  other = parts.dataset(DATA.name, DATA, 3)
  assert (other.train.images != dataset.train.images).any()


def test_data_is_checked(written):
  text = "from fbnax import data\ndef load(config_data, seed):\n"
  with pytest.raises(ValueError, match="found a int, 3; legal: a fbnax"):
    parts.dataset(written(f"{text}  return 3\n", "load"), DATA, 0)
  good = parts.dataset(DATA.name, DATA, 0)
  bad = dataclasses.replace(
    good, train=data.Split(good.train.images, good.train.labels + 1)
  )
  module = parts.load(f"{EXAMPLE}:Mean", "config").__module__
  sys.modules[module].broken = lambda config_data, seed: bad
  with pytest.raises(ValueError, match=r"data\.name=.*train\.labels: found 3"):
    parts.dataset(f"{EXAMPLE}:broken", DATA, 0)


def _evaluator(name):
  space = parts.space(f"{EXAMPLE}:space")
  config = config_dict.create(evaluator=name)
  return parts.evaluator(config, space, 3)


CANDIDATES = [Candidate(i, (i, 0, 0, 0), 0) for i in range(3)]


def test_an_evaluator_gives_plain_numbers():
  evaluate = _evaluator(f"{EXAMPLE}:by_formula")
  trained = []
  found = [
    o for part in evaluate(CANDIDATES, 2, trained.append, {1}) for o in part
  ]
  assert [o.id for o in found] == [0, 2]
  assert trained == [2, 2]
  assert found[0].curve[-1] < found[1].curve[-1]
  assert all(type(v) is float for o in found for v in o.curve)


@pytest.mark.parametrize(
  "body, message",
  [
    (
      "return 3",
      "found a int, 3; legal: a fbnax.search.evaluators.Eval",
    ),
    ("return lambda a: []", "too many positional arguments; legal: a function"),
    ("return lambda *a: [[3]]", "yielded: found a int, 3; legal: a list of"),
    ("return lambda *a: []", r"no outcome of trials \[0, 1, 2\]"),
    (
      "return lambda *a: [[O(7, (0.5, 0.5), 1.0, 0.0, None)]]",
      r"an outcome of trial 7; legal: one of each of \[0, 1, 2\]",
    ),
    (
      "return lambda *a: [[O(0, (0.5,), 1.0, 0.0, None)]]",
      r"curve of trial 0 is \(0\.5,\); legal: .* each of 2 epochs",
    ),
    (
      "return lambda *a: [[O(0, (0.5, 1.5), 1.0, 0.0, None)]]",
      "an accuracy from 0 to 1",
    ),
    ("return lambda *a: (1 / 0 for _ in a)", "line 3, .*ZeroDivisionError"),
    ("return lambda *a: (exit(0) for _ in a)", "line 3, .*SystemExit: 0"),
  ],
)
def test_an_evaluators_faults(written, body, message):
  text = "from fbnax.search.evaluators import Outcome as O\n"
  name = written(
    f"{text}def make(config, space, num_classes):\n  {body}\n", "make"
  )
  with pytest.raises(ValueError, match=message):
    list(_evaluator(name)(CANDIDATES, 2, lambda _: None, ()))


def test_a_failed_trial_may_have_any_curve(written):
  text = "from fbnax.search.evaluators import Outcome as O\n"
  text += "def make(config, space, num_classes):\n"
  text += "  return lambda c, *a: [[O(x.id, (), 0, 0, 'no') for x in c]]\n"
  (found,) = _evaluator(written(text, "make"))(CANDIDATES, 2, print, ())
  assert found[0] == Outcome(0, (), 0.0, 0.0, "no")


def test_a_teacher():
  found = parts.teacher(f"{EXAMPLE}:mean_colour", 3)
  assert (found.resolution, found.mean, found.std) == (8, (0.5,), (0.25,))
  logits = found.module.apply(
    found.variables, np.zeros((1, 8, 8, 1)), train=False
  )
  assert logits.shape == (1, 3)


@pytest.mark.parametrize(
  "result, message",
  [
    ("3", r"legal: \(module, variables, resolution, mean, std\)"),
    ("(3, *t[1:])", "module: found a int, 3; legal: a flax.linen.Module"),
    ("(t[0], {}, *t[2:])", "variables: found a dict"),
    ("(*t[:2], 0, *t[3:])", "resolution is 0; legal: 1 or more"),
    ("(*t[:3], (0.5, 0.5), (0.2,))", "one number for each channel"),
    ("(*t[:3], (0.5, 0.5), (0.2, 0.2))", "ScopeParamShapeError|shape"),
    ("E.mean_colour(4)", r"legal: logits of shape \(2, 3\)"),
  ],
)
def test_a_teachers_faults(written, result, message):
  text = (
    f"import sys\nsys.path.insert(0, {str(pathlib.Path(EXAMPLE).parent)!r})\n"
  )
  text += "import example_parts as E\n"
  text += "t = E.mean_colour(3)\n"
  text += f"def make(num_classes):\n  return {result}\n"
  with pytest.raises(ValueError, match=message):
    parts.teacher(written(text, "make"), 3)


def _finished(folder, space):
  """What `evolve` reads of a run over a user's own space."""
  genotypes = space.sample(jax.random.key(0), 16)
  settings = HeadSettings(epochs=1, capacity=16)
  model = predictor.fit(
    jax.random.key(1),
    space,
    None,
    genotypes,
    np.arange(16.0),
    members=1,
    settings=settings,
  )
  predictor_files.save(folder / "predictor.npz", model)
  result = {
    "job": "nars",
    "config": {"space": f"{EXAMPLE}:space", "fix": ""},
    "dataset": {"num_classes": 3, "channels": 1},
    "trials": [{"label": 0.5, "genotype": [0, 0, 0, 0]}],
  }
  (folder / "result.json").write_text(to_json(result))


def test_a_directory_starts_no_code_unless_the_config_names_it(tmp_path):
  space = parts.space(f"{EXAMPLE}:space")
  space = dataclasses.replace(
    space, table=dataclasses.replace(space.table, input_channels=1)
  )
  (tmp_path / "run").mkdir()
  _finished(tmp_path / "run", space)
  config = config_dict.create(
    job="evolve",
    seed=0,
    run=f"{tmp_path}/run",
    budgets=config_dict.create(macs=(1e6,), params=(), floor=0.0),
    top=2,
  )
  with pytest.raises(
    ValueError, match=r"if you trust it, say --config\.space="
  ):
    run_job(config, f"{tmp_path}/more")
  with config.unlocked():
    config.space = f"{EXAMPLE}:space"
  run_job(config, f"{tmp_path}/again")
  found = list((tmp_path / "again/candidates").glob("tiny-1m-*"))
  assert len(found) == 4


@pytest.mark.parametrize("key", parts.KEYS)
def test_every_key_of_a_run_is_guarded(key):
  found, own = config_dict.ConfigDict(), config_dict.ConfigDict()
  for config in (found, own):
    section, _, name = key.rpartition(".")
    if section:
      config[section] = config_dict.ConfigDict()
      config = config[section]
    config[name] = "mine.py:part"
  empty = config_dict.ConfigDict()
  with pytest.raises(
    ValueError, match=f"runs/a has config.{key}='mine.py:part"
  ):
    parts.of_run(empty, found.to_dict(), "runs/a")
  assert parts.of_run(own, found.to_dict(), "runs/a") == found
