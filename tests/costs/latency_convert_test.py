"""Converted tables against the sums that their publications give."""

import json
import math
import os
import pathlib

import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.costs import LatencyTable, latency_convert
from fbnax.costs.latency_convert import convert, main
from fbnax.costs.latency_keys import Key
from fbnax.spaces import Architecture, Block, Head, Stem, mobilenetv3

DATA = (
  pathlib.Path(os.environ["FBNAX_SHARED"])
  if "FBNAX_SHARED" in os.environ
  else pathlib.Path(__file__).parents[3] / "shared"
) / "data"
HWNAS = "hwnas_fbnet_lut.json"
NOTE10 = "ofa_note10_lut.json"
PIXEL = "proxyless_pixel_lut.json"
RASPI = "fbnet_raspi4_jh88.json"


def shared(name):
  path = DATA / name
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return path


def read(name):
  return json.loads(shared(name).read_text())


@pytest.mark.parametrize("device", ("pixel3", "raspi4", "eyeriss", "fpga"))
def test_hwnas_sums_of_all_networks(device):
  space = spaces.get("fbnet_cifar")
  table = convert(shared(HWNAS), device)
  table.check(space)
  with np.load(shared("fbnet_latency_help.npz")) as file:
    row = file["devices"].tolist().index(device)
    genotypes, want = file["arch"].astype(np.int32), file["latency_ms"][row]
  assert len(genotypes) == 5000
  with jax.enable_x64(True):
    found = np.asarray(table.batch(space, genotypes))
  np.testing.assert_allclose(found, want, rtol=0, atol=1e-6)
  network = space.architecture(genotypes[0])
  assert table.latency(network) == pytest.approx(want[0], abs=1e-6)


def test_hwnas_entries():
  table = convert(shared(HWNAS), "pixel3")
  assert (len(table.entries), table.relative) == (108, True)
  assert (table.const, table.const_parts) == (2.838627995, ("stem", "head"))
  key = Key("inverted_residual", 16, 32, 96, 32, kernel=5, activation="relu")
  assert table.entries[key].ms == 0.71741642
  key = key._replace(c_mid=32, groups=2)
  assert table.entries[key].ms == 0.28837342
  devices = {**read(HWNAS)["exact_lut"], **read(HWNAS)["fitted_lut"]}
  assert len(devices) == 27
  for device in devices:
    convert(shared(HWNAS), device).check(spaces.get("fbnet_cifar"))


@pytest.mark.parametrize("resolution", (192, 208, 224))
def test_once_for_all_sums(resolution):
  """The sums that come with 3,000 networks, in float32."""
  table = convert(shared(NOTE10), str(resolution))
  with np.load(shared("ofa_mbv3.npz")) as file:
    rows = file["s_resolution"] == resolution
    names = ("ks", "expand", "depth", "resolution")
    given = [file[f"s_{name}"][rows] for name in names]
    want = file["s_latency_note10_lut"][rows]
  assert len(want) > 800
  full = spaces.get("mobilenetv3")
  space = full.fix(resolution=resolution)
  genotypes = np.asarray(mobilenetv3.genotypes_from_ofa(*given)).copy()
  genotypes[:, 0] = 0  # Of the one resolution that is left.
  np.testing.assert_allclose(table.batch(space, genotypes), want, rtol=1e-6)


def test_once_for_all_of_every_resolution():
  """Geometries that two resolutions share have the mean of both."""
  every = convert(shared(NOTE10))
  sides = tuple(int(s) for s in read(NOTE10)["resolution"])
  every.check(spaces.get("mobilenetv3").fix(resolution=sides))
  single = [convert(shared(NOTE10), str(side)) for side in (208, 224)]
  head = Key("head", 7, 192, 1152, 1536, activation="hswish")
  both = [table.entries[head] for table in single]
  rows = read(NOTE10)["resolution"]["208"]
  parts = [
    rows[name]
    for name in (
      "Conv_1-input:7x7x192-output:7x7x1152",
      "AvgPool2D-input:7x7x1152-output:1x1x1152",
      "Conv_2-input:1x1x1152-output:1x1x1536",
      "Logits-input:1x1x1536-output:1000",
    )
  ]
  assert both[0].ms == pytest.approx(sum(p["mean"] for p in parts))
  assert both[0].spread == pytest.approx(
    math.sqrt(sum(p["std"] ** 2 for p in parts))
  )
  calls = [entry.repeats for entry in both]
  assert calls[0] == min(p["count"] for p in parts)
  want = np.average([entry.ms for entry in both], weights=calls)
  assert every.entries[head].ms == pytest.approx(want)
  assert every.entries[head].repeats == sum(calls)
  low, high = sorted(entry.ms for entry in both)
  assert low <= every.entries[head].ms <= high


def test_once_for_all_entries():
  table = convert(shared(NOTE10), "224")
  key = Key("inverted_residual", 112, 24, 144, 32, kernel=5, stride=2)
  entry = table.entries[key._replace(activation="relu")]
  assert entry == (6.585063492063491, 0.21637063094840722, 63)
  key = Key("stem", 224, 3, c_out=24, kernel=3, stride=2, activation="hswish")
  assert table.entries[key].ms == 0.994418
  squeezed = [k for k in table.entries if k.squeeze_excite]
  assert {k.c_out for k in squeezed} == {48, 136, 192}
  hswish = {k.c_out for k in table.entries if k.activation == "hswish"}
  assert hswish == {24, 96, 136, 192, 1536}


@pytest.mark.parametrize("name", ("mobile_trim", "pixel_trim"))
def test_proxyless_entries(name):
  table = convert(shared(PIXEL), name)
  rows = read(PIXEL)[name]
  # Conv_1 and Logits are one head.
  assert len(table.entries) == len(rows) - 1 == 71
  row = rows[
    "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:7-"
    "stride:2-idskip:0"
  ]
  key = Key("inverted_residual", 112, 16, 48, 24, 7, 2, activation="relu")
  entry = table.entries[key]
  assert entry.ms == row["mean"]
  assert entry.spread == pytest.approx(math.sqrt(row["var"]))
  assert entry.repeats == row["count"]
  head = table.entries[Key("head", 7, 320, 1280, 1280, activation="relu")]
  assert head.ms == pytest.approx(
    rows["Conv_1-input:7x7x320-output:7x7x1280"]["mean"]
    + rows["Logits-input:7x7x1280-output:1000"]["mean"]
  )


def test_proxyless_sums():
  """A network of width 1 against the rows that its layers are called by."""
  rows = read(PIXEL)["mobile_trim"]
  random = np.random.default_rng(0)
  stages = (
    (24, 4, 2),
    (40, 4, 2),
    (80, 4, 2),
    (96, 4, 1),
    (192, 4, 2),
    (320, 1, 1),
  )
  blocks = [Block(channels=16, stage=0, kernel=5)]
  names = [
    "Conv-input:224x224x3-output:112x112x32",
    "expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:5-"
    "stride:1-idskip:0",
    "Conv_1-input:7x7x320-output:7x7x1280",
    "Logits-input:7x7x1280-output:1000",
  ]
  side, c_in = 112, 16
  for stage, (c_out, count, first) in enumerate(stages, start=1):
    for i in range(count):
      stride = first if i == 0 else 1
      kernel = int(random.choice([3, 5, 7]))
      expansion = int(random.choice([3, 6]))
      blocks.append(
        Block(
          channels=c_out,
          stage=stage,
          kernel=kernel,
          expansion=float(expansion),
          stride=stride,
        )
      )
      after = side // stride
      names.append(
        f"expanded_conv-input:{side}x{side}x{c_in}-output:{after}x{after}x"
        f"{c_out}-expand:{expansion}-kernel:{kernel}-stride:{stride}-"
        f"idskip:{int(stride == 1 and c_in == c_out)}"
      )
      side, c_in = after, c_out
  network = Architecture(
    resolution=224,
    stem=Stem(channels=32, activation="relu"),
    blocks=tuple(blocks),
    head=Head(channels=1280, expansion=0.0, activation="relu"),
  )
  found = convert(shared(PIXEL), "mobile_trim").latency(network)
  assert found == pytest.approx(sum(rows[name]["mean"] for name in names))


def test_raspberry_entries():
  table = convert(shared(RASPI))
  rows = read(RASPI)["table"]
  assert (table.const, table.const_parts) == (0.0, ("stem", "head"))
  assert table.batch_size == 1
  # The layer of 16 channels, its fourth type, is expanded sixfold.
  key = Key("inverted_residual", 32, 16, 96, 16, kernel=3, activation="relu")
  assert table.entries[key].ms == pytest.approx(rows[2][3] / 1000)
  # The last: 184 to 352 channels in two groups, a kernel of 5.
  key = Key(
    "inverted_residual", 8, 184, 184, 352, 5, 1, groups=2, activation="relu"
  )
  assert table.entries[key].ms == pytest.approx(rows[23][5] / 1000)
  # Three layers of 24 channels after the first have one geometry.
  key = Key("skip", 16, 24, c_out=24)
  want = np.mean([rows[i][8] for i in (4, 5, 6)]) / 1000
  assert table.entries[key].ms == pytest.approx(want)
  assert all(0 < entry.ms < 32 for entry in table.entries.values())


def test_raspberry_layers_must_fit(tmp_path):
  path = tmp_path / "table.json"
  path.write_text(json.dumps({"table": [None, [1.0] * 9, [1.0] * 9]}))
  with pytest.raises(ValueError, match=r"table.json: table has layers of \[9,"):
    convert(path)


def test_the_command(tmp_path, capsys):
  out = tmp_path / "pixel3.json"
  arguments = [str(shared(HWNAS)), str(out), "--table", "pixel3"]
  assert main(arguments) == 0
  assert "108 entries of pixel3" in capsys.readouterr().out
  found = LatencyTable.load(out)
  assert found.entries == convert(shared(HWNAS), "pixel3").entries
  assert main([*arguments[:3], "pixel9"]) == 2
  told = capsys.readouterr().err
  assert "--table is 'pixel9'; legal: " in told
  assert "pixel3" in told


@pytest.mark.parametrize(
  ("content", "table", "message"),
  [
    ("{", None, "Expecting property name"),
    ("[]", None, "of no known format; legal: a JSON object with"),
    ('{"x": 1}', None, "of no known format"),
    ('{"exact_lut": {}}', None, "--table is None; legal: "),
    (
      '{"exact_lut": {"a": {"const": 1, "ops": {"Conv": 1}}}}',
      "a",
      "'Conv' is no key of this format",
    ),
    (
      '{"exact_lut": {"a": {"const": 1, "ops": '
      '{"ConvBlock_H8_W8_Cin8_Cout8_stride1": 1}}}}',
      "a",
      "is no key of this format",
    ),
    (
      '{"resolution": {"8": {"pool": {"mean": 1, "std": 1, "count": 1}}}}',
      None,
      "'pool' is no key of this format",
    ),
    (
      '{"resolution": {"8": {}}}',
      "8",
      r"lacks the rows \['Conv_1', 'AvgPool2D', 'Conv_2', 'Logits'\]",
    ),
    ('{"mobile_trim": {}}', "other", "--table is 'other'; legal: mobile_trim"),
    ('{"table": []}', "a", "--table is 'a'; legal: none"),
    ('{"exact_lut": {"a": {"ops": {}}}}', "a", "has no 'const'"),
    ('{"table": 3}', None, "is not of the format that it looks like"),
  ],
)
def test_what_cannot_be_converted(content, table, message, tmp_path):
  path = tmp_path / "bad.json"
  path.write_text(content)
  with pytest.raises(ValueError, match=message) as told:
    convert(path, table)
  assert str(path) in str(told.value)


def as_yaml(rows):
  """Rows as the published files have them."""
  return "".join(
    f"{name}:\n" + "".join(f"  {k}: {v}\n" for k, v in row.items())
    for name, row in rows.items()
  )


BLOCK = "expanded_conv-input:4x4x8-output:4x4x8-expand:{}-kernel:3-stride:1"
ENDS = {
  "Conv-input:8x8x3-output:4x4x8": {"mean": 1.0, "std": 0.5, "count": 4},
  "Conv_1-input:4x4x8-output:4x4x16": {"mean": 2.0, "std": 0.0, "count": 4},
  "Logits-input:4x4x16-output:10": {"mean": "1e-1", "std": 0.0, "count": 4},
}
PROXYLESS = ENDS | {
  BLOCK.format(6) + "-idskip:1": {"count": 154, "mean": 5.3, "var": 0.25}
}
OFA = ENDS | {
  BLOCK.format(48) + "-idskip:1-se:1-hs:0": {"count": 9, "mean": 3.5, "std": 1},
  "AvgPool2D-input:4x4x16-output:1x1x16": {"mean": 0.5, "std": 0, "count": 2},
  "Conv_2-input:1x1x16-output:1x1x32": {"mean": 0.25, "std": 0, "count": 4},
}
MIDDLE = Key("inverted_residual", 4, 8, 48, 8, 3, activation="relu")


@pytest.mark.parametrize("ending", ["mobile_trim.yaml", "mobile_trim.json"])
def test_a_published_table_of_proxylessnas(tmp_path, ending):
  path = tmp_path / ending
  in_yaml = ending.endswith("yaml")
  path.write_text(as_yaml(PROXYLESS) if in_yaml else json.dumps(PROXYLESS))
  table = convert(path)
  assert table.entries[MIDDLE] == (5.3, 0.5, 154)
  head = Key("head", 4, 8, 16, 16, activation="relu")
  assert table.entries[head].ms == pytest.approx(2.1)
  assert len(table.entries) == 3
  wrapped = tmp_path / "whole.json"
  wrapped.write_text(json.dumps({"mobile_trim": PROXYLESS}))
  assert table.to_json() == convert(wrapped, "mobile_trim").to_json()


def test_a_published_table_of_once_for_all(tmp_path):
  path = tmp_path / "8_lookup_table.yaml"
  path.write_text(as_yaml(OFA))
  table = convert(path)
  key = MIDDLE._replace(squeeze_excite=True)
  assert table.entries[key] == (3.5, 1.0, 9)
  head = Key("head", 4, 8, c_mid=16, c_out=32, activation="hswish")
  assert table.entries[head].ms == pytest.approx(2.85)
  assert "8 pixels" in table.note
  # As a table among others, by a number that YAML takes for one.
  whole = tmp_path / "whole.yml"
  lines = as_yaml(OFA).replace("\n", "\n    ").rstrip()
  whole.write_text(f"resolution:\n  8:\n    {lines}\n")
  assert convert(whole, "8").to_json() == table.to_json()


def test_published_tables_in_yaml(tmp_path):
  found = read(NOTE10)["resolution"]["224"]
  path = tmp_path / "224_lookup_table.yaml"
  path.write_text(as_yaml(found))
  assert convert(path).to_json() == convert(shared(NOTE10), "224").to_json()


@pytest.mark.parametrize(
  "content, message",
  [
    (
      as_yaml({BLOCK.format(6) + "-idskip:0": PROXYLESS[[*PROXYLESS][-1]]}),
      r"read as YAML: the table lacks the rows .*legal: a whole table",
    ),
    ("a: &a [x]\nb: [*a, *a]\n", r"has the alias \*a; legal"),
    ("!!python/object/apply:os.system [id]", "no.* constructor.*in line 1"),
    ("a: !!timestamp 2001-13-45\n", "month must be in 1..12"),
    ("- " * 5000 + "x", "is nested deeper than 20; legal"),
    ("a: " + "{a: " * 50_000, "is nested deeper than 20; legal"),
    ("a: b: c", "mapping values are not allowed .*in line 1"),
    ("? [a]\n: b\n", "found unhashable key in line 1"),
    ("a: 1\n---\nb: 2\n", "expected a single document"),
    ("a: \x07", "character #x0007"),
    ("", "of no known format; legal: .*in YAML too"),
    ("a,b\n1,2\n", "of no known format"),
    ("1: 2", "of no known format"),
    (as_yaml(PROXYLESS).replace("5.3", "2001-01-01"), "is not of the format"),
    (as_yaml(PROXYLESS).replace("154", ".inf"), "is not of the format"),
    (as_yaml(PROXYLESS) + "pool:\n  mean: 1\n", "'pool' is no key of this"),
    (as_yaml(PROXYLESS).replace("var", "v"), "has no 'var'"),
    (as_yaml(PROXYLESS).replace("5.3", ".nan"), "legal: a number of at least"),
  ],
)
def test_yaml_that_is_no_table(content, message, tmp_path, capsys):
  path = tmp_path / "lut.yaml"
  path.write_text(content)
  assert main([str(path), str(tmp_path / "out.json")]) == 2
  words = capsys.readouterr().err
  assert words.startswith(f"error: {path}") and words.count("\n") == 1
  with pytest.raises(ValueError, match=message):
    convert(path)
  assert not (tmp_path / "out.json").exists()


def test_yaml_is_read_up_to_a_size(tmp_path, monkeypatch):
  path = tmp_path / "lut.yaml"
  path.write_text(as_yaml(PROXYLESS))
  monkeypatch.setattr(latency_convert, "LARGEST_YAML", 50)
  with pytest.raises(ValueError, match=r"has \d+ characters; legal: up to 50"):
    convert(path)


def test_one_table_has_no_name(tmp_path):
  path = tmp_path / "lut.yaml"
  path.write_text(as_yaml(OFA))
  with pytest.raises(ValueError, match="--table is '8'; legal: none"):
    convert(path, "8")
  path.write_text(as_yaml({n: r for n, r in OFA.items() if n[:5] != "Conv-"}))
  with pytest.raises(ValueError, match="has 0 rows of a stem; legal: 1"):
    convert(path)


def test_files_and_folders_that_are_not_there(tmp_path, capsys):
  path = tmp_path / "lut\u202e.yaml"
  assert main([str(path), str(tmp_path / "out.json")]) == 2
  words = capsys.readouterr().err
  assert r"lut\u202e.yaml" in words and words.count("\n") == 1
  path.write_text(as_yaml(PROXYLESS))
  assert main([str(path), str(tmp_path / "absent" / "out.json")]) == 2
  assert "absent" in capsys.readouterr().err
