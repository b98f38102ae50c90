import json

import pytest

from fbnax import report
from fbnax.report import markup

HIDDEN = "\u202egnp.exe\u202c\x07\x85"


@pytest.mark.parametrize(
  "value, shown",
  [
    ("a < b & \"c\" 'd'", "a &lt; b &amp; &quot;c&quot; &#x27;d&#x27;"),
    ("{\n  1: 2\n}", "{\n  1: 2\n}"),
    ("\u732b \u00e9", "\u732b \u00e9"),
    (3, "3"),
    (HIDDEN, r"\u202egnp.exe\u202c\x07\x85"),
    ("\x1b<b>", r"\x1b&lt;b&gt;"),
  ],
)
def test_escape(value, shown):
  assert markup.escape(value) == shown


def test_no_place_of_a_report_has_what_would_not_be_seen(tmp_path, result):
  """In tables, tiles, charts, the title, the config and messages of errors."""
  result["dataset"] |= {"name": HIDDEN, "class_names": [HIDDEN] * 10}
  result["config"] = {HIDDEN: HIDDEN}
  result["space"]["name"] = HIDDEN
  for member in result["members"]:
    member["name"] = f"{HIDDEN}{member['name']}"
  for trial in result["trials"]:
    trial["error"] = HIDDEN
  (tmp_path / "result.json").write_text(json.dumps(result))
  page = report.write(tmp_path).read_text("utf-8")
  assert not set(HIDDEN) - set("gnp.exe") & set(page)
  assert page.count(r"\u202egnp.exe") > 5
