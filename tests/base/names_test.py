import unicodedata

import pytest

from fbnax.base import names


@pytest.mark.parametrize(
  "name, shown",
  [
    ("cat", "cat"),
    ("for\u00eat \u732b \U0001f468\u200d\U0001f469", None),
    ("a\x1b[2Jb", r"a\x1b[2Jb"),
    ("a\u202egnp.exe", r"a\u202egnp.exe"),
    ("a\u2028b\u2066c\x85", r"a\u2028b\u2066c\x85"),
    ("caf\udce9", r"caf\udce9"),
    ("a\nb\tc", r"a\nb\tc"),
  ],
)
def test_what_would_not_be_seen_is_escaped(name, shown):
  assert names.escaped(name) == (name if shown is None else shown)


def test_lines_stay_lines():
  shown = names.escaped_lines("a\x1bb\n\n  \u202ec\r\n")
  assert shown == "a\\x1bb\n\n  \\u202ec\\r\n"


def test_names_that_look_the_same_are_the_same():
  forms = [unicodedata.normalize(f, "for\u00eat") for f in ("NFC", "NFD")]
  assert forms[0] != forms[1]
  assert names.normalized(forms[0]) == names.normalized(forms[1])


def test_nearest():
  legal = ("digits", "folder", "npz")
  assert names.nearest("digit", legal) == ["digits"]
  assert names.nearest("qqq", legal) == []


def test_what_utf_8_cannot_say():
  assert names.is_encodable("for\u00eat \U0001f468")
  assert not names.is_encodable("caf\udce9")
