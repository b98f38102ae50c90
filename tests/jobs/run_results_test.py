"""What a result of another run may hold, and what is told where it does not."""

import json

import pytest

from fbnax import spaces
from fbnax.jobs.runtime import run_results
from tests.jobs.conftest import make_run

SMALL = spaces.get("small")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  folder = make_run(tmp_path_factory.mktemp("run") / "nars")
  return folder, (folder / "result.json").read_text()


def _changed(saved, change):
  folder, text = saved
  result = json.loads(text)
  change(result)
  (folder / "result.json").write_text(json.dumps(result))
  return folder


def _refused(words, function, *arguments):
  with pytest.raises(ValueError) as told:
    function(*arguments)
  assert "result.json" in str(told.value) and words in str(told.value)
  assert "\n" not in str(told.value)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda r: r.pop("config"), "lacks the key config; legal: an object"),
    (lambda r: r["config"].update(space=[1]), "config.space is [1]; legal"),
    (lambda r: r["config"].update(fix=None), "config.fix is None; legal: a st"),
    (lambda r: r["config"].update(data=7), "config.data is 7; legal: an obj"),
    (
      lambda r: r["config"]["training"].update(epochs="6"),
      "config.training.epochs is '6'; legal: a whole number",
    ),
    (lambda r: r.pop("dataset"), "lacks the key dataset"),
    (
      lambda r: r["dataset"].update(num_classes=10**12),
      "dataset.num_classes is 1000000000000; legal: a whole number from 1 to",
    ),
    (lambda r: r.update(trials={}), "trials is {}; legal: a list"),
    (lambda r: r["trials"].append(3), "trials[12] is 3; legal: an object"),
    (lambda r: r["trials"][1].pop("genotype"), "trials[1] lacks the key geno"),
    (
      lambda r: r["trials"][2].update(genotype=[0.5]),
      "trials[2]: genotype[0] is 0.5; legal: a whole number",
    ),
    (lambda r: r["trials"][3].update(label="x"), "trials[3]: label is 'x'"),
    (lambda r: r.update(job=["nars"]), "is of job ['nars']; legal: 'nars'"),
  ],
)
def test_a_search(saved, change, words):
  _refused(words, run_results.read, _changed(saved, change), "nars")


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (lambda m: m.pop("name"), "members[0] lacks the key name"),
    (lambda m: m.update(epochs=0), "members[0]: epochs is 0; legal"),
    (lambda m: m["budget"].update(macs=[1]), "budget.macs is [1]; legal: [low"),
    (lambda m: m["budget"].update(macs=[1, "x"]), "budget.macs[1] is 'x'"),
    (
      lambda m: m["architecture"].update(resolution=10**9),
      "members[0]: architecture: resolution is 1000000000; legal",
    ),
    (
      lambda m: m["recipe"].update(ema=3),
      "members[0]: recipe: recipe.ema is 3; legal: true or false",
    ),
  ],
)
def test_members(saved, change, words):
  folder = _changed(saved, lambda result: change(result["members"][0]))
  result = run_results.read(folder, "nars")
  _refused(words, run_results.check_family, result, folder)


@pytest.mark.parametrize("genotype", ([0], [0] * 99, [-1], [10**6]))
def test_genotypes_of_another_space(saved, genotype):
  count = len(SMALL.decisions)
  genotype = (genotype + [0] * (count - 1)) if genotype[0] else genotype
  folder = _changed(saved, lambda r: r["trials"][1].update(genotype=genotype))
  result = run_results.read(folder, "nars")
  result["trials"][0]["genotype"] = [0] * count
  _refused(
    "trials[1].genotype is",
    run_results.check_genotypes,
    result,
    "trials",
    SMALL,
    folder,
  )


@pytest.mark.parametrize(
  ("networks", "words"),
  [
    ([], "networks is []; legal: at least one"),
    ([{"genotype": [0], "scores": [1]}], "networks[0]: scores is [1]; legal"),
    (
      [
        {"genotype": [0], "scores": {"snip": None}},
        {"genotype": [0], "scores": {}},
      ],
      "networks[1]: scores lacks the key snip; legal: a number",
    ),
    (
      [{"genotype": [0], "scores": {"snip": "1"}}],
      "networks[0]: scores: snip is '1'; legal: a number",
    ),
  ],
)
def test_scores(networks, words, tmp_path):
  result = {
    "job": "zero_cost",
    "config": {"space": "small"},
    "networks": networks,
  }
  (tmp_path / "result.json").write_text(json.dumps(result))
  _refused(words, run_results.read, tmp_path, "zero_cost")


def test_a_run_as_it_was_is_read(saved):
  folder = _changed(saved, lambda _: None)
  result = run_results.read(folder, "nars")
  run_results.check_family(result, folder)
  assert result == json.loads(saved[1])
