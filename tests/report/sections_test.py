"""Reports of runs that left less than a whole search."""

import re

import pytest


def shown(text):
  return re.findall(r'<section id="([^"]+)"', text)


ALL = [
  "accuracy-macs",
  "sampling",
  "predictor",
  "early-stop",
  "networks",
  "recipes",
  "training",
  "times",
  "failed",
  "setup",
]


@pytest.mark.parametrize(
  ("keys", "gone"),
  [
    (("config", "dataset", "space"), []),
    (("predictor", "early_stop"), ["predictor", "early-stop"]),
    (("trials",), ["sampling", "failed"]),
    (("members", "times"), ["networks", "recipes", "training", "times"]),
  ],
)
def test_a_missing_part_leaves_its_sections_out(report_of, result, keys, gone):
  for key in keys:
    del result[key]
  text = report_of(result)
  assert shown(text) == [s for s in ALL if s not in gone]
  contents = re.findall(r'<li><a href="#([^"]+)"', text)
  assert contents == shown(text)


def test_a_version_alone_is_a_report(report_of):
  text = report_of({"schema_version": 1})
  assert shown(text) == ["setup"]
  assert "names no finished network" in text


def test_plain_training_has_no_search(report_of, result):
  member = result["members"][0] | {"budget": None, "predicted": None}
  plain = {
    "schema_version": 1,
    "job": "train",
    "dataset": result["dataset"],
    "members": [member],
  }
  text = report_of(plain)
  assert shown(text) == [
    "accuracy-macs",
    "networks",
    "recipes",
    "training",
    "setup",
  ]
  assert "Report of the job train" in text
  assert "Candidates were compared" not in text


def test_one_round_says_so(report_of, result):
  for trial in result["trials"]:
    trial["round"] = 1
  small = {k: result[k] for k in ("schema_version", "trials")}
  text = report_of(small)
  assert "one round only" in text


def test_trials_that_all_failed(report_of, result):
  for trial in result["trials"]:
    trial |= {"status": "failed", "error": None, "accuracy": None}
  small = {k: result[k] for k in ("schema_version", "trials")}
  text = report_of(small)
  assert shown(text) == ["failed", "setup"]
  assert "no reason recorded" in text


def test_numbers_that_are_missing_or_alike(report_of, result):
  for i, trial in enumerate(result["trials"]):
    trial["error"] = None
    trial["accuracy"] = None if i % 3 else 0.1
    trial["macs"] = 1000
    trial["round"] = None if i % 2 else 2
  for member in result["members"]:
    member["test_accuracy"] = None
    member["macs"] = None
    member["history"] = [
      {"epoch": None, "train_loss": 0.0, "validation_accuracy": 0.0}
    ]
    member["recipe"] = {"learning_rate": None, "dropout": 7.0}
  result["predictor"]["rounds"] = [
    {"predicted": [0.5, 0.5], "measured": [0.5, None]},
    {"predicted": [None], "measured": [0.5]},
  ]
  result["predictor"]["pretraining"]["macs"] |= {
    "true": [11.5, -1.0, 0.0],
    "predicted": [11.6, 2.0, None],
  }
  result["early_stop"]["correlations"] = [None, -0.2]
  result["early_stop"]["epoch"] = None
  result["times"] = {"phases": {"data": 0.0, "other": None}, "total": 0.0}
  text = report_of(result)
  assert shown(text) == ALL
  assert "outside the range" in text
  assert "nan" not in re.sub(r"<[^>]*>", "", text.lower())


def test_scores_beside_the_costs_have_panels_of_their_own(report_of, result):
  pretraining = result["predictor"]["pretraining"]
  assert "scores of untrained networks" not in report_of(result)
  for name in ("synflow", "jacob_cov", "<b>"):
    pretraining[name] = {
      "normal_scores": True,
      "rmse": 0.25,
      "spearman": 0.91,
      "kendall": 0.75,
      "predicted": [-1.1, 0.1, 0.9, None],
      "true": [-1.0, 0.0, 1.0, 2.0],
    }
  text = report_of(result)
  assert "Costs and scores that the pretrained predictor gives" in text
  assert "it learned scores of untrained networks, by rank" in text
  svg = text[text.index('id="chart-pretraining"') :].split("</svg>")[0]
  assert svg.count("Spearman 0.910, RMSE 0.250") == 3
  # Those below the median are drawn as well.
  assert "synflow of 3 architectures" in svg
  assert "<b>" not in svg


def test_an_over_spent_budget_is_marked(report_of, result):
  member = result["members"][0]
  member["budget"]["macs"] = [1, member["macs"] // 2]
  small = {k: result[k] for k in ("schema_version", "members")}
  assert "meter over" in report_of(small)
  assert "200% of budget" in report_of(small)


def test_budgets_of_latency_and_memory_are_said(report_of, result):
  member = result["members"][0]
  member |= {"latency": 4.5, "memory": 16384}
  member["budget"] |= {"latency": [0.0, 5.0], "memory": [0.0, 20480.0]}
  small = {k: result[k] for k in ("schema_version", "members", "dataset")}
  text = report_of(small)
  assert "at most 5.00 ms, at most 20,480 elements of memory" in text
  assert "latency, ms" in text and "90% of budget" in text
  assert "16,384" in text and "80% of budget" in text


def test_shared_images_stand_out(report_of, result):
  data = result["dataset"] | {"shared_images": 3}
  text = report_of({"schema_version": 1, "dataset": data})
  assert "<strong>3 images in two of them</strong>" in text


def test_classes_without_images_stand_out(report_of, result):
  data = result["dataset"] | {
    "untested": ["<dog>"],
    "unvalidated": [f"c{i}" for i in range(12)],
  }
  text = report_of({"schema_version": 1, "dataset": data})
  assert "<strong>no test image of &lt;dog&gt;</strong>" in text
  assert "c8, c9 and 2 more</strong>" in text
  text = report_of({"schema_version": 1, "dataset": result["dataset"]})
  assert "image of" not in text


def test_a_search_that_ends_at_an_edge_says_so(report_of, result):
  """Of what most members have; below 0 there is nothing, SGD's ends differ."""
  result["space"] |= {"sgd_factor": 4.0}
  result["space"]["decisions"] = [
    {"name": f"recipe.{name}", "values": values, "recipe": True}
    for name, values in (
      ("learning_rate", [0.02, 0.03]),
      ("dropout", [0.0, 0.1, 0.2]),
      ("weight_decay", [1e-5, 2e-5, 3e-5]),
    )
  ]
  members = result["members"][:3]
  for member, rate, decay in zip(
    members, (0.12, 0.03, 0.08), (1e-5, 2e-5, 3e-5), strict=True
  ):
    optimizer = "rmsprop" if rate == 0.03 else "sgd"
    member["predicted"] = 0.5
    member["recipe"] = {
      "optimizer": optimizer,
      "learning_rate": rate,
      "dropout": 0.0,
      "weight_decay": decay,
    }
  result["members"] = members
  text = report_of(result)
  assert "At an end of their range lie" in text
  assert "learning rate (largest: 2 of 3). The best" in text
  members[0]["recipe"]["learning_rate"] = 0.1
  assert "At an end of their range lie" not in report_of(result)
