"""The numbers of `python -m tests.structure` do not grow."""

import ast

import pytest

from tests import structure


@pytest.fixture(scope="module")
def house():
  return structure.measure()


def test_function_bodies_are_short(house):
  assert house.long_functions == []


def test_a_long_file_is_one_idea(house):
  assert house.long_files == []


def test_class_names_occur_once(house):
  assert house.repeated_classes == []


def test_configs_have_types(house):
  assert house.untyped_configs == 0


def test_the_readme_is_short(house):
  assert house.readme <= 250


def test_what_is_counted(tmp_path):
  source = '''
class A: pass
class _B: pass
class _B: pass
def f(config: Any, x):
  """Says
  much."""
  y = x
  return y
def g():
  def h(*, config: Any):
    return 1
  return h
'''
  for room in ("one", "two"):
    (tmp_path / "fbnax" / room).mkdir(parents=True)
    (tmp_path / "fbnax" / room / "a.py").write_text(source)
  (tmp_path / "README.md").write_text("a\nb\n")
  house = structure.measure(tmp_path)
  assert house.rooms == {"one": (1, 13), "two": (1, 13)}
  assert house.lines == 26 and house.readme == 2
  assert house.repeated_classes == ["A"] and house.untyped_configs == 4
  functions = [
    node
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.FunctionDef)
  ]
  assert {f.name: structure.body_lines(f) for f in functions} == {
    "f": 2,
    "g": 3,
    "h": 1,
  }
