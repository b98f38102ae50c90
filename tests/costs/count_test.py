"""Counts against an independent count, written from the published rules."""

import dataclasses
import math
import random

import pytest

from fbnax import costs
from fbnax.spaces import zoo
from fbnax.spaces.architecture import (
  Architecture,
  Block,
  Head,
  Stem,
  validate,
)


def rounded(value, divisor):
  if value % divisor == 0:
    return int(value)
  nearest = divisor * int((value + divisor / 2) // divisor)
  nearest = max(nearest, divisor)
  return nearest if nearest >= 0.95 * value else nearest + divisor


@dataclasses.dataclass
class Tally:
  """Running sums: MACs, weights, other trainable numbers, pooled elements."""

  macs: int = 0
  weights: int = 0
  others: int = 0
  pooled: int = 0

  def conv(self, size, c_in, c_out, kernel=1, groups=1, bias=False, bn=True):
    weights = kernel * kernel * (c_in // groups) * c_out
    self.weights += weights
    self.macs += weights * size * size
    self.others += c_out * (int(bias) + 2 * int(bn))


def tally(a: Architecture, num_classes: int) -> Tally:
  """The sums, one layer after the other."""
  t = Tally()

  def after(size, kernel, stride, padding=None):
    padding = kernel // 2 if padding is None else padding
    return (size + 2 * padding - kernel) // stride + 1

  size = after(a.resolution, a.stem.kernel, a.stem.stride)
  t.conv(
    size, a.input_channels, a.stem.channels, a.stem.kernel, bias=a.stem.bias
  )
  c = a.stem.channels
  for b in a.blocks:
    if b.op == "skip":
      if b.channels != c or b.stride != 1:
        size = after(size, 1, b.stride)
        t.conv(size, c, b.channels, bias=a.block_bias)
      c = b.channels
      continue
    mid = rounded(c * b.expansion, a.divisor)
    if b.op == "fused_mbconv":
      size = after(size, b.kernel, b.stride, b.padding)
      t.conv(size, c, mid, b.kernel, bias=a.block_bias)
    else:
      if mid != c or a.expand_at_one or b.expand:
        t.conv(size, c, mid, groups=b.groups, bias=a.block_bias)
      size = after(size, b.kernel, b.stride, b.padding)
      t.conv(size, mid, mid, b.kernel, groups=mid, bias=a.block_bias)
    if b.squeeze_excite:
      from_input = b.squeeze_from_input
      if from_input is None:
        from_input = a.squeeze_from_input
      quarter = mid / 4 / (b.expansion if from_input else 1)
      squeezed = rounded(math.floor(quarter), b.squeeze_divisor or a.divisor)
      t.pooled += mid * size * size
      t.conv(1, mid, squeezed, bias=True, bn=False)
      t.conv(1, squeezed, mid, bias=True, bn=False)
    t.conv(size, mid, b.channels, groups=b.groups, bias=a.block_bias)
    c = b.channels
  if a.head.expansion == 0:
    t.conv(size, c, a.head.channels, bias=a.head.bias)
    t.pooled += a.head.channels * size * size
  else:
    mid = rounded(c * a.head.expansion, a.divisor)
    # The head's `bias` is that of its first convolution alone.
    t.conv(size, c, mid, bias=a.head.bias)
    if a.head.kernel > 1:
      t.conv(size, mid, mid, a.head.kernel, groups=mid)
    t.pooled += mid * size * size
    t.conv(1, mid, a.head.channels, bias=a.head.project_bias, bn=False)
    t.pooled += a.head.channels
  t.conv(1, a.head.channels, num_classes, bias=True, bn=False)
  return t


def perturbed(a: Architecture, rng: random.Random) -> Architecture:
  """The architecture with about a third of its fields drawn anew."""

  def maybe(item, **choices):
    changes = {
      k: rng.choice(v) for k, v in choices.items() if rng.random() < 1 / 3
    }
    return dataclasses.replace(item, **changes)

  # Grouped convolutions want widths that the groups divide.
  expansions = (1.0, 2.0, 3.0, 6.0)
  blocks = []
  for b in a.blocks:
    new = maybe(
      b,
      channels=range(8, 97, 8),
      stride=(1, 1, 1, 2),
      squeeze_excite=(True, False),
    )
    if b.op != "skip":
      new = maybe(
        new,
        kernel=(3, 5, 7),
        padding=(None, 1, 2, 3),
        expansion=expansions
        if b.groups > 1
        else (*expansions, 0.75, 1.7912, 2.5, 4.51, 5.4566),
        squeeze_divisor=(None, 1, 4),
        squeeze_from_input=(None, True, False),
      )
      # Grouped convolutions are of inverted residuals alone.
      if b.groups == 1 and rng.random() < 1 / 4:
        new = dataclasses.replace(new, op="fused_mbconv")
      else:
        new = maybe(new, expand=(None, True))
    blocks.append(new)
  head = maybe(
    a.head,
    channels=(96, 1280),
    expansion=(0.0, 1.0, 2.5, 6.0),
    bias=(True, False),
    project_bias=(True, False),
  )
  if head.expansion:
    head = maybe(head, kernel=(1, 3, 5))
  return maybe(
    dataclasses.replace(
      a,
      blocks=tuple(blocks),
      head=head,
      stem=maybe(
        a.stem,
        channels=(8, 16, 24),
        kernel=(3, 5),
        stride=(1, 2),
        bias=(True, False),
      ),
    ),
    resolution=(224, 225, 250, 288, 301),
    input_channels=(1, 3),
    squeeze_from_input=(True, False),
    block_bias=(True, False),
    expand_at_one=(True, False),
    divisor=(1, 4, 8),
  )


def check(a: Architecture, num_classes: int) -> None:
  expected = tally(a, num_classes)
  count = costs.count(a, num_classes=num_classes)
  assert count.macs == expected.macs
  assert count.params == expected.weights + expected.others
  assert isinstance(count.macs, int)
  assert isinstance(count.params, int)
  rows = costs.layers(a, num_classes=num_classes)
  assert sum(row.macs for row in rows) == expected.macs
  assert sum(row.params for row in rows) == count.params
  if num_classes == 1000:
    published = costs.published(a)
    assert published.macs == expected.macs + expected.pooled
    assert published.params == expected.weights


@pytest.mark.parametrize("name", zoo.names())
def test_published_network(name):
  check(zoo.get(name), 1000)
  check(zoo.get(name), 10)


@pytest.mark.parametrize("name", zoo.names())
def test_changed_network(name):
  rng = random.Random(name)
  done = 0
  while done < 5:
    architecture = perturbed(zoo.get(name), rng)
    try:
      validate(architecture)
    except ValueError:
      continue
    check(architecture, rng.choice((1, 10, 1000)))
    check(architecture, 1000)
    done += 1


def test_a_network_counted_by_hand():
  architecture = Architecture(
    resolution=8,
    stem=Stem(channels=4, stride=1, bias=True),
    blocks=(
      Block(channels=8, stage=1, expansion=2, stride=2, squeeze_excite=True),
    ),
    head=Head(channels=10, expansion=2),
    divisor=1,
  )
  macs = (
    8 * 8 * 9 * 3 * 4  # Stem.
    + 8 * 8 * 4 * 8  # Expand.
    + 4 * 4 * 9 * 8  # Depthwise.
    + 2 * 8 * 2  # Squeeze and excite, width 8 / 4.
    + 4 * 4 * 8 * 8  # Project.
    + 4 * 4 * 8 * 16
    + 16 * 10
    + 10 * 5  # Head.
  )
  weights = 108 + 32 + 72 + 32 + 64 + 128 + 160 + 50
  pooled = 4 * 4 * 8 + 4 * 4 * 16 + 10
  norms = 2 * (4 + 8 + 8 + 8 + 16)
  biases = 4 + (2 + 8) + 5
  assert costs.count(architecture, num_classes=5) == costs.Costs(
    macs=macs, params=weights + norms + biases
  )
  assert costs.published(architecture, num_classes=5) == costs.Costs(
    macs=macs + pooled, params=weights
  )
