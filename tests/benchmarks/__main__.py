"""All benchmarks, or some, in one command.

  python -m tests.benchmarks [--only NAME ...] [--out=FOLDER] [--data=FOLDER]
    [--quick] [--again] [--readme] [--publish=NAME]

Each runs as a process of its own; FOLDER gets NAME.json and NAME.log of each,
and all.json. Started again, it goes on with what is not finished. `--data` is
searched for the files that some need; without them these are left out, and
told. `--quick` takes the smallest sizes, to see that all works.

`--readme` prints the table of what is finished in FOLDER, and runs nothing;
`--publish=NAME` puts that into `tests/benchmarks/README.md`, and the results of
this machine into `tests/benchmarks/measured/NAME.json`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from fbnax.base.files import write_atomically
from fbnax.base.json_values import to_json
from tests.benchmarks import measuring, suite, tables


def main(arguments: list[str] | None = None) -> int:
  """Runs what the command line asks for; 1 if a benchmark failed."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--only", nargs="+", choices=suite.names())
  parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
  parser.add_argument("--data", type=Path, nargs="*", default=[])
  parser.add_argument("--quick", action="store_true")
  parser.add_argument("--again", action="store_true")
  parser.add_argument("--readme", action="store_true")
  parser.add_argument("--publish", metavar="NAME")
  given = parser.parse_args(arguments)
  folder = given.out.absolute()
  if given.readme or given.publish:
    found = json.loads((folder / suite.ALL).read_text("utf-8"))
    if given.publish:
      if found["quick"]:
        parser.error(
          "--publish: these are results of --quick, which mean nothing"
        )
      publish(given.publish, found)
    print(tables.markdown(found), end="")
    return 0
  # So that what runs is ended with it.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  data = [d.absolute() for d in given.data]
  data += [d for d in (measuring.SHARED,) if d.exists()]
  try:
    found = suite.run(
      [b for b in suite.BENCHMARKS if b.name in (given.only or suite.names())],
      folder,
      data=data,
      quick=given.quick,
      again=given.again,
    )
  except KeyboardInterrupt:
    print("stopped; the same command goes on from here", file=sys.stderr)
    return 128 + signal.SIGINT
  print("\n" + tables.text(found))
  print(f"all of it is in {folder / suite.ALL}")
  return 1 if found["failed"] else 0


def publish(name: str, found: dict) -> None:
  """Keeps the results of a machine, and writes the tables of README.md."""
  path = tables.MEASURED / f"{name}.json"
  path.parent.mkdir(exist_ok=True)
  write_atomically(path, to_json(found, indent=1, sort=False) + "\n")
  readme = tables.README.read_text("utf-8")
  write_atomically(tables.README, tables.in_readme(readme, published()))


def published() -> list[dict]:
  """What was measured, machine by machine."""
  files = sorted(tables.MEASURED.glob("*.json"))
  return [json.loads(file.read_text("utf-8")) for file in files]


if __name__ == "__main__":
  sys.exit(main())
