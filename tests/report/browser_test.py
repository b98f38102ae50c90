"""The report in a browser: no request, no message on the console."""

import json

import pytest

import fbnax.report
from tests.browser import needs_chromium, visit

pytestmark = needs_chromium


def test_the_report_asks_for_nothing_and_complains_of_nothing(tmp_path, result):
  result["dataset"]["class_names"] = ['<img src="http://127.0.0.1:9/x.png">']
  result["config"] = {"a": "</pre><script>console.error('run')</script>"}
  (tmp_path / "result.json").write_text(json.dumps(result))
  page = fbnax.report.write(tmp_path)
  requests, console, document = visit(page, tmp_path)
  assert requests == []
  assert console == []
  assert 'id="chart-accuracy-macs"' in document
  assert document.rstrip().endswith("</html>")


@pytest.mark.parametrize(
  "markup",
  [
    '<img src="http://127.0.0.1:9/x.png">',
    '<link rel="stylesheet" href="https://fonts.invalid/font.css">',
    "<style>body {background: url(http://127.0.0.1:9/x.png)}</style>",
  ],
)
def test_the_check_sees_requests(tmp_path, markup):
  page = tmp_path / "page.html"
  page.write_text(f"<!DOCTYPE html><title>x</title><body>{markup}</body>")
  requests, _, _ = visit(page, tmp_path)
  assert len(requests) >= 1


@pytest.mark.parametrize(
  "markup",
  [
    "<script>console.error('seen')</script>",
    "<script>null.x</script>",
    '<meta http-equiv="Content-Security-Policy" content="img-src \'none\'">'
    '<img src="http://127.0.0.1:9/x.png">',
  ],
)
def test_the_check_sees_errors(tmp_path, markup):
  page = tmp_path / "page.html"
  page.write_text(f"<!DOCTYPE html><title>x</title>{markup}")
  _, console, _ = visit(page, tmp_path)
  assert len(console) == 1
