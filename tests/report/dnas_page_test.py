"""The page of a differentiable search: what it says, and of what."""

import json

import numpy as np
import pytest

import fbnax.report
from fbnax import costs, spaces
from fbnax.jobs.dnas.page import against_random, sections
from fbnax.jobs.dnas.result import DnasResult
from fbnax.report.reading import read_as

SPACE = spaces.get("small_dnas").fix(resolution=16)


def make(epochs=12, frozen=3, randoms=3, seed=0):
  """A whole result, made up and seeded."""
  rng = np.random.default_rng(seed)
  genotype = np.asarray([0 for _ in SPACE.choices])
  genotype[1] = 2
  architecture = SPACE.architecture(genotype)
  counted = costs.count(architecture, 10)
  rows = []
  for epoch in range(1, epochs + 1):
    sharp = 0.35 * max(epoch - frozen, 0)
    tables = []
    for i, k in enumerate(SPACE.choices):
      powers = np.exp(sharp * (np.arange(k) == genotype[i]))
      tables.append((powers / powers.sum()).tolist())
    searching = epoch > frozen
    rows.append(
      {
        "epoch": epoch,
        "temperature": 5.0 * float(np.exp(-0.3 * (epoch - 1))),
        "loss": 2.3 / epoch,
        "accuracy": 1 - 0.9 / epoch,
        "theta_loss": 2.4 / epoch if searching else None,
        "theta_accuracy": 0.9 if searching else None,
        "objective": 2.6 / epoch if searching else None,
        "expected": 1.0e6 - 2e4 * epoch,
        "derived": 0.9e6 - 1e4 * epoch,
        "entropies": [
          float(-sum(p * np.log(p) for p in t) / np.log(max(len(t), 2)))
          for t in tables
        ],
        "probabilities": tables,
      }
    )
  members = []
  for i in range(randoms + 1):
    members.append(
      {
        "name": "derived" if i == 0 else f"random-{i}",
        "network": "derived" if i == 0 else f"random-{i}",
        "macs": counted.macs + 1000 * i,
        "params": counted.params,
        "cost": counted.macs + 1000 * i,
        "epochs": 2,
        "history": [
          {"epoch": e, "train_loss": 1.0 / e, "validation_accuracy": None}
          for e in (1, 2)
        ],
        "test_accuracy": 0.97 - 0.01 * i + 0.001 * rng.random(),
        "test_log_loss": 0.1,
      }
    )
  accuracies = [m["test_accuracy"] for m in members]
  return {
    "schema_version": 1,
    "fbnax_version": "0.1.0",
    "job": "dnas",
    "config": {"job": "dnas", "seed": 0, "search": {"relaxation": "gumbel"}},
    "dataset": {
      "name": "digits",
      "source": "scikit-learn's <digits>",
      "num_classes": 10,
      "train": 1150,
      "validation": 287,
      "test": 360,
    },
    "space": {
      "name": SPACE.name,
      "size": SPACE.size,
      "decisions": [
        {
          "name": d.name,
          "values": list(d.values),
          "categorical": d.categorical,
        }
        for d in SPACE.decisions
      ],
    },
    "cost": {
      "kind": "macs",
      "unit": "MACs",
      "range": [189440, 2582784],
      "target": 1e6,
      "tolerance": 0.05,
    },
    "rows": rows,
    "candidates": [
      {
        "genotype": genotype.tolist(),
        "cost": 1e6,
        "loss": 0.4,
        "accuracy": 0.9,
      },
      {
        "genotype": genotype.tolist(),
        "cost": 9e5,
        "loss": 0.5,
        "accuracy": 0.8,
      },
    ],
    "derived": {
      "genotype": genotype.tolist(),
      "cost": counted.macs,
      "architecture": json.loads(architecture.to_json()),
    },
    "verdicts": ["Target missed: by a <lot>."],
    "skips": {"layers": 7, "derived": 0, "random": [1, 2, 1]},
    "memory": [
      {"form": form, "options": k, "total": 7e7 * (k if k > 1 else 1)}
      if form == "blocks"
      else {"form": form, "options": k, "total": 7e7 + k, "params": 23850}
      for form in ("masks", "blocks")
      for k in (1, 2, 8)
    ],
    "members": members,
    "comparison": {
      "derived": accuracies[0],
      "derived_seeds": accuracies[:1],
      "random": accuracies[1:],
      "random_mean": float(np.mean(accuracies[1:])) if randoms else None,
      "random_best": max(accuracies[1:], default=None),
    },
    "times": {"phases": {"search": 100.0, "train derived": 20.0}, "total": 130},
  }


@pytest.fixture
def write(tmp_path):
  """Writes a result, gives the report's text."""

  def write(data):
    (tmp_path / "result.json").write_text(json.dumps(data))
    return fbnax.report.write(tmp_path).read_text("utf-8")

  return write


def read(tmp_path, data):
  (tmp_path / "result.json").write_text(json.dumps(data))
  return read_as(tmp_path, DnasResult)


def test_all_sections_are_there(write):
  text = write(make())
  for anchor in (
    "finding",
    "network",
    "compared",
    "course",
    "theta",
    "candidates",
    "memory",
    "training",
    "times",
    "made",
  ):
    assert f'id="{anchor}"' in text
  for name in ("course", "theta", "compared", "memory"):
    assert f'id="chart-{name}"' in text
  assert "Target missed: by a &lt;lot&gt;." in text
  assert "scikit-learn&#x27;s &lt;digits&gt;" in text
  assert "<script" not in text


def test_the_same_result_gives_the_same_bytes(write):
  assert write(make()) == write(make())


def test_the_comparison_in_words(tmp_path):
  data = make()
  data["comparison"] |= {
    "derived": 0.95,
    "random": [0.9, 0.96, 0.93],
    "random_mean": 0.93,
    "random_best": 0.96,
  }
  words = against_random(read(tmp_path, data))
  assert "2.0 points above" in words
  assert "3 random networks" in words
  assert "better than 2 of them" in words
  assert "96.0%" in words
  data["comparison"]["derived"] = 0.91
  assert "2.0 points below" in against_random(read(tmp_path, data))
  data["comparison"] |= {"random": [], "random_mean": None}
  assert against_random(read(tmp_path, data)) == ""


def test_the_memory_in_words(write):
  text = write(make())
  assert "Masks, as here: 0.000% more with 8 options than with 1" in text
  assert "one block per option: 8.0 times as much with 8 options" in text


def test_what_is_missing_is_left_out(tmp_path):
  found = sections(read(tmp_path, {"schema_version": 1, "job": "dnas"}))
  assert [s.name for s in found] == ["finding"]
  few = make(epochs=1, frozen=0, randoms=0)
  few["cost"] |= {"kind": "latency", "unit": "ms", "target": 0.0}
  few["candidates"] = few["candidates"][:1]
  names = [s.name for s in sections(read(tmp_path, few))]
  assert "candidates" not in names
  assert "theta" in names and "course" in names


@pytest.mark.parametrize(
  "change, message",
  [
    (
      lambda d: d["rows"][0]["probabilities"].pop(),
      r"rows\[0\].probabilities has",
    ),
    (lambda d: d["rows"][2]["entropies"].pop(), r"rows\[2\].entropies has"),
    (
      lambda d: d["members"][1].update(test_accuracy=1.5),
      r"members\[1\].test_accuracy must be a fraction of 1, found 1.5",
    ),
    (lambda d: d.update(rows="none"), "rows must be a list"),
  ],
)
def test_broken_results_are_named(tmp_path, change, message):
  data = make()
  change(data)
  with pytest.raises(ValueError, match=message):
    read(tmp_path, data)
