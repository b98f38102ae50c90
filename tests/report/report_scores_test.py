"""Scores beyond accuracy and pictures of errors, in reports."""

import base64
import json
import re

import numpy as np
import pytest

import fbnax.report
from fbnax.base.json_values import plain
from fbnax.jobs.eval.result import EvalResult
from fbnax.jobs.runtime import pictures
from fbnax.report import schema

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)


def _scores(**changes):
  known = {
    "balanced_accuracy": 0.731,
    "area_under_curve": 0.842,
    "f1": 0.653,
    "positive": "<b>crack",
    "threshold": 0.271,
    "temperature": 1.5,
    "calibrated_log_loss": 0.301,
    "calibration_images": 250,
    "confusion": [[11, 4], [3, 82]],
  }
  return known | changes


def _mistake(i, **changes):
  known = {
    "picture": pictures.address(IMAGES[i]),
    "index": 10 + i,
    "name": f"crack/<i>{i}.png",
    "label": "fine",
    "predicted": "<b>crack",
    "probability": 0.9 - 0.1 * i,
  }
  return known | changes


@pytest.fixture
def judged(result):
  """A result of two classes, whose members are judged."""
  names = ["<b>crack", "fine"]
  result["dataset"] |= {"class_names": names, "num_classes": 2}
  for i, member in enumerate(result["members"]):
    member["scores"] = _scores(f1=0.6 + 0.01 * i)
    member["mistakes"] = [_mistake(j) for j in range(3)]
  return result


def _section(text, name):
  return text.split(f'<section id="{name}"')[1].split("</section>")[0]


def test_scores_and_confusions_have_a_section(report_of, judged):
  text = _section(report_of(judged), "scores")
  assert "F1 of &lt;b&gt;crack" in text and "<b>crack" not in text
  for words in ("73.1%", "0.842", "0.610", "0.271", "0.301", "1.50"):
    assert words in text
  assert "chosen on 250 images that were not trained on" in text
  assert text.count("<details>") == len(judged["members"]) - 1
  assert "<b>82</b>" in text and '<span class="wrong">4</span>' in text


def test_without_held_out_images_the_report_says_so(report_of, judged):
  absent = dict.fromkeys(
    ("threshold", "temperature", "calibrated_log_loss", "calibration_images")
  )
  for member in judged["members"]:
    member["scores"] = _scores(**absent)
  text = _section(report_of(judged), "scores")
  assert "No images were held out" in text
  assert "temperature</th>" not in text and "threshold</th>" not in text


def test_many_classes_have_scores_alone(report_of, judged):
  for member in judged["members"]:
    member["scores"] = _scores(positive=None, threshold=None, confusion=[])
  text = _section(report_of(judged), "scores")
  assert "F1, mean over the classes" in text
  assert "taken for" not in text


def test_mistakes_are_pictures_in_the_page(report_of, judged):
  whole = report_of(judged)
  text = _section(whole, "mistakes")
  assert text.count("<img") == 3 * len(judged["members"])
  assert whole.count("img-src data:") == 1
  assert 'title="crack/&lt;i&gt;2.png"' in text and ">&lt;i&gt;2.png<" in text
  assert "labelled fine" in text and "&lt;b&gt;crack</b> 90.0%" in text
  best = max(judged["members"], key=lambda m: m["test_accuracy"])["name"]
  assert re.search("<h3>([^<]*)", text).group(1) == best
  assert not re.search(r'(src|href)="(?!data:image/|#)', text)
  assert report_of(judged) == whole


@pytest.mark.parametrize(
  "picture",
  [
    "https://example.org/a.png",
    'data:image/png;base64,AA" onload="alert(1)',
    "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(),
    "",
  ],
)
def test_what_is_no_picture_is_refused(report_of, judged, picture):
  judged["members"][1]["mistakes"][2]["picture"] = picture
  with pytest.raises(
    ValueError, match=r"members\[1\]\.mistakes\[2\]\.picture must be a PNG"
  ):
    report_of(judged)


@pytest.mark.parametrize(
  ("key", "value", "words"),
  [
    ("f1", 1.5, "scores.f1 must be a fraction of 1"),
    ("temperature", -1.0, "scores.temperature must be above 0"),
    ("confusion", [[1, 2], [3]], r"scores.confusion\[1\] must be 2 counts"),
    ("confusion", [[1, -2], [3, 4]], r"scores.confusion\[0\] must be 2 counts"),
    ("confusion", [[]], r"scores.confusion\[0\] must be 1 counts"),
  ],
)
def test_scores_that_nobody_measured_are_refused(
  report_of, judged, key, value, words
):
  judged["members"][0]["scores"] = _scores(**{key: value})
  with pytest.raises(ValueError, match=words):
    report_of(judged)


def test_a_finished_model_on_a_data_set_has_a_page(tmp_path):
  result = EvalResult(
    job="eval",
    model="runs/one/members/tiny",
    split="train",
    images=100,
    accuracy=0.93,
    log_loss=0.211,
    class_names=("<b>crack", "fine"),
    scores=schema.Scores(**_scores()),
    mistakes=(schema.Mistake(**_mistake(0)),),
    macs=1_700_000,
    params=40_000,
  )
  whole = plain(schema.as_json(result))
  (tmp_path / "result.json").write_text(json.dumps(whole))
  text = fbnax.report.write(tmp_path).read_text(encoding="utf-8")
  assert "tiny on 100 train images" in text
  assert "93.0%" in text and "95% interval 86.3–96.6" in text
  assert "73.1%" in _section(text, "scores")
  assert text.count("<img") == 1 and "<b>crack" not in text
