"""The job `profile` from end to end on a tiny space, with few repeats."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
from scipy import stats

from fbnax import spaces
from fbnax.base import records
from fbnax.costs import LatencyTable
from fbnax.costs.latency_json import Entry
from fbnax.costs.latency_keys import Key, space_keys
from fbnax.jobs.profile import job as profile
from fbnax.jobs.profile.result import PartKind
from fbnax.jobs.runtime.shell import run_job
from fbnax.models import profile as profiler

ROOT = pathlib.Path(__file__).parents[2]
# One layer with all of its types, the others are skips of one width.
FIX = {f"layer{i}.block": "skip" for i in range(2, 8)}
FIX |= {f"layer{i}.expansion": 1.5 for i in range(2, 8)}
FIX |= {"layer1.channels": 16, "layer2.channels": 16, "layer3.channels": 16}
FIX |= {"layer4.channels": 24, "layer5.channels": 24, "resolution": 16}
FIX |= {"layer6.channels": 48, "layer7.channels": 48}


def make_config(**changes):
  path = ROOT / "configs" / "profile.py"
  spec = importlib.util.spec_from_file_location("profile_config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  small = {
    "fix": ";".join(f"{k}={v}" for k, v in FIX.items()),
    "repeats": 3,
    "warmup": 0,
    "loops": 2,
    "networks": 3,
  }
  config.update({**small, **changes})
  return config.lock()


def space():
  return spaces.get("small_dnas").fix(**FIX)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("work") / "profile"
  config = make_config()
  run_job(config, str(workdir))
  return config, workdir


def _result(workdir):
  return json.loads((workdir / "result.json").read_text())


def test_the_table_is_that_of_the_space(finished):
  table = LatencyTable.load(finished[1] / "latency.json")
  table.check(space())
  wanted = {key for key in space_keys(space()) if not key.is_identity}
  assert set(table.entries) == wanted
  assert all(entry.repeats == 3 for entry in table.entries.values())
  result = _result(finished[1])
  assert (result["schema_version"], result["job"]) == (1, "profile")
  assert result["entries"] == len(wanted)
  assert result["overhead"] == table.const
  assert result["device"] == table.device
  assert sum(kind["entries"] for kind in result["kinds"]) == len(wanted)


def test_networks_stand_beside_their_sums(finished):
  result = _result(finished[1])
  table = LatencyTable.load(finished[1] / "latency.json")
  assert len(result["networks"]) == 3
  for network in result["networks"]:
    assert network["measured"] > 0
    assert network["interpolated"] == 0
    architecture = space().architecture(network["genotype"])
    assert network["predicted"] == pytest.approx(table.latency(architecture))


def test_the_report_is_that_of_a_profile(finished):
  page = (finished[1] / "report.html").read_text()
  table = LatencyTable.load(finished[1] / "latency.json")
  assert f"Latency on {table.device}" in page
  assert 'id="chart-latency"' in page


def test_started_again_it_measures_only_what_is_missing(
  finished, tmp_path, monkeypatch, capsys
):
  config, done = finished
  table = LatencyTable.load(done / "latency.json")
  rows = _result(done)["networks"]
  lost = sorted(table.entries)[1:3]
  kept = {k: e for k, e in table.entries.items() if k not in lost}
  workdir = tmp_path / "again"
  workdir.mkdir()
  for name in ("config.json", "times.json", "parts.json", "networks.jsonl"):
    (workdir / name).write_text((done / name).read_text())
  records.open_rows(workdir / "parts.jsonl").add(kept)
  lines = (done / "networks.jsonl").read_text().splitlines(True)
  damaged = lines[2].replace('"measured": ', '"measured": 1')
  (workdir / "networks.jsonl").write_text("".join([*lines[:2], damaged]))
  measured, networks = [], []

  def part(_, part, settings, overhead):
    measured.append(part)
    assert overhead == table.const
    if len(measured) == 2:
      raise KeyboardInterrupt
    return Entry(0.5, 0.1, settings.repeats)

  def network(architecture, settings, overhead):
    networks.append(architecture)
    return Entry(0.7, 0.1, settings.repeats)

  monkeypatch.setattr(profiler, "measure_part", part)
  monkeypatch.setattr(profiler, "measure_network", network)
  with pytest.raises(KeyboardInterrupt):
    run_job(config, str(workdir))
  # What was measured before the stop is on the disk.
  begun = LatencyTable.load(workdir / "latency.json")
  assert len(begun.entries) == len(table.entries) - 1
  run_job(config, str(workdir))
  assert len(measured) == 3
  assert measured[1] == measured[2]
  assert len(networks) == 1
  found = LatencyTable.load(workdir / "latency.json")
  assert set(found.entries) == set(table.entries)
  for key, entry in kept.items():
    assert found.entries[key] == entry
  result = _result(workdir)
  assert result["networks"][:2] == rows[:2]
  assert result["networks"][2]["measured"] == 0.7
  assert "goes on at" in capsys.readouterr().err
  # Now that all is done nothing is measured.
  run_job(config, str(workdir))
  assert (len(measured), len(networks)) == (3, 1)


def test_a_table_of_another_device_is_not_gone_on_with(finished, tmp_path):
  config, done = finished
  (tmp_path / "config.json").write_text((done / "config.json").read_text())
  table = LatencyTable({}, device="a phone")
  records.write(tmp_path / "parts.json", table.to_json())
  with pytest.raises(ValueError, match=r"was begun on 'a phone', this is 'CPU"):
    run_job(config, str(tmp_path))


def test_a_device_that_fails_at_once_binds_no_work_directory(
  tmp_path, monkeypatch
):
  def fail(*_):
    raise RuntimeError("out of memory")

  monkeypatch.setattr(profiler, "measure_part", fail)
  with pytest.raises(RuntimeError, match="out of memory"):
    run_job(make_config(), str(tmp_path))
  assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("name", ["parts.json", "parts.jsonl"])
def test_altered_times_are_measured_again(
  finished, tmp_path, monkeypatch, name
):
  """All of them where what they were measured with is lost."""
  config, done = finished
  for file in ("config.json", "parts.json", "parts.jsonl", "networks.jsonl"):
    (tmp_path / file).write_text((done / file).read_text())
  path = tmp_path / name
  path.write_text(path.read_text().replace("0.", "9.", 1))
  measured = []

  def part(_, part, settings, overhead):
    measured.append(part)
    return Entry(0.5, 0.1, settings.repeats)

  monkeypatch.setattr(profiler, "measure_part", part)
  run_job(config, str(tmp_path))
  table = LatencyTable.load(done / "latency.json")
  again = LatencyTable.load(tmp_path / "latency.json")
  assert len(measured) == (1 if name == "parts.jsonl" else len(table.entries))
  differ = [k for k in table.entries if table.entries[k] != again.entries[k]]
  assert len(differ) == len(measured)


def test_agreement_in_numbers():
  random = np.random.default_rng(0)
  measured = random.uniform(1, 2, 30)
  predicted = 2 * measured * random.uniform(0.9, 1.1, 30)
  found = profile.agreement(predicted.tolist(), measured.tolist())
  errors = np.abs(predicted - measured) / measured
  ratio = np.median(measured / predicted)
  scaled = np.abs(ratio * predicted - measured) / measured
  assert found.spearman == pytest.approx(
    np.corrcoef(stats.rankdata(predicted), stats.rankdata(measured))[0, 1]
  )
  assert found.median_error == pytest.approx(np.median(errors))
  assert found.ratio == pytest.approx(ratio)
  assert found.median_error_scaled == pytest.approx(np.median(scaled))


@pytest.mark.parametrize("values", ([], [1.0], [1.0, 1.0]))
def test_too_few_networks_have_no_rank(values):
  found = profile.agreement(values, values)
  assert found.spearman is None
  assert found.median_error == (0.0 if values else None)


def test_kinds_of_parts():
  narrow = Key("inverted_residual", 8, 16, 64, 16, 3, activation="relu")
  table = LatencyTable(
    {
      narrow: Entry(1.0),
      narrow._replace(size=4): Entry(3.0),
      narrow._replace(c_out=24): Entry(2.0),
      narrow._replace(kernel=5, squeeze_excite=True): Entry(9.0),
      narrow._replace(c_mid=16, groups=2): Entry(0.5),
      Key("skip", 8, 16, c_out=24): Entry(0.1),
    }
  )
  found = {row.name: row for row in profile.kinds(table)}
  assert list(found) == [
    "kernel 5, relu, squeeze-excite",
    "kernel 3, relu",
    "kernel 3, relu, 2 groups, not expanded",
    "skip with a change of shape",
  ]
  assert found["kernel 3, relu"] == PartKind("kernel 3, relu", 3, 1.0, 2.0, 3.0)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"space": "smal_dnas"}, "no space 'smal_dnas'; nearest: .*small_dnas"),
    ({"space": "nasbench201", "fix": ""}, "made of cells"),
    ({"fix": "layer1.block=k9"}, "has no value 'k9'"),
    ({"widths": 1}, "config.widths is 1; legal: 0 for all, or at least 2"),
    ({"widths": -2}, "config.widths is -2; legal"),
    ({"networks": -1}, "config.networks is -1; legal: at least 0"),
    ({"repeats": 0}, "config.repeats is 0; legal: at least 1"),
    ({"loops": 0}, "config.loops is 0; legal: at least 1"),
    ({"batch_size": 0}, "config.batch_size is 0; legal: at least 1"),
    ({"input_channels": 0}, "config.input_channels is 0; legal: at least 1"),
  ],
)
def test_bad_input_names_what_is_legal(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    run_job(make_config(**changes), str(tmp_path / "run"))
  # Nothing is left that a corrected command would stumble over.
  assert not (tmp_path / "run" / "config.json").exists()
