"""The house's rules that can be read off the source: see DESIGN, section 1."""

import ast
import sys
from pathlib import Path

import pytest

import fbnax
from fbnax.jobs import JOBS

ROOT = Path(fbnax.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# What each room may import of the others. A new room gets a line here.
_LOWER = {"base", "spaces", "ops", "costs", "models", "data", "training"}
ALLOWED = {
  "base": set(),
  "spaces": {"base"},
  "ops": {"base"},
  "costs": {"base", "spaces", "ops"},
  "models": {"base", "spaces", "ops", "costs"},
  "data": {"base"},
  "training": {*_LOWER} - {"training"},
  "nbdt": {"base", "ops"},
  "proxies": {"base", "ops"},
  "search": {*_LOWER, "proxies"},
  "report": {"base", "spaces"},
  "jobs": {*_LOWER, "nbdt", "proxies", "search", "report"},
  "bridges": {*_LOWER, "nbdt", "report", "search", "jobs"},
  "main": {*_LOWER, "nbdt", "proxies", "search", "report", "jobs"},
  "predict": {*_LOWER, "nbdt", "proxies", "search", "report", "jobs"},
  # The task as a function, and as a command; how the package is built.
  "family": {"base", "data", "training", "jobs"},
  "commands": {
    "base",
    "data",
    "training",
    "report",
    "jobs",
    "main",
    "predict",
    "bridges",
  },
  "packaging": set(),
  "__init__": {"family"},
}
# These run wherever JAX, Flax and Optax are.
LIGHT = {"base", "spaces", "ops", "costs", "models"}
LIGHT_LIBRARIES = {"jax", "flax", "optax", "numpy", "scipy"}
# One command reads published tables of latencies, some of which are YAML; it
# imports this inside a function.
LIGHT_EXCEPTIONS = {("costs/latency_convert.py", "yaml")}
# Imported on top of a module, these make every start slow.
SLOW = {"orbax", "tensorboardX", "rich", "matplotlib", "ray", "torch", "nltk"}
SLOW |= {"optuna", "starlette", "uvicorn"}
SLOW |= {"tensorflow", "tensorflow_datasets", "sklearn", "onnx", "yaml"}

MAX_LINES = 600


def room_of(path):
  return path.relative_to(ROOT).with_suffix("").parts[0]


def imports_of(path, *, top_only=False):
  """(line, module) of each import, `from a import b` giving a and a.b."""
  tree = ast.parse(path.read_text("utf-8"))
  nodes = tree.body if top_only else ast.walk(tree)
  for node in nodes:
    if isinstance(node, ast.Import):
      yield from ((node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}:{node.lineno}: relative import"
      yield node.lineno, node.module
      for alias in node.names:
        yield node.lineno, f"{node.module}.{alias.name}"


def test_every_room_has_a_line():
  rooms = {room_of(path) for path in FILES} - {"__init__"}
  assert rooms <= set(ALLOWED), f"not in the table: {rooms - set(ALLOWED)}"
  modules = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
  assert modules <= {"main", "predict", "family", "commands", "packaging"}


def test_arrows_run_downwards():
  wrong = []
  for path in FILES:
    room = room_of(path)
    allowed = ALLOWED.get(room, set()) | {room, "__version__"}
    for line, module in imports_of(path):
      package, _, rest = module.partition(".")
      target = rest.split(".")[0]
      if package == "fbnax" and target and target not in allowed:
        wrong.append(f"{path}:{line}: {room} may not import {target}")
  assert not wrong, "\n".join(sorted(set(wrong)))


def _folder_of(path):
  """The job whose folder a file is in; None for what is no job's."""
  parts = path.relative_to(ROOT).parts
  return parts[1] if parts[0] == "jobs" and parts[1] in JOBS else None


def test_jobs_do_not_import_each_other():
  # What two of them use is a room's, or stands in `jobs/runtime`.
  wrong = []
  for path in FILES:
    job = _folder_of(path)
    for line, module in imports_of(path):
      target = (*module.split("."), "", "", "")[:3]
      if target[:2] != ("fbnax", "jobs") or target[2] not in JOBS:
        continue
      if path.relative_to(ROOT).parts[0] == "jobs" and target[2] != job:
        wrong.append(f"{path}:{line}: {module}")
  assert not wrong, "\n".join(sorted(set(wrong)))


def test_a_page_is_drawn_without_search_code():
  # Of the job's own files those alone that keep to this rule themselves.
  rooms = {"base", "spaces", "report", "__version__"}
  wrong = []
  for name, job in JOBS.items():
    folder = ROOT / "jobs" / name
    pages, seen = ([folder / "page.py"] if job.has_page else []), set()
    while pages:
      path = pages.pop()
      seen.add(path)
      for line, module in imports_of(path):
        package, _, rest = module.partition(".")
        own = folder / f"{rest.removeprefix(f'jobs.{name}.')}.py"
        is_own_name = rest.startswith(f"jobs.{name}.")
        if package != "fbnax" or rest in ("", "jobs", f"jobs.{name}"):
          continue
        if own.exists() and own not in seen:
          pages.append(own)
        elif not is_own_name and rest.split(".")[0] not in rooms:
          wrong.append(f"{path}:{line}: {module}")
  assert not wrong, "\n".join(sorted(set(wrong)))


def test_the_rule_can_fail(tmp_path):
  file = tmp_path / "a.py"
  file.write_text("def f():\n  from fbnax import jobs\nimport fbnax.search.x\n")
  found = {module for _, module in imports_of(file)}
  assert {"fbnax.jobs", "fbnax.search.x"} <= found
  file.write_text("from . import x\n")
  with pytest.raises(AssertionError, match="relative import"):
    list(imports_of(file))


def test_no_slow_import_on_top_of_a_module():
  wrong = []
  for path in FILES:
    for line, module in imports_of(path, top_only=True):
      package = module.split(".")[0]
      if package in SLOW:
        wrong.append(f"{path}:{line}: import {package} inside a function")
  assert not wrong, "\n".join(wrong)


def test_the_lower_rooms_need_jax_flax_and_optax_alone():
  legal = LIGHT_LIBRARIES | set(sys.stdlib_module_names) | {"fbnax"}
  wrong = []
  for path in FILES:
    if room_of(path) in LIGHT:
      for line, module in imports_of(path):
        package = module.split(".")[0]
        place = path.relative_to(ROOT).as_posix(), package
        if package not in legal and place not in LIGHT_EXCEPTIONS:
          wrong.append(f"{path}:{line}: {room_of(path)} imports {package}")
  assert not wrong, "\n".join(wrong)


def test_no_pickle():
  wrong = []
  for path in FILES:
    for line, module in imports_of(path):
      if module.split(".")[0] in ("pickle", "cloudpickle", "dill", "joblib"):
        wrong.append(f"{path}:{line}: {module}")
    assert "allow_pickle=True" not in path.read_text("utf-8"), path
  assert not wrong, "\n".join(wrong)


def test_a_file_is_one_idea():
  # Of a longer one somebody has to say that it is.
  wrong = []
  for path in FILES:
    count = len(path.read_text("utf-8").splitlines())
    if count > MAX_LINES:
      wrong.append(f"{path}: {count} lines; at most {MAX_LINES}")
  assert not wrong, "\n".join(wrong)
  assert len((ROOT / "main.py").read_text("utf-8").splitlines()) < 90


def test_every_room_is_a_package():
  # An installed copy lacks folders that are not.
  rooms = {path.parent for path in FILES}
  lacking = [room for room in rooms if not (room / "__init__.py").exists()]
  assert not lacking, f"without __init__.py: {sorted(map(str, lacking))}"


def test_every_file_says_what_it_is():
  for path in FILES:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert doc, f"{path}: opens without a docstring"


def test_tests_mirror_the_code():
  tests = Path(__file__).parent
  rooms = {path.name for path in ROOT.iterdir() if path.is_dir()}
  others = ("benchmarks", "faults", "freeze")
  for path in tests.glob("*/"):
    if list(path.glob("*_test.py")) and path.name not in others:
      assert path.name in rooms, f"{path} mirrors no room of fbnax"


# What writes a file in one go or bit by bit, which a kill or a full disk cuts.
_WRITERS = {"write_text", "write_bytes", "savefig"}
_COPIERS = {"copy", "copy2", "copyfile", "copytree", "move"}
_SAVERS = {"save", "savez", "savez_compressed", "savetxt", "dump", "tofile"}
# Of modules that write where they are told to.
_MODULES = {"np", "numpy", "json", "shutil", "jnp"}
# What a file is called that is none, or that `files.writing` opened.
_OPENED = {"buffer", "content", "file"}
# File, function, and why it need not be whole.
_WRITES = {
  ("base/files.py", "writing"): "the one writer",
  ("base/records.py", "append"): "the one that adds",
  ("jobs/runtime/processes.py", "working"): "os.devnull",
  ("jobs/runtime/processes.py", "_pack"): "a buffer in memory",
  ("packaging.py", "run"): "a build's folder",
  ("launch/snapshot.py", "snapshot"): "in what files.writing opened",
  ("launch/snapshot.py", "_link_or_copy"): "a folder that is removed",
}


def _mode_of(call):
  """The mode that a call opens a file in, "r" where it opens none."""
  name = getattr(call.func, "attr", getattr(call.func, "id", ""))
  if name != "open":
    return "r"
  place = 1 if isinstance(call.func, ast.Name) else 0
  module = getattr(getattr(call.func, "value", None), "id", "")
  if module in ("Image", "tarfile", "zipfile", "io"):
    place = 1
  given = {keyword.arg: keyword.value for keyword in call.keywords}
  mode = given.get("mode", (call.args[place:] or [None])[0])
  if module == "os" or not isinstance(mode, ast.Constant):
    return "r"
  return str(mode.value)


def _writes(call):
  """Whether a call writes a file by itself."""
  if isinstance(call.func, ast.Attribute):
    name, of = call.func.attr, getattr(call.func.value, "id", "")
    target = getattr((call.args or [None])[-1], "id", "")
    first = getattr((call.args or [None])[0], "id", "")
    if name in _WRITERS and first not in _OPENED:
      return True
    if name in _COPIERS and of == "shutil":
      return True
    if name in _SAVERS and of in _MODULES and not {first, target} & _OPENED:
      return True
    # PIL's has the format as its second argument.
    if name == "save" and len(call.args) == 2 and first not in _OPENED:
      return isinstance(call.args[1], ast.Constant)
  return bool(set(_mode_of(call)) & set("wax+"))


def writers_of(path):
  """(line, function) of each call that writes a file by itself."""

  def visit(node, function):
    for child in ast.iter_child_nodes(node):
      inside = child.name if isinstance(child, ast.FunctionDef) else function
      if isinstance(child, ast.Call) and _writes(child):
        yield child.lineno, inside
      yield from visit(child, inside)

  yield from visit(ast.parse(path.read_text("utf-8")), "")


def test_files_are_written_whole():
  """By `fbnax.base.files` and `records`, or it is said here why not."""
  wrong, known = [], set()
  for root, sources in (
    (ROOT, FILES),
    (ROOT.parent, sorted((ROOT.parent / "launch").rglob("*.py"))),
  ):
    for path in sources:
      for line, function in writers_of(path):
        place = (path.relative_to(root).as_posix(), function)
        known.add(place)
        if place not in _WRITES:
          wrong.append(f"{path}:{line}: use fbnax.base.files")
  assert not wrong, "\n".join(wrong)
  assert known == set(_WRITES), "exceptions that are none any more"


def test_that_rule_can_fail(tmp_path):
  lines = (
    "path.write_text('a')",
    "path.write_bytes(b'a')",
    "open(path, 'w')",
    "open(path, mode='ab')",
    "path.open('wb')",
    "path.open(mode='x')",
    "np.save(path, a)",
    "np.savez(path, a=a)",
    "json.dump(a, out)",
    "figure.savefig(path)",
    "image.save(path, 'PNG')",
    "shutil.copy(a, b)",
    "tarfile.open(path, 'w:gz')",
    "tarfile.open(name=path, mode='w:gz')",
  )
  file = tmp_path / "a.py"
  for line in lines:
    file.write_text(f"def f():\n  {line}\n")
    assert list(writers_of(file)) == [(2, "f")], line
  for line in (
    "path.read_text()",
    "open(path)",
    "path.open('rb')",
    "image.save(buffer, 'PNG')",
    "np.savez(file, a=a)",
    "table.save(path)",
    "variables.copy()",
    "Image.open(path)",
  ):
    file.write_text(f"def f():\n  {line}\n")
    assert not list(writers_of(file)), line
