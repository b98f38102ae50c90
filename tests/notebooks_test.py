"""The notebooks of `launch/colab/` are whole, clean, and run.

They run at the smallest size (`FBNAX_NOTEBOOK_SMALL`) from top to bottom, the
code cells in one namespace of a process of their own, as in a fresh runtime.
At full size:

    FBNAX_NOTEBOOKS=full python -m pytest -n 0 tests/notebooks_test.py
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "launch" / "colab"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FULL = os.environ.get("FBNAX_NOTEBOOKS") == "full"

# What Jupyter does, less its kernel.
_RUN = """
import json, sys
cells = json.load(open(sys.argv[1], encoding="utf-8"))["cells"]
names = {"__name__": "__main__"}
for i, cell in enumerate(cells):
  if cell["cell_type"] == "code":
    exec(compile("".join(cell["source"]), f"cell {i}", "exec"), names)
"""


def cells_of(path):
  return json.loads(path.read_text("utf-8"))["cells"]


def test_there_are_some():
  assert len(NOTEBOOKS) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_format(path):
  text = path.read_text("utf-8")
  found = json.loads(text)
  assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
  assert found["metadata"]["kernelspec"]["name"] == "python3"
  ids = [cell["id"] for cell in found["cells"]]
  assert len(set(ids)) == len(ids)
  for cell in found["cells"]:
    lines = cell["source"]
    assert lines and all(line.endswith("\n") for line in lines[:-1])
    assert not lines[-1].endswith("\n")
    if cell["cell_type"] == "code":
      assert cell["outputs"] == [] and cell["execution_count"] is None
      ast.parse("".join(lines))  # No magics: it is plain Python.
    else:
      assert cell["cell_type"] == "markdown"
      assert not {"outputs", "execution_count"} & set(cell)
  assert len(text) < 50_000  # No pictures in it.


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_cells_say_what_it_is_and_install(path):
  title, install, *_ = cells_of(path)
  assert title["cell_type"] == "markdown"
  assert title["source"][0].startswith("# ")
  source = "".join(install["source"])
  assert 'if importlib.util.find_spec("fbnax") is None:' in source
  # The same in all of them.
  assert source == "".join(cells_of(NOTEBOOKS[0])[1]["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_from_top_to_bottom(path, tmp_path):
  size = {} if FULL else {"FBNAX_NOTEBOOK_SMALL": "1"}
  done = subprocess.run(
    [sys.executable, "-c", _RUN, str(path)],
    cwd=tmp_path,
    env={
      **os.environ,
      "MPLBACKEND": "agg",
      "PYTHONPATH": str(FOLDER.parents[1]),
      **size,
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout  # It says something of what it does.
