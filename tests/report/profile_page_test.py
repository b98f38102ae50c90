"""The page of a latency profile, from results that are made up."""

import html
import re

import numpy as np
import pytest

from fbnax.jobs.profile import job as profile
from fbnax.jobs.profile import page as profile_page
from fbnax.jobs.profile.result import ProfileResult
from fbnax.report.schema import as_json
from tests.report.pages import write

HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"


def make_result(count=12, seed=0):
  """A whole result of schema version 1."""
  random = np.random.default_rng(seed)
  sums = random.uniform(1, 3, count)
  networks = [
    {
      "genotype": [0, 1],
      "measured": float(0.8 * s * random.uniform(0.95, 1.05)),
      "spread": 0.02,
      "predicted": float(s),
      "interpolated": 0.25,
    }
    for s in sums
  ]
  agreement = profile.agreement(
    [n["predicted"] for n in networks], [n["measured"] for n in networks]
  )
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "profile",
    "config": {"job": "profile", "space": "small_dnas", "batch_size": 4},
    "space": {"name": "small_dnas", "size": 10**9},
    "device": "a phone",
    "note": "medians of 100 calls",
    "overhead": 0.0123,
    "entries": 427,
    "kinds": [
      {
        "name": "kernel 3, relu",
        "entries": 80,
        "fastest": 0.01,
        "median": 0.05,
        "slowest": 1.234,
      }
    ],
    "networks": networks,
    "agreement": as_json(agreement),
    "times": {"phases": {"parts": 100.0}, "total": 130.0},
  }


def text_of(page):
  return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_what_was_found_is_said(tmp_path):
  result = make_result()
  page = write(tmp_path, result)
  words = text_of(page)
  found = result["agreement"]
  assert "Latency on a phone" in words
  assert "The table holds 427 parts." in words
  assert "against 12 random networks measured as a whole" in words
  assert f"Spearman) {found['spearman']:.3f}" in words
  assert f"median error {100 * found['median_error']:.1f}%" in words
  assert f"takes {found['ratio']:.2f} times its sum" in words
  assert "0.0123 ms, in every sum" in words
  assert "25% of the parts" in words
  assert "2 min 10 s" in words
  assert "4 images" in words
  assert (
    "python -m fbnax.main --config=configs/profile.py "
    "--config.space=small_dnas --config.batch_size=4" in words
  )
  row = re.search(r"kernel 3, relu</th>(.*?)</tr>", page)[1]
  assert re.findall(r"<td>(.*?)</td>", row) == [
    "80",
    "0.0100",
    "0.0500",
    "1.23",
  ]


def test_every_network_is_a_point(tmp_path):
  page = write(tmp_path, make_result(9))
  chart = re.search(r'<svg id="chart-latency".*?</svg>', page, re.DOTALL)[0]
  assert chart.count("<use ") >= 9
  assert "measured, ms" in chart


def test_equal_results_give_equal_pages(tmp_path):
  first = write(tmp_path, make_result())
  assert write(tmp_path, make_result()) == first


def test_what_is_missing_is_left_out(tmp_path):
  page = write(tmp_path, {"schema_version": 1, "job": "profile"})
  assert "The result holds no measurements." in page
  assert "<svg" not in page
  without = make_result() | {"networks": [], "agreement": {}, "kinds": []}
  page = write(tmp_path, without)
  assert "The table holds" in page
  assert "chart-latency" not in page
  assert "What parts take" not in page


@pytest.mark.parametrize("value", (None, 0.0, 1.0))
def test_one_network_is_drawn(value, tmp_path):
  result = make_result(1)
  result["networks"][0]["predicted"] = value
  page = write(tmp_path, result)
  assert ("chart-latency" in page) == (value is not None)


def test_names_are_escaped(tmp_path):
  result = make_result() | {"device": HOSTILE, "note": HOSTILE}
  result["kinds"][0]["name"] = HOSTILE
  result["space"]["name"] = HOSTILE
  result["config"]["space"] = HOSTILE
  page = write(tmp_path, result)
  assert "<script" not in page
  assert "<b>猫" not in page
  assert HOSTILE in text_of(page)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"entries": "many"}, "entries must be an integer"),
    ({"networks": [{"measured": "long"}]}, r"networks\[0\].measured must be"),
    ({"kinds": [3]}, r"kinds\[0\] must be a JSON object"),
    ({"agreement": []}, "agreement must be a JSON object"),
  ],
)
def test_broken_results_are_named(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    write(tmp_path, make_result() | changes)


def test_a_result_without_anything_has_a_finding():
  assert [s.name for s in profile_page.sections(ProfileResult())] == ["finding"]
