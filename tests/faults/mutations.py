"""Malformed input: valid documents with something wrong in them.

Text drawn at random hardly gets past a parser. A valid document in which a few
things were changed (a key dropped, a type changed, a number out of all bounds,
a subtree copied elsewhere), or whose text was cut off or flipped, reaches what
checks it. All functions take a `random.Random`.
"""

import copy
import csv
import io
import json
import re

# What JSON, or Python's reading of it, may give where something else belongs.
ODD = (
  None,
  True,
  False,
  0,
  1,
  -1,
  2,
  0.5,
  1.5,
  -0.0,
  1e-320,
  1e308,
  float("nan"),
  float("inf"),
  float("-inf"),
  2**31,
  -(2**63),
  10**18,
  10**400,
  "",
  "0",
  "nan",
  "1e999",
  "relu",
  "none",
  "é\u0000\u202e",
  "\ud800",
  "x" * 3000,
  "٣",
  [],
  {},
  [[]],
  [None],
  {"": None},
  [1, "1", 1.0],
  # Lists in lists, as many as it says (`expanded`).
  "deep 40",
  "deep 400",
  "deep 930",
  "deep 960",
)
# What may stand in a text where nobody meant it to.
PIECES = (
  *("\n", "\r\n", "\n\n", "\r", "\t", " ", ",", ";", ": ", "- ", "? ", "#"),
  *("&a ", "*a", "!!python/name:os.system ", "!!set ", "|", "%YAML 2", "---\n"),
  *("<script>x</script>", "<g>", "</g>", "<a href='x'>", "<!--", "-->", "]]>"),
  *("<![CDATA[", "<!DOCTYPE svg>", "<?x y?>", "&#106;", "&nbsp;", "&lt;"),
  *(' onload="x"', ' href="https://a.invalid"', ' style="a"', "/", ">", '"'),
  *("\u202e", "\x1b[2J", "\u0000", "\ufeff", "\u2028", "e\u0302", "{", "[["),
)
ENCODINGS = ("latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")
_DEEP = 60_000  # Brackets; more than any parser recurses into.


def places(document, at=()):
  """The path to every value in a document, the whole of it first."""
  found = [at]
  if isinstance(document, dict):
    pairs = document.items()
  elif isinstance(document, list):
    pairs = enumerate(document)
  else:
    return found
  for key, value in pairs:
    found += places(value, (*at, key))
  return found


def _get(document, path):
  for key in path:
    document = document[key]
  return document


def changed(random, document):
  """One change to a document; the document itself stays as it is."""
  document = copy.deepcopy(document)
  found = places(document)
  path = random.choice(found[1:] or found)
  value = copy.deepcopy(random.choice(ODD))
  if not path or random.random() < 0.01:
    return value
  parent, key = _get(document, path[:-1]), path[-1]
  change = random.choice(("value", "value", "near", "drop", "copy", "rename"))
  if change == "value":
    parent[key] = value
  elif change == "near":
    parent[key] = random.choice(_near(parent[key]))
  elif change == "drop":
    del parent[key]
  elif change == "copy":
    parent[key] = copy.deepcopy(_get(document, random.choice(found)))
  elif isinstance(parent, dict):
    parent[random.choice((f"{key}s", "", "kind", "é"))] = parent.pop(key)
  else:
    parent.insert(key, copy.deepcopy(parent[key]))
  return document


def _near(value):
  """Values of the same type, and what is mistaken for one of it."""
  if isinstance(value, bool):
    return not value, int(value), str(value).lower()
  if isinstance(value, int | float):
    return value + 1, value - 1, -value, 1000 * value, str(value), [value]
  if isinstance(value, str):
    return value[:-1], value.upper(), f" {value}", value * 2, [value]
  if isinstance(value, list):
    return value[:-1], value[::-1], value * 2, [value]
  return ([value],)


def _damaged(random, text):
  """The text as bytes: whole as a rule; cut off, flipped, or with more."""
  content = text.encode("utf-8", "surrogatepass")
  kind = random.randrange(20)
  at = random.randrange(len(content) + 1)
  if kind == 0:
    return content[:at]
  if kind == 1 and content:
    return flipped(random, content)
  if kind == 2:
    more = random.choice((b"\x00", b"\xff", b"\xef\xbb\xbf", b",", b"{"))
    return content[:at] + more + content[at:]
  if kind == 3:
    return content[:at] + random.choice((b"[", b'{"a":')) * _DEEP
  return expanded(content)


def flipped(random, content):
  """The bytes with another bit."""
  at = random.randrange(len(content))
  bit = 1 << random.randrange(8)
  return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]


def expanded(content):
  """The content with lists in lists, which `json.dumps` may not write."""
  return re.sub(
    rb'"deep (\d+)"', lambda m: b"[" * int(m[1]) + b"]" * int(m[1]), content
  )


def json_document(random, documents):
  """Bytes of a JSON file that was one of the documents, with 0 to 3 changes."""
  document = random.choice(documents)
  for _ in range(random.randrange(4)):
    document = changed(random, document)
  return _damaged(random, json.dumps(document))


def csv_document(random, rows):
  """Bytes of a CSV file that had these rows, the header first."""
  rows = [list(row) for row in rows]
  for _ in range(random.randrange(4)):
    line = random.randrange(len(rows))
    change = random.choice(("cell", "cell", "near", "drop", "more", "twice"))
    if change == "twice":
      rows.insert(line, list(rows[line]))
    elif change == "more" or not rows[line]:
      rows[line].append("1")
    else:
      at = random.randrange(len(rows[line]))
      if change == "drop":
        del rows[line][at]
      elif change == "near":
        rows[line][at] = str(random.choice(_near(rows[line][at])))
      else:
        rows[line][at] = str(random.choice(ODD))
  file = io.StringIO()
  csv.writer(file).writerows(rows)
  return _damaged(random, file.getvalue())


def text_document(random, documents):
  """Bytes of a text that was one of the documents, with 0 to 3 changes.

  A piece is put in, lines go or come twice; then it may be encoded otherwise.
  """
  text = random.choice(documents)
  for _ in range(random.randrange(4)):
    at = random.randrange(len(text) + 1)
    lines = text.splitlines(keepends=True)
    change = random.choice(("piece", "piece", "drop", "twice"))
    if change == "piece" or not lines:
      text = text[:at] + random.choice(PIECES) + text[at:]
    else:
      line = random.randrange(len(lines))
      lines[line] = "" if change == "drop" else lines[line] * 2
      text = "".join(lines)
  if random.randrange(6) == 0:
    return text.encode(random.choice(ENCODINGS), "replace")
  return _damaged(random, text)
