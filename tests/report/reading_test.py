import json

import pytest

import fbnax.report


def write(path, data):
  text = data if isinstance(data, str) else json.dumps(data)
  (path / "result.json").write_text(text)


def test_reads_every_part(tmp_path, result):
  write(tmp_path, result)
  read = fbnax.report.read(tmp_path)
  assert len(read.trials) == 56
  assert [m.name for m in read.members] == [
    m["name"] for m in result["members"]
  ]
  assert read.members[0].architecture.resolution in (8, 12, 16, 24, 32)
  assert read.space.size == result["space"]["size"]
  assert read.early_stop.correlations[0] is None
  assert read.times.phases["round 1"] == 61.0


def test_missing_file_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"result\.json cannot be read"):
    fbnax.report.read(tmp_path)


def test_other_encodings(tmp_path, result):
  file = tmp_path / "result.json"
  content = json.dumps(result).encode()
  file.write_bytes(b"\xef\xbb\xbf" + content)
  assert len(fbnax.report.read(tmp_path).trials) == 56
  file.write_bytes(content.decode().encode("utf-16"))
  with pytest.raises(ValueError, match=r"result\.json is UTF-16, not UTF-8"):
    fbnax.report.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1", '{"schema_version": 1,}'])
def test_broken_json_is_named(tmp_path, text):
  write(tmp_path, text)
  with pytest.raises(ValueError, match=r"result\.json is not valid JSON"):
    fbnax.report.read(tmp_path)


@pytest.mark.parametrize("version", [None, 0, 2, "1", True, 1.5])
def test_other_versions_are_refused(tmp_path, result, version):
  write(tmp_path, result | {"schema_version": version})
  with pytest.raises(ValueError, match=r"result\.json: schema_version is"):
    fbnax.report.read(tmp_path)


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    (("trials",), {}, r"trials must be a list, found \{\}"),
    (("trials", 3), 7, r"trials\[3\] must be a JSON object, found 7"),
    (("trials", 3, "macs"), "many", r"trials\[3\]\.macs must be a number"),
    (("trials", 3, "accuracy"), 97.2, r"accuracy must be a fraction of 1"),
    (("trials", 3, "round"), 1.5, r"round must be an integer, found 1\.5"),
    (("members", 0, "name"), 3, r"members\[0\]\.name must be a string"),
    (("members", 1, "recipe"), [], r"members\[1\]\.recipe must be a JSON obj"),
    (
      ("members", 0, "architecture", "blocks", 0, "kernel"),
      4,
      r"members\[0\]\.architecture: stage1\.block0\.kernel",
    ),
    (("members", 0, "budget", "macs"), [1], r"must be \[low, high\]"),
    (("times", "phases", "data"), "1 s", r"times\.phases\.data must be a num"),
    (
      ("predictor", "rounds", 0, "measured"),
      [0.5],
      r"rounds\[0\]\.predicted has \d+ values, .*measured has 1",
    ),
    (("dataset", "shared_images"), True, "shared_images must be an integer"),
  ],
)
def test_values_of_another_type_are_named(
  tmp_path, result, path, value, message
):
  inner = result
  for key in path[:-1]:
    inner = inner[key]
  inner[path[-1]] = value
  write(tmp_path, result)
  with pytest.raises(ValueError, match=rf"result\.json: .*{message}"):
    fbnax.report.read(tmp_path)


def test_numbers_that_are_not_finite_are_missing(tmp_path, result):
  result["trials"][0]["accuracy"] = float("nan")
  result["trials"][1]["macs"] = float("inf")
  result["trials"][2]["macs"] = 10**400
  write(tmp_path, result)
  trials = fbnax.report.read(tmp_path).trials
  assert trials[0].accuracy is None
  assert trials[1].macs is None
  assert trials[2].macs is None


def test_unknown_keys_are_ignored(tmp_path, result):
  result["trials"][0]["colour"] = "blue"
  write(tmp_path, result)
  assert fbnax.report.read(tmp_path).trials[0].id == 0
