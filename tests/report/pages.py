"""Pages of results that are made up, and what a reader sees of them."""

import html
import json
import re

import fbnax.report


def write(folder, result):
  """Writes the report of a result; returns its text."""
  (folder / "result.json").write_text(json.dumps(result))
  return fbnax.report.write(folder).read_text("utf-8")


def words(page):
  """What a reader sees of a page, on one line."""
  return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page)))
