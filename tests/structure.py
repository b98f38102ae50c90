"""What makes the house heavy, in numbers.

    python -m tests.structure

prints the lines of each room, the functions whose bodies are long, the class
names that occur more than once, and the configs that are passed without a type.
`tests/structure_test.py` asserts that these do not grow.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_BODY = 80  # Lines of a function without its docstring.
LONGEST_FILE = 600  # Of a longer one somebody has to say that it is one idea.


@dataclasses.dataclass(frozen=True)
class Structure:
  """The numbers of a checkout.

  Attributes:
    rooms: files and lines of each package of `fbnax`.
    long_functions: `file:function lines` of bodies above `LONGEST_BODY`.
    long_files: `file lines` above `LONGEST_FILE`.
    repeated_classes: public class names that occur more than once.
    untyped_configs: parameters `config: Any`.
    readme: lines of the README.
  """

  rooms: dict[str, tuple[int, int]]
  long_functions: list[str]
  long_files: list[str]
  repeated_classes: list[str]
  untyped_configs: int
  readme: int

  @property
  def lines(self) -> int:
    """Lines of all rooms."""
    return sum(lines for _, lines in self.rooms.values())


def measure(root: Path = ROOT) -> Structure:
  """Reads every file of the library once."""
  rooms: dict[str, tuple[int, int]] = {}
  long_functions, long_files, untyped = [], [], 0
  classes: collections.Counter[str] = collections.Counter()
  for path in sorted((root / "fbnax").rglob("*.py")):
    text = path.read_text("utf-8")
    name = path.relative_to(root).as_posix()
    parts = path.relative_to(root / "fbnax").parts
    room = parts[0] if len(parts) > 1 else "(top)"
    files, lines = rooms.get(room, (0, 0))
    count = len(text.splitlines())
    rooms[room] = files + 1, lines + count
    if count > LONGEST_FILE:
      long_files.append(f"{name} {count}")
    for node in ast.walk(ast.parse(text)):
      if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        classes[node.name] += 1
      if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if (size := body_lines(node)) > LONGEST_BODY:
          long_functions.append(f"{name}:{node.name} {size}")
        untyped += sum(map(_is_untyped_config, _arguments(node)))
  return Structure(
    rooms,
    long_functions,
    long_files,
    sorted(name for name, count in classes.items() if count > 1),
    untyped,
    len((root / "README.md").read_text("utf-8").splitlines()),
  )


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
  """Lines of a function's body without its docstring."""
  body = node.body[1:] if ast.get_docstring(node) is not None else node.body
  return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
  return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _is_untyped_config(argument: ast.arg) -> bool:
  kind = argument.annotation
  is_any = isinstance(kind, ast.Name) and kind.id == "Any"
  return argument.arg == "config" and is_any


def main() -> None:
  """Prints the numbers of this checkout."""
  structure = measure()
  for room, (files, lines) in structure.rooms.items():
    print(f"{room:10} {files:4} files {lines:7,} lines")
  print(f"{'all':10} {'':10} {structure.lines:7,} lines")
  for title, items in (
    (f"functions above {LONGEST_BODY} lines", structure.long_functions),
    (f"files above {LONGEST_FILE} lines", structure.long_files),
    ("class names that occur twice", structure.repeated_classes),
  ):
    print(f"{title}: {len(items)}", *(f"  {item}" for item in items), sep="\n")
  print(f"config: Any: {structure.untyped_configs}")
  print(f"README: {structure.readme} lines")


if __name__ == "__main__":
  main()
