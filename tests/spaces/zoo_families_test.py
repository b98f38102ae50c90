"""timm's families against the published numbers of parameters."""

import pytest

from fbnax import costs
from fbnax.spaces import zoo, zoo_families

# Every trainable number, with 1,000 classes, as timm's and torchvision's tables
# of models have them; those of the `tf_` versions are the same.
PARAMETERS = {
  "mobilenetv2_100": 3_504_872,
  "mobilenetv2_140": 6_108_776,
  "mobilenetv3_large_100": 5_483_032,
  "mobilenetv3_small_100": 2_542_856,
  "mnasnet_100": 4_383_312,
  "semnasnet_100": 3_887_038,
  "efficientnet_b0": 5_288_548,
  "efficientnet_b1": 7_794_184,
  "efficientnet_b2": 9_109_994,
  "efficientnet_b3": 12_233_232,
  "efficientnet_b4": 19_341_616,
  "efficientnet_lite0": 4_652_008,
  "efficientnet_lite1": 5_416_680,
  "efficientnet_lite2": 6_092_072,
  "efficientnet_lite3": 8_197_096,
  "efficientnet_lite4": 13_006_568,
}


@pytest.mark.parametrize("name", zoo_families.networks())
def test_parameters_are_the_published_ones(name):
  short = name.removeprefix("timm_").removeprefix("tf_")
  assert costs.count(zoo.get(name)).params == PARAMETERS[short]


def test_versions_of_tensorflow_differ_in_padding_and_epsilon():
  for name in zoo_families.networks():
    rules = zoo.get(name).padding, zoo.get(name).bn_epsilon
    assert rules == (("same", 1e-3) if "_tf_" in name else ("symmetric", 1e-5))


@pytest.mark.parametrize(
  ("name", "mega_macs"),
  (
    ("tf_efficientnet_lite0", 385),
    ("mobilenetv2_100", 301),
    ("mobilenetv3_large_100", 217),
    ("mobilenetv3_small_100", 57),
    ("mnasnet_100", 314),
    ("efficientnet_b0", 386),
  ),
)
def test_macs_are_near_the_published_ones(name, mega_macs):
  macs = costs.count(zoo.get(f"timm_{name}")).macs
  assert round(macs / 1e6) == mega_macs
