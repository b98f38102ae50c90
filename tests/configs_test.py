"""Every key of every config has a row in README's config reference.

The reference is read as its readers do: a section for each file of `configs/`
(a line that begins with its name) with a table of key, unit, and meaning with
the default in parentheses at the end. "has `data` and `training` as above"
takes the rows of these groups from the section of `configs/nars.py`, where the
section's own table has no row for a key, but those that follow as "without".
"""

import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(path.name for path in (ROOT / "configs").glob("*.py"))
HEADING = "## Config reference"
BASE = "nars.py"


def flat(tree, prefix=""):
  """Keys with dots to values."""
  found = {}
  for key, value in tree.items():
    if hasattr(value, "items"):
      found |= flat(value, f"{prefix}{key}.")
    else:
      found[prefix + key] = value
  return found


def read_reference(text):
  """For each file its rows {key: default as printed}, and what it inherits.

  That is the names of groups, and the keys that it has not of them.
  """
  part = text.split(f"\n{HEADING}\n")[1].split("\n## ")[0]
  rows, groups = {}, {}
  current = None
  for block in re.split(r"\n\s*\n", part):
    heading = re.match(r"`configs/(\w+\.py)`", block.strip())
    if heading:
      current = heading[1]
      assert current not in rows, f"two sections of {current}"
      rows[current] = {}
      above = re.search(r"has ((?:`\w+`(?:, | and )?)+) as above", block)
      without = re.search(r"as above, without\s+(.*),\s+and:", block, re.S)
      groups[current] = [
        re.findall(r"`([\w.]+)`", found[1]) if found else []
        for found in (above, without)
      ]
    if current is None or not block.strip().startswith("|"):
      continue
    _, line, *lines = block.strip().splitlines()
    assert re.fullmatch(r"[|-]+", line)
    for row in lines:
      key, _, meaning = (c.strip() for c in row.strip()[1:-1].split("|"))
      default = re.search(r"\(([^()]*)\)$", meaning.strip())
      assert default, f"{current}: the row of {key} ends without a default"
      key = key.strip("`")
      assert key not in rows[current], f"{current}: two rows of {key}"
      rows[current][key] = default[1].strip("`")
  return rows, groups


def same(value, printed):
  """Whether a default is printed in the reference as it should be."""
  if value == "" or value == ():
    return printed == "none"
  if isinstance(value, bool):
    return printed == str(value).lower()
  if isinstance(value, int | float):
    # As in the README's text: digits in groups of three, or a power of ten.
    grouped = re.fullmatch(r"-?\d{1,3}(,\d{3})*", printed)
    plain = printed.replace(",", "") if grouped else printed
    if value and abs(value) >= 10_000 and "," not in printed:
      return "e" in printed and float(plain) == value
    return is_number(plain) and float(plain) == value
  if isinstance(value, tuple | list):
    items = printed.split(", ")
    return len(items) == len(value) and all(map(same, value, items))
  return printed == str(value)


def is_number(text):
  return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None


def load(file):
  """The config's module, by its path: `configs` is no package."""
  spec = importlib.util.spec_from_file_location(
    file.removesuffix(".py"), ROOT / "configs" / file
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def variants(module):
  """All configs of a file: `configs/nars.py:NAME` for each of its `PRESETS`."""
  yield module.get_config()
  for name in getattr(module, "PRESETS", ()):
    yield module.get_config(name)


def gaps(file, config, others, rows, groups):
  """What the reference of one file lacks, says twice, or says wrongly."""
  (inherited, without), base = groups.get(file, ([], [])), rows.get(BASE, {})
  rows = rows.get(file, {})
  values = flat(config)
  known = set(values).union(*map(flat, others))
  found = []
  for key, value in values.items():
    printed = rows.get(key)
    if printed is None and key.split(".")[0] in inherited:
      printed = base.get(key)
    if printed is None:
      found.append(f"{file}: no row for {key} ({value!r})")
    elif not same(value, printed):
      found.append(f"{file}: {key} is {value!r}; the row says ({printed})")
  found += [
    f"{file}: no row for {key}" for key in known - set(values) - {*rows}
  ]
  found += [f"{file}: no such key: {key}" for key in set(rows) - known]
  told = {key for key in base if key.split(".")[0] in inherited}
  lacking = told - known - set(rows)
  found += [
    f"{file}: {key} is told as above or without it, and is the other"
    for key in lacking ^ set(without)
  ]
  return found


@pytest.mark.parametrize("file", FILES)
def test_the_reference_is_whole_and_true(file):
  rows, groups = read_reference((ROOT / "README.md").read_text("utf-8"))
  config, *others = variants(load(file))
  found = gaps(file, config, others, rows, groups)
  assert not found, "\n".join(found)


def test_every_section_is_of_a_file():
  rows, _ = read_reference((ROOT / "README.md").read_text("utf-8"))
  assert set(rows) == set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_every_config_says_how_it_is_run(file):
  text = load(file).__doc__
  assert f"--config=configs/{file}" in text


SAMPLE = """
## Config reference

Text.

`configs/nars.py`:

| key | unit | meaning (default) |
|---|---|---|
| `data.name` | | one (or another) name (`digits`) |
| `pool` | points | (20,000) |

`configs/train.py` has `data` as above, and:

| key | unit | meaning (default) |
|---|---|---|
| `epochs` | epochs | long (20) |

## More
"""


def test_reading_can_fail():
  rows, groups = read_reference(SAMPLE)
  assert rows == {
    "nars.py": {"data.name": "digits", "pool": "20,000"},
    "train.py": {"epochs": "20"},
  }
  nars = {"data": {"name": "digits"}, "pool": 20_000}
  train = {"data": {"name": "digits"}, "epochs": 20}
  assert gaps("nars.py", nars, [], rows, groups) == []
  assert gaps("train.py", train, [], rows, groups) == []
  found = gaps("nars.py", nars | {"seed": 0, "pool": 2}, [], rows, groups)
  assert found == [
    "nars.py: pool is 2; the row says (20,000)",
    "nars.py: no row for seed (0)",
  ]
  assert gaps(
    "train.py", {"epochs": 20, "data": {"path": ""}}, [], rows, groups
  )
  assert gaps("train.py", {}, [], rows, groups) == [
    "train.py: no such key: epochs",
    "train.py: data.name is told as above or without it, and is the other",
  ]
  less = SAMPLE.replace("as above, and", "as above, without `data.name`, and")
  rows, groups = read_reference(less)
  assert gaps("train.py", {"epochs": 20}, [], rows, groups) == []
  assert gaps("train.py", train, [], rows, groups) == [
    "train.py: data.name is told as above or without it, and is the other",
  ]
  assert gaps("nars.py", nars, [{"more": 1}], rows, groups) == [
    "nars.py: no row for more"
  ]


@pytest.mark.parametrize(
  "value, printed, wanted",
  [
    ("", "none", True),
    ((), "none", True),
    (20_000, "20,000", True),
    (20_000, "20000", False),
    (20_000, "2,0000", False),
    (0.9, "0.9", True),
    (0.9, "0.90001", False),
    (1e-5, "1e-5", True),
    ((4e5, 8e5), "400e3, 800e3", True),
    ((4e5, 8e5), "400e3", False),
    ((3,), "3", True),
    (True, "true", True),
    (True, "1", False),
    ("small", "large", False),
    (0, "none", False),
  ],
)
def test_defaults_as_printed(value, printed, wanted):
  assert same(value, printed) == wanted
