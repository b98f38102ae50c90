import itertools
import re
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest

from fbnax import spaces
from fbnax.report import draw
from fbnax.report.drawing import legend
from fbnax.report.shapes import steps


def bars(svg):
  """(x, width, title) of each block's bar, from left to right."""
  found = []
  for group in svg.iter("g"):
    title, rect = group.find("title"), group.find("rect")
    if title is not None and title.text.startswith("stage"):
      found.append((float(rect.get("x")), float(rect.get("width")), title.text))
  return found


def check(architecture):
  svg = ElementTree.fromstring(draw(architecture, "net", "a <net>"))
  _, _, width, height = map(float, svg.get("viewBox").split())
  assert svg.get("aria-label") == "a <net>"
  drawn = bars(svg)
  assert len(drawn) == len(architecture.blocks)
  for (x, wide, _), (following, _, _) in itertools.pairwise(drawn):
    assert wide >= 16
    assert x + wide <= following
  for text in svg.iter("text"):
    # 0.6 em is what a digit takes at most.
    half = 0.5 * 0.6 * 11 * len(text.text)
    shift = {"middle": 0, "start": half, "end": -half}[text.get("text-anchor")]
    assert float(text.get("x")) + shift - half >= -1
    assert float(text.get("x")) + shift + half <= width + 1
    assert 0 < float(text.get("y")) < height
  return svg


@pytest.mark.parametrize("name", spaces.zoo.names())
def test_every_network_of_the_zoo_is_drawn(name):
  architecture = spaces.zoo.get(name)
  svg = check(architecture)
  circles = len(list(svg.iter("circle")))
  assert circles == sum(b.squeeze_excite for b in architecture.blocks)
  strides = sum(t.text.startswith("/") for t in svg.iter("text"))
  assert strides == sum(b.stride > 1 for b in architecture.blocks)
  legend([architecture])


# Networks of cells are not drawn: no job trains one yet.
OF_BLOCKS = [
  name
  for name in spaces.names()
  if isinstance(spaces.get(name).table, spaces.Architecture)
]


@pytest.mark.parametrize("name", OF_BLOCKS)
def test_sampled_networks_are_drawn(name):
  space = spaces.get(name)
  for genotype in np.asarray(space.sample(jax.random.key(1), 5)):
    check(space.architecture(genotype))


@pytest.mark.parametrize(
  "name", ("timm_tf_efficientnet_lite0", "timm_mobilenetv3_small_100")
)
def test_networks_around_another_are_drawn(name):
  space = spaces.around(spaces.zoo.get(name), resolutions=(96,))
  for genotype in (
    [0] * len(space.decisions),
    *np.asarray(space.sample(jax.random.key(1), 3)),
  ):
    check(space.architecture(genotype))
  # A stem as wide as the first block adds nothing where the network's does not.
  around_lite0 = spaces.around(spaces.zoo.get("timm_tf_efficientnet_lite0"))
  narrow = around_lite0.fix(**{"stem.channels": 16, "stage1.channels": 16})
  first = steps(narrow.architecture([0] * len(narrow.decisions)))[0]
  assert first.channels_in == first.block.channels
  assert not first.residual


def test_words_widths_never_overlap():
  svg = check(spaces.zoo.get("fbnetv3_g"))
  texts = [
    (float(t.get("x")), t.text)
    for t in svg.iter("text")
    if t.get("y") == "195.0" and t.get("text-anchor") == "middle"
  ]
  assert len(texts) > 5
  for (x, text), (following, after) in itertools.pairwise(texts):
    assert following - x > 0.3 * 9.5 * (len(text) + len(after))


def test_a_network_without_blocks_is_drawn():
  architecture = spaces.Architecture(
    resolution=8, stem=spaces.Stem(8), blocks=(), head=spaces.Head(16)
  )
  check(architecture)
  assert "stem and head" in legend([])


def test_steps_say_what_flows():
  """Resolutions and residuals of FBNetV3-A's first stages (Table 4.8)."""
  found = steps(spaces.zoo.get("fbnetv3_a"))
  assert [s.size_out for s in found[:6]] == [112, 112, 56, 56, 56, 56]
  assert [s.residual for s in found[:6]] == [
    True,
    True,
    False,
    True,
    True,
    True,
  ]
  assert re.match(
    r"stage1.block0: inverted residual, kernel 3×3", found[0].words
  )


def test_a_fused_block_is_drawn_with_an_outline_and_named():
  block = spaces.Block(
    channels=16, stage=1, op="fused_mbconv", expansion=4, activation="silu"
  )
  network = spaces.Architecture(
    resolution=8,
    stem=spaces.Stem(16),
    blocks=(block, spaces.Block(channels=16, stage=1)),
    head=spaces.Head(16, expand=False, expansion=0.0),
  )
  svg = check(network)
  outlined = [r for r in svg.iter("rect") if r.get("stroke-width") == "2"]
  assert len(outlined) == 1
  assert "fused MBConv" in legend([network])
  assert "fused MBConv" not in legend([spaces.zoo.get("fbnetv3_a")])
  words = steps(network)[0].words
  assert "fused mbconv, kernel 3×3, expansion 4" in words
  assert words.endswith("silu, residual")
