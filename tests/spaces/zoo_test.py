"""The zoo reproduces what was published, to the last printed digit."""

import dataclasses
import decimal
import json
import os
import pathlib

import pytest

from fbnax import costs
from fbnax.spaces import zoo, zoo_families, zoo_fbnetv2
from fbnax.spaces.architecture import Architecture, validate
from fbnax.spaces.widths import divisible
from fbnax.spaces.zoo_notation import parse

# Resolution, top-1, 10^6 MACs and 10^6 parameters as printed.
PUBLISHED = {
  "fbnet_a": (224, "73.298", "244.52636", "4.27029"),
  "fbnet_b": (224, "74.5441", "291.10164", "4.76667"),
  "fbnet_c": (224, "75.2499", "378.23344", "5.52542"),
  "fbnetv2_f1": (128, "68.278", "56.41056", "5.999408"),
  "fbnetv2_f2": (160, "70.9759", "85.441392", "5.999408"),
  "fbnetv2_f3": (192, "73.0319", "121.824", "6.899504"),
  "fbnetv2_f4": (224, "75.818", "238.351984", "6.994824"),
  "fbnetv2_l1": (224, "77.038", "326.023008", "8.49652"),
  "fbnetv2_l2": (256, "78.2429", "423.912768", "8.49652"),
  "fbnetv3_a": (224, "79.574", "356.59828", "8.542224"),
  "fbnetv3_b": (248, "80.206", "461.550136", "8.542224"),
  "fbnetv3_c": (248, "80.826", "556.969904", "9.907136"),
  "fbnetv3_d": (248, "81.042", "644.420352", "10.237552"),
  "fbnetv3_e": (264, "81.254", "762.046336", "10.699464"),
  "fbnetv3_f": (272, "82.062", "1181.64452", "13.803072"),
  "fbnetv3_g": (320, "82.794", "2129.656384", "16.513648"),
  "dmasking_f1": (128, "68.33", "56.27495", "5.99297"),
  "dmasking_f4": (224, "75.5238", "235.88279", "6.99169"),
  "dmasking_l2_hs": (256, "77.6631", "419.06478", "8.49286"),
  "dmasking_l3": (288, "78.8668", "753.163968", "9.39406"),
}

# timm's networks: resolution, all trainable numbers, weights, MACs.
TIMM = (
  ("timm_fbnetc_100", 224, 5_572_200, 5_526_832, 384_960_160),
  ("timm_fbnetv3_b", 224, 8_598_464, 8_542_224, 407_508_576),
  ("timm_fbnetv3_b", 248, 8_598_464, 8_542_224, 520_022_232),
  ("timm_fbnetv3_d", 224, 10_306_272, 10_237_552, 501_971_056),
  ("timm_fbnetv3_d", 248, 10_306_272, 10_237_552, 642_628_864),
  ("timm_fbnetv3_g", 240, 16_623_888, 16_513_648, 1_253_584_000),
  ("timm_fbnetv3_g", 320, 16_623_888, 16_513_648, 2_125_187_200),
)


def as_printed(number: int, printed: str) -> str:
  """Millions with as many decimals as the printed number has."""
  millions = decimal.Decimal(number).scaleb(-6)
  return str(
    millions.quantize(decimal.Decimal(printed), decimal.ROUND_HALF_EVEN)
  )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
  resolution, top1, mega_macs, mega_params = PUBLISHED[name]
  architecture = zoo.get(name)
  assert architecture.resolution == resolution
  counted = costs.published(architecture)
  assert as_printed(counted.macs, mega_macs) == mega_macs
  assert as_printed(counted.params, mega_params) == mega_params
  assert zoo.published(name) == zoo.Published(
    float(top1), float(mega_macs), float(mega_params)
  )


@pytest.mark.parametrize(
  ("name", "resolution", "params", "weights", "macs"), TIMM
)
def test_timm_counts(name, resolution, params, weights, macs):
  architecture = dataclasses.replace(zoo.get(name), resolution=resolution)
  assert costs.count(architecture) == costs.Costs(macs=macs, params=params)
  assert costs.published(architecture).params == weights


def test_timm_default_resolutions():
  assert {n: zoo.get(n).resolution for n, *_ in TIMM} == {
    "timm_fbnetc_100": 224,
    "timm_fbnetv3_b": 248,
    "timm_fbnetv3_d": 248,
    "timm_fbnetv3_g": 320,
  }


def test_names():
  assert set(zoo.names()) == {
    *PUBLISHED,
    *(name for name, *_ in TIMM),
    *zoo_families.networks(),
    "fbnet_96",
    "fbnetv2_f0",
    "fbnetv2_l3",
    "fbnetv3_a0",
  }
  assert list(zoo.names()) == sorted(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_network_is_a_legal_architecture(name):
  architecture = zoo.get(name)
  validate(architecture)
  assert Architecture.from_json(architecture.to_json()) == architecture
  assert hash(architecture) == hash(zoo.get(name))


@pytest.mark.parametrize("function", (zoo.get, zoo.published))
def test_unknown_name_suggests_the_nearest(function):
  with pytest.raises(ValueError, match=r"'fbnetv3_h'.*'fbnetv3_"):
    function("fbnetv3_h")
  with pytest.raises(ValueError, match=r"nearest.*fbnetv2_l3"):
    function("?")


def test_published_is_empty_where_nothing_is_known():
  assert zoo.published("timm_fbnetv3_b") == zoo.Published(None, None, None)


def test_baseline_has_the_widths_of_its_printed_expansions():
  """Table 4.10 prints two decimals; the zoo has the four of FBNetV2-L1."""
  network = zoo.get("fbnetv2_l3")
  channels = network.stem.channels
  others = {b.expansion for b in zoo.get("fbnetv2_l1").blocks}
  for block in network.blocks:
    printed = round(block.expansion, 2)
    assert divisible(channels * printed, 8) == divisible(
      channels * block.expansion, 8
    )
    assert block.expansion in others
    channels = block.channels
  # Rows of the table: channels and how many blocks in a row have them.
  assert [b.channels for b in network.blocks] == (
    [16] * 2 + [24] * 5 + [40] + [32] * 4 + [72] * 4 + [128] * 8 + [208] * 6
  ) + [248]


def test_notation():
  architecture = parse(
    "stem c8 hs\n1 c16 k5/3 e4/2.5 x3 s2 p1 g2 se hs\n2 skip c24\nhead c32",
    64,
    divisor=2,
    head_bias=True,
  )
  assert architecture.stem.activation == "hswish"
  assert architecture.stem.bias
  assert architecture.head.expansion == 0
  assert architecture.head.activation == "relu"
  assert architecture.head.bias
  first, second, third, skip = architecture.blocks
  assert (first.kernel, first.expansion, first.stride, first.padding) == (
    5,
    4.0,
    2,
    1,
  )
  assert (second.kernel, second.expansion, second.stride, second.padding) == (
    3,
    2.5,
    1,
    None,
  )
  assert second == third
  assert (first.groups, first.squeeze_excite, first.activation) == (
    2,
    True,
    "hswish",
  )
  assert (skip.op, skip.channels, skip.stage) == ("skip", 24, 2)


@pytest.mark.parametrize(
  "row",
  (
    "c16 k3 e1",
    "1 c16 k3",
    "1 c16 k3 e1 e2",
    "1 c16 k3 e1 q3",
    "1 c16 k3 e1 se4",
    "1 c16 k3.5 e1",
    "1 c16 k3/5/7 e1",
    "1 c16 k4 e1",
    "1 c e1 k3",
    "1 c16 k3 e1 hs?",
    "1 skip c16 k3",
    "stem c16",
  ),
)
def test_malformed_row(row):
  with pytest.raises(ValueError):
    parse(f"stem c8\n{row}\nhead c32", 64)


@pytest.mark.parametrize(
  "text", ("", "stem c8", "1 c8 k3 e1\nhead c8\nhead c8")
)
def test_malformed_network(text):
  with pytest.raises(ValueError, match="a stem, rows and a head"):
    parse(text, 64)


def shared_zoo():
  """The facts that the definitions were written from, where they are."""
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "data" / "fbnet_zoo.json"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  return json.loads(path.read_text())


def test_every_field_agrees_with_the_measured_facts():
  facts = shared_zoo()
  models = {k.lower(): v for k, v in facts["models"].items()}
  del models["fbnetv3_20g"]
  assert set(models) <= set(zoo.names())
  for name, model in models.items():
    architecture = zoo.get(name)
    stem, *rows, last = model["blocks"]
    inverted = [r for r in rows if r["op"] == "ir"]
    assert architecture.resolution == model["input_resolution"]
    assert architecture.divisor == model["width_divisor"]
    assert architecture.bn_epsilon == model["bn"]["eps"]
    assert not architecture.expand_at_one
    assert {
      (r["bias"], r["less_se_channels"], r["zero_last_bn_gamma"])
      for r in inverted
    } == {
      (
        architecture.block_bias,
        architecture.squeeze_from_input,
        architecture.zero_last_gamma,
      )
    }
    assert dataclasses.astuple(architecture.stem) == (
      stem["c"],
      stem["k"],
      stem["s"],
      stem["act"],
      True,  # Biased.
      True,  # With BN.
    )
    assert architecture.head.channels == last["c"] == model["head"]["cin"]
    assert architecture.head.expansion == (last["e"] or 0)
    assert architecture.head.kernel == last["k"]
    assert architecture.head.activation == last["act"]
    assert architecture.head.bias == architecture.block_bias
    expected = []
    for row in rows:
      for i in range(row["n"]):
        padding = row.get("dw_padding") if i == 0 else None
        assert row.get("pw_groups") == row.get("pwl_groups")
        assert padding is None or padding[0] == padding[1]
        fields = {
          "channels": row["c"],
          "stage": row["stage"],
          "stride": row["s"] if i == 0 else 1,
        }
        if row["op"] == "skip":
          fields["op"] = "skip"
        else:
          fields |= {
            "op": "inverted_residual",
            "kernel": row["k"],
            "expansion": row["e"],
            "squeeze_excite": row["se"] == "se_hsig",
            "activation": row["act"],
            "groups": row.get("pw_groups") or 1,
            "padding": padding[0] if padding else None,
          }
        expected.append(fields)
    assert len(architecture.blocks) == len(expected), name
    for block, fields in zip(architecture.blocks, expected, strict=True):
      assert {k: getattr(block, k) for k in fields} == fields, name


def test_printed_numbers_agree_with_the_measured_facts():
  facts = shared_zoo()
  printed = {
    name.lower(): model["published"]
    for name, model in facts["models"].items()
    if model["published"]
  }
  assert set(printed) == set(PUBLISHED)
  for name, row in printed.items():
    _, top1, mega_macs, mega_params = PUBLISHED[name]
    assert str(row["flops_m"]) == mega_macs
    assert str(row["params_m"]) == mega_params
    assert round(row["top1"], 4) == float(top1)
  timm = {
    f"{name.removeprefix('timm_')}@{resolution}": {
      "params": params,
      "params_conv_linear_weights_only": weights,
      "macs": macs,
    }
    for name, resolution, params, weights, macs in TIMM
  }
  assert timm == facts["timm"]


def test_measured_networks_share_what_they_share():
  f1, dmasking = zoo.get("fbnetv2_f1"), zoo.get("dmasking_f1")
  assert f1.blocks == dmasking.blocks
  assert f1.head == dmasking.head
  assert zoo.get("fbnetv3_a") == dataclasses.replace(
    zoo.get("fbnetv3_b"), resolution=224
  )
  assert zoo_fbnetv2.networks() == {
    n: zoo.get(n) for n in zoo.names() if n.startswith(("fbnetv2", "dmasking"))
  }
