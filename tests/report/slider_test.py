"""The report's slider: a budget is dragged, the network of it appears."""

import base64
import gzip
import json
import re
import shlex

import numpy as np
import pytest

from fbnax import spaces
from fbnax.base.flat import flat
from fbnax.jobs.evolve.config import EvolveConfig
from fbnax.jobs.export.config import ExportConfig
from fbnax.jobs.nars import slider
from fbnax.jobs.nars.result import NarsResult
from fbnax.jobs.runtime import configs
from fbnax.jobs.train.config import TrainConfig
from fbnax.report import reading
from tests.browser import needs_chromium, tab, visit
from tests.report.conftest import make_result
from tests.report.pages import words, write

STOPS = 6


def with_front(result, kinds=("macs", "params")):
  """The result with a front of its trials, made up."""
  done = [t for t in result["trials"] if t["status"] == "done"]
  space = spaces.get("small")
  networks = []
  best = 0.0
  for trial in sorted(done, key=lambda t: t["macs"]):
    if trial["accuracy"] <= best:
      continue
    best = trial["accuracy"]
    genotype = np.asarray(trial["genotype"])
    networks.append(
      {
        "genotype": trial["genotype"],
        "macs": trial["macs"],
        "params": trial["params"],
        "predicted": best - 0.1,
        "deviation": 0.01,
        "score": best - 0.11,
        "accuracy": best,
        "accuracy_range": [best - 0.01, min(best + 0.01, 1.0)],
        "architecture": json.loads(space.architecture(genotype).to_json()),
        "recipe": trial["recipe"],
      }
    )
  lines = []
  for kind in kinds:
    costs = [n[kind] for n in networks]
    limits = np.geomspace(1.001 * costs[0], 1.001 * costs[-1], STOPS).round()
    places = [
      max(i for i, cost in enumerate(costs) if cost <= limit)
      for limit in limits
    ]
    lines.append(
      {
        "cost": kind,
        "stops": [
          {"limit": limit, "network": i, "name": f"small-{kind}-{i}-1"}
          for limit, i in zip(limits.tolist(), places, strict=True)
        ],
      }
    )
  front = {"networks": networks, "lines": lines, "epochs": 7}
  return result | {
    "front": front | {"training": {"training.epochs": 40}},
    "signal": "likelihood",
  }


def _result(**changes):
  """A small one, as a page gets it."""
  return reading.parse(NarsResult, with_front(_made()) | changes)


def _made():
  return make_result((9, 6), members=2, epochs=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A directory whose name a shell must be told apart from a command's."""
  path = tmp_path_factory.mktemp("a run's")
  write(path, with_front(_made()))
  return path


@pytest.fixture(scope="module")
def page(folder):
  return (folder / "report.html").read_text("utf-8")


def data_of(page):
  found = re.search(r'id="slider-data">(.*?)</script>', page, re.DOTALL)
  data = json.loads(found[1])
  return data | json.loads(gzip.decompress(base64.b64decode(data["packed"])))


def test_without_a_front_there_is_no_slider():
  assert slider.slider(_result(front=None)) == ""
  assert slider.slider(_result(front={"networks": [], "lines": []})) == ""


def test_what_is_there_without_a_script(page):
  section = page[page.index('<section id="any-budget"') :]
  section = section[: section.index("</section>")]
  static = words(re.sub(r"<script.*?</script>", "", section, flags=re.DOTALL))
  network = with_front(_made())["front"]["networks"][-1]
  assert "all budgets of MACs as a table" in static
  assert "all budgets of parameters as a table" in static
  assert f"{100 * network['accuracy']:.1f}%" in static
  assert "after 7 epochs, on validation images" in static
  assert section.count('role="img"') == 2
  # What answers to a script alone is not shown before there is one.
  for part in ('class="costs"', 'class="bar"', 'class="choice"'):
    for tag in re.findall(rf"<[^>]*{part}[^>]*>", section):
      assert " hidden" in tag, tag


def test_the_policy_admits_the_one_script(page):
  policy = re.search(
    r'http-equiv="Content-Security-Policy" content="(.*?)"', page
  )
  assert re.fullmatch(
    r"default-src 'none'; style-src 'unsafe-inline'; "
    r"script-src 'sha256-[\w+/=]{44}'",
    policy[1],
  )


def test_the_same_front_gives_the_same_bytes(page):
  assert slider.slider(_result()) in page


HOSTILE = "</script><script>alert('x')</script>\"&$\\frac{$ <b>猫"


def test_what_users_supply_is_no_markup():
  result = with_front(_made())
  result["members"][0] |= {"name": HOSTILE, "checkpoint": f"members/{HOSTILE}"}
  result["front"]["networks"][0]["recipe"] = {"optimizer": HOSTILE}
  result["front"]["lines"][0]["stops"][0]["name"] = HOSTILE
  result["front"]["training"] = {"data.path": HOSTILE, HOSTILE: 1}
  result["config"] = {"space": HOSTILE + ":", "budgets": {"table": HOSTILE}}
  text = slider.slider(reading.parse(NarsResult, result))
  assert text.count("<script") == 1 and text.count("</script") == 1
  assert "<b>猫" not in text
  # A shell that gets the commands reads flags.
  _, train, _ = data_of(text)["commands"]["macs"][0].split("\npython ")
  words_of_shell = shlex.split(train)
  assert f"--config.data.path={HOSTILE}" in words_of_shell
  assert f"--config.{HOSTILE}=1" in words_of_shell


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda f: f["lines"][0].update(cost="weight"), "cost must be one of macs"),
    (
      lambda f: f["lines"][1]["stops"][0].update(network=99),
      r"lines\[1\].stops\[0\].network must be one of the \d+ netw.*found 99",
    ),
    (
      lambda f: f["lines"][1]["stops"][2].update(limit=None),
      r"lines\[1\].stops\[2\].limit must be a number above 0, found None",
    ),
    (
      lambda f: f["networks"][0].update(params=0),
      r"front.networks\[0\].params must be a number above 0, found 0",
    ),
    (
      lambda f: f["networks"][0].update(accuracy=1.5),
      r"front.networks\[0\].accuracy must be a fraction of 1, found 1.5",
    ),
    (
      lambda f: f["networks"][0].update(accuracy_range=[0.5]),
      r"accuracy_range must be \[low, high\]",
    ),
  ],
)
def test_a_broken_front_is_named(tmp_path, change, message):
  result = with_front(_made())
  change(result["front"])
  (tmp_path / "result.json").write_text(json.dumps(result))
  with pytest.raises(ValueError, match=message):
    reading.read_as(tmp_path, NarsResult)


def _flags(command):
  """The flags of a command as a shell gives them."""
  program, *flags = shlex.split(command)
  assert program == "python" and flags[:2] == ["-m", "fbnax.main"]
  return dict(flag.removeprefix("--").split("=", 1) for flag in flags[2:])


def test_commands_are_of_keys_that_there_are(page):
  data = data_of(page)
  stop = data["lines"]["params"]["stops"][-1]
  lines = (
    data["commands"]["params"][-1].replace("\x01", "RUN").replace("\\\n", "")
  )
  found = [_flags(line) for line in lines.split("\n")]
  kinds = (EvolveConfig, TrainConfig, ExportConfig)
  for kind, flags in zip(kinds, found, strict=True):
    config = configs.config(kind())
    for key in flags:
      name = key.removeprefix("config.")
      if key not in ("config", "workdir"):
        assert name in flat(config.to_dict()), key
  evolve, train, export = found
  network = data["networks"][stop["network"]]
  assert evolve["config.front"] == "True"
  assert (
    evolve["config.budgets.params"] == f"({network['costs']['params']:.0f},)"
  )
  assert evolve["config.budgets.macs"] == "()"
  assert train["config.training.epochs"] == "40"
  assert train["config.architecture"].startswith(evolve["workdir"])
  assert export["config.model"].startswith(train["workdir"])


@needs_chromium
def test_the_slider_asks_for_nothing_and_complains_of_nothing(folder, tmp_path):
  requests, console, document = visit(folder / "report.html", tmp_path)
  assert requests == [] and console == []
  # It has chosen by itself; the drawing may come after the document.
  assert "The network for at most" in document
  assert "aria-valuetext=" in document


_STATE = """(() => {
  const part = document.querySelector("[data-cost]:not([hidden])");
  const input = part.querySelector("input[type=range]");
  return {
    cost: part.dataset.cost,
    value: Number(input.value),
    spoken: input.getAttribute("aria-valuetext"),
    label: input.labels[0].textContent,
    title: document.querySelector(".choice h3").textContent,
    commands: document.querySelector(".commands").textContent,
    trained: document.querySelector(".trained").textContent,
    network: document.querySelector(".drawing svg")
      ?.getAttribute("aria-label"),
    moved: document.getElementById("chart-front-macs-budget")
      .getAttribute("transform"),
  };
})()"""
_KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35}


@needs_chromium
def test_a_reader_with_a_keyboard(folder, tmp_path):
  page = folder / "report.html"
  data = data_of(page.read_text("utf-8"))
  stops = data["lines"]["macs"]["stops"]
  with tab(tmp_path) as browser:
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.call("Emulation.setEmulatedMedia", features=[reduced])
    browser.open(page)
    # A loaded page goes on unpacking its drawings.
    browser.run(
      "new Promise((ok) => { const look = () => document.querySelector("
      "'.drawing svg') ? ok() : setTimeout(look, 20); look(); })"
    )
    browser.run("document.querySelector('#slider-macs').focus()")
    for key, value in (
      ("Home", 0),
      ("ArrowLeft", 0),
      ("ArrowRight", 1),
      ("ArrowRight", 2),
      ("End", STOPS - 1),
    ):
      browser.press(key, _KEYS[key])
      state = browser.run(_STATE)
      stop = stops[value]
      assert state["value"] == value
      assert state["spoken"] == stop["spoken"]
      assert state["label"] == f"Budget: at most {stop['words']}"
      network = data["networks"][stop["network"]]
      assert state["title"].endswith(f"{stop['words']}: {network['shape']}")
      assert state["network"] == network["shape"]
      x, _, _ = data["lines"]["macs"]["moves"][value]
      assert state["moved"] == f"translate({x:g} 0)"
    # The run's directory, as a shell takes it, stands in each command.
    evolve = state["commands"].split("\npython")[0].replace("\\\n", "")
    assert _flags(evolve)["config.run"] == str(folder)
    assert "Trained already" in state["trained"]
    # The arrows choose between costs, too; the network stays.
    browser.run("document.querySelector('.costs input:checked').focus()")
    browser.press("ArrowRight", _KEYS["ArrowRight"])
    other = browser.run(_STATE)
    assert other["cost"] == "params"
    assert other["network"] == state["network"]
    assert browser.run("document.getAnimations().length") == 0
    # In a narrow window the page itself does not become wider.
    browser.call(
      "Emulation.setDeviceMetricsOverride",
      width=400,
      height=800,
      deviceScaleFactor=1,
      mobile=False,
    )
    assert browser.run("document.documentElement.scrollWidth") <= 400


@needs_chromium
def test_without_a_script_the_tables_stand_there(folder, tmp_path):
  with tab(tmp_path) as browser:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(folder / "report.html")
    shown = browser.run(
      "[...document.querySelectorAll('#slider > *, #slider .bar')]"
      ".filter((e) => e.checkVisibility()).map((e) => e.dataset.cost)"
    )
  assert shown == ["macs", "params"]
