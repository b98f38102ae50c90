import html
import html.parser
import json
import re

import pytest

import fbnax.report

CHARTS = {
  "chart-accuracy-macs": "Accuracy against MACs",
  "chart-sampling": "Distribution of measured accuracy",
  "chart-predictions": "Predicted against measured",
  "chart-pretraining": "Costs that the pretrained predictor gives",
  "chart-early-stop": "Rank correlation by epoch",
  "network-0": "small-",
  "network-2": "small-",
  "chart-curves": "Training loss and validation accuracy",
  "chart-times": "Where the time went",
}
VOID = {"meta", "link", "br", "img", "hr"}


class Page(html.parser.HTMLParser):
  """Collects what the tests ask a page for, and checks that tags match."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.ids, self.svgs, self.links = [], [], {}, []
    self.open, self.text = [], []
    self.feed(text)
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    found = dict(attrs)
    self.tags.append(tag)
    if "id" in found:
      self.ids.append(found["id"])
    if tag == "svg" and "id" in found:
      self.svgs[found["id"]] = found
    for name in ("href", "xlink:href", "src", "aria-labelledby"):
      if name in found:
        self.links.append(found[name])
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    self.open.pop()

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text.append(data)


@pytest.fixture(scope="module")
def page(_template, tmp_path_factory):
  path = tmp_path_factory.mktemp("work")
  (path / "result.json").write_text(_template)
  return fbnax.report.write(path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "label"), CHARTS.items())
def test_every_chart_is_there_and_says_what_it_shows(page, name, label):
  svg = Page(page).svgs[name]
  assert svg["role"] == "img"
  assert svg["aria-label"].startswith(label)
  assert f"<title>{html.escape(svg['aria-label'])}</title>" in page


def test_ids_are_unique_and_links_lead_somewhere(page):
  parsed = Page(page)
  assert len(set(parsed.ids)) == len(parsed.ids)
  targets = [link.removeprefix("#") for link in parsed.links] + re.findall(
    r"url\(#([^)]+)\)", page
  )
  assert len(targets) > 100
  assert set(targets) <= set(parsed.ids)


def test_nothing_is_fetched_and_nothing_runs(page):
  parsed = Page(page)
  assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
  assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
  assert "@import" not in page
  assert "url(" not in re.sub(r"url\(#", "", page)
  assert "default-src 'none'" in page


def test_the_facts_a_reader_asks_for_are_there(page, result):
  text = re.sub(r"\s+", " ", "".join(Page(page).text))
  mantissa, exponent = f"{result['space']['size']:.1e}".split("e+")
  for words in (
    f"{mantissa}×10{exponent} candidates",
    "1,078 train, 359 validation, 360 test images",
    "no image is in two of them",
    "test images were used once, at the end",
    "trained for 60 epochs (trials: 7 to 20 epochs)",
    "distillation",
    "7 min 11 s",
    "trained for 7 of 20 epochs",
    "2 trials of 56 failed",
    "fbnax 0.1.0",
    "95% interval",
    "Spearman 0.65, Kendall 0.50",
  ):
    assert words in text, words
  for member in result["members"]:
    assert member["name"] in text
    assert member["checkpoint"] in text


def test_same_result_gives_same_bytes(report_of, result, page):
  assert report_of(result) == page


HOSTILE = "<script>alert('x')</script>\"&$\\frac{$ <b>猫"


def test_what_users_supply_is_escaped(report_of, result):
  result["dataset"] |= {
    "name": HOSTILE,
    "source": HOSTILE,
    "class_names": [HOSTILE, 3, None, *"abcdefghijklm"],
  }
  result["config"] = {HOSTILE: {"path": HOSTILE}}
  result["fbnax_version"] = result["job"] = HOSTILE
  result["space"]["name"] = HOSTILE
  for decision in result["space"]["decisions"]:
    if decision["name"] == "recipe.optimizer":
      decision["values"] = ["rmsprop", HOSTILE]
  member = result["members"][0]
  for key in ("name", "teacher", "checkpoint"):
    member[key] = HOSTILE
  member["recipe"] = {"optimizer": HOSTILE, HOSTILE: HOSTILE}
  result["trials"][7]["error"] = HOSTILE
  result["times"]["phases"] = {HOSTILE: 3.0}
  result["predictor"]["pretraining"] = {
    HOSTILE: result["predictor"]["pretraining"]["macs"]
  }
  text = report_of(result)
  assert "<script" not in text
  assert "<b>猫" not in text
  page = Page(text)
  assert "script" not in page.tags
  assert page.tags.count("h1") == 1
  assert len(set(page.ids)) == len(page.ids)
  assert "".join(page.text).count(HOSTILE) > 15


def test_a_lone_surrogate_does_not_stop_the_report(report_of, result):
  result["dataset"]["name"] = result["members"][0]["name"] = "a\ud800b"
  del result["predictor"], result["times"]
  assert "for a?b" in report_of(result)


def test_the_old_report_stays_when_the_new_one_fails(
  tmp_path, result, monkeypatch
):
  (tmp_path / "result.json").write_text(json.dumps({"schema_version": 1}))
  path = fbnax.report.write(tmp_path)
  before = path.read_bytes()

  def full(_):
    raise OSError("no space left on device")

  monkeypatch.setattr("os.fsync", full)
  changed = {"schema_version": 1, "times": result["times"]}
  (tmp_path / "result.json").write_text(json.dumps(changed))
  with pytest.raises(OSError, match="no space left"):
    fbnax.report.write(tmp_path)
  assert path.read_bytes() == before
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    "report.html",
    "result.json",
  ]
