import json

import numpy as np
import pytest

from fbnax import costs
from fbnax.spaces import unet
from fbnax.spaces.unet import Node, UNet

SPACE = unet.space()
# Stable Diffusion v1.4's, without attention in stage 2 as in all of the space.
BASELINE = UNet(
  channels=256,
  multipliers=(1, 2, 3, 4),
  input_residuals=(2, 2, 2, 2),
  input_attention=(False, False, True, True),
  output_residuals=(3, 3, 3, 3),
  output_attention=(False, False, True, True),
)


def test_size():
  # Global channels, multipliers, residuals and attention of stages.
  assert SPACE.size == 3 * 8 * 2**8 * 2**4


def test_blocks_by_hand():
  assert BASELINE.stage("input", 3) == (
    *[
      Node("residual", 768, "input", 3),
      Node("attention", 768, "input", 3),
    ]
    * 2,
    Node("downsample", 768, "input", 3),
  )
  operations = [node.operation[0] for node in BASELINE.nodes]
  assert "".join(operations) == (
    "rrd" + "rrd" + "rarad" + "rara" + "rar" + "rararau" * 2 + "rrru" + "rrr"
  )
  assert [n.channels for n in BASELINE.nodes if n.operation == "upsample"] == [
    1024,
    768,
    512,
  ]
  assert len(BASELINE.stage("output", 2)) == 4
  # The paper: output stages 2 to 4 span two to six hops, input stage 1 up to 2.
  lengths = {
    (section, stage): {
      len(SPACE.architecture(g).stage(section, stage)) for g in _sample(60)
    }
    for section, stage in unet.parts()
  }
  assert lengths["input", 1] == {2, 3}
  assert lengths["output", 4] == {3, 4, 5, 7}
  assert lengths["output", 1] == {2, 3}
  assert lengths["input", 4] == {1, 2, 4}


def test_genotypes_and_json_go_and_come():
  for genotype in _sample(5):
    network = SPACE.architecture(genotype)
    assert UNet.from_json(network.to_json()) == network
    np.testing.assert_array_equal(SPACE.genotype(network), genotype)
  assert SPACE.architecture(SPACE.genotype(BASELINE)) == BASELINE


def test_others_are_not_in_the_space():
  other = UNet(**vars(BASELINE) | {"multipliers": (4, 3, 2, 1)})
  with pytest.raises(ValueError, match="multipliers"):
    SPACE.genotype(other)
  with pytest.raises(ValueError, match="UNet"):
    costs.batch(SPACE, _sample(2))


@pytest.mark.parametrize(
  "change, words",
  [
    ({"kind": "resnet"}, "kind is 'resnet'"),
    ({"channels": 0}, "channels has 0"),
    ({"multipliers": [1, 2, 3]}, "multipliers is"),
    ({"input_attention": [0, 0, 1, 1]}, "input_attention has 0"),
    ({"depth": 3}, "depth"),
  ],
)
def test_wrong_json(change, words):
  text = json.dumps(json.loads(BASELINE.to_json()) | change)
  with pytest.raises(ValueError, match=words):
    UNet.from_json(text)


def _sample(count):
  draw = np.random.default_rng(0)
  return draw.integers(0, SPACE.choices, (count, len(SPACE.choices)))
