"""The golden networks as plain Linen modules, and their values.

Nothing of `fbnax.models` is used: what a user would write.
"""

import os
import pathlib

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

CELL_EDGES = {  # Place of the operation among a cell's options.
  "conv3x3_0": ("0.options.2", 3),
  "conv1x1_0": ("0.options.8", 1),
  "conv3x3_2": ("0.options.27", 3),
}


def load(name, kind="zero_cost"):
  """The arrays of a golden file, or a skipped test."""
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "golden" / f"{kind}_{name}.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  with np.load(path) as file:
    return dict(file)


def norm(train, name, affine=True):
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    epsilon=1e-5,
    use_scale=affine,
    use_bias=affine,
    name=name,
  )


def conv(features, side, name, stride=1, bias=False):
  return nn.Conv(
    features,
    (side, side),
    strides=stride,
    padding=side // 2,
    use_bias=bias,
    name=name,
  )


class Plain(nn.Module):
  """Three times convolution, BN, ReLU; pool, classifier."""

  @nn.compact
  def __call__(self, x, train):
    for i, (features, stride) in enumerate(self.layers()):
      x = conv(features, 3, f"c{i + 1}", stride)(x)
      x = nn.relu(norm(train, f"n{i + 1}")(x))
    return nn.Dense(10, name="fc")(x.mean((1, 2)))

  def layers(self):
    return ((8, 1), (16, 2), (16, 1))


class CellNet(nn.Module):
  """NAS-Bench-201, one cell per stage, the golden cell."""

  @nn.compact
  def __call__(self, x, train):
    x = norm(train, "stem_norm")(conv(8, 3, "stem")(x))
    for stage in (1, 2, 3):
      width = 8 * 2 ** (stage - 1)
      if stage > 1:
        x = self.reduction(x, stage - 1, width, train)
      x = self.cell(x, stage, width, train)
    x = nn.relu(norm(train, "top_norm")(x))
    return nn.Dense(10, name="fc")(x.mean((1, 2)))

  def cell(self, x, stage, width, train):
    def block(h, name):
      side = CELL_EDGES[name][1]
      h = conv(width, side, f"cell{stage}_{name}", bias=True)(nn.relu(h))
      return norm(train, f"cell{stage}_{name}_norm", affine=False)(h)

    first = block(x, "conv3x3_0")
    second = block(x, "conv1x1_0") + nn.avg_pool(
      first, (3, 3), padding="SAME", count_include_pad=False
    )
    return x + block(second, "conv3x3_2")

  def reduction(self, x, index, width, train):
    name = f"reduction{index}"
    h = conv(width, 3, f"{name}_a", stride=2)(nn.relu(x))
    h = norm(train, f"{name}_a_norm")(h)
    h = conv(width, 3, f"{name}_b")(nn.relu(h))
    h = norm(train, f"{name}_b_norm")(h)
    pooled = nn.avg_pool(x, (2, 2), (2, 2))
    return h + conv(width, 1, f"{name}_residual")(pooled)


def variables(name, data):
  """Flax variables from the stored weights."""
  params, stats = {}, {}

  def put(place, stored, affine=True):
    weight = data[f"w/{stored}.weight"]
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}[weight.ndim]
    params[place] = {"kernel": jnp.asarray(weight.transpose(axes))}
    if f"w/{stored}.bias" in data:
      params[place]["bias"] = jnp.asarray(data[f"w/{stored}.bias"])

  def put_norm(place, stored, width):
    if stored is not None:
      params[place] = {
        "scale": jnp.asarray(data[f"w/{stored}.weight"]),
        "bias": jnp.asarray(data[f"w/{stored}.bias"]),
      }
    stats[place] = {"mean": jnp.zeros(width), "var": jnp.ones(width)}

  if name == "plain16":
    for i, width in enumerate((8, 16, 16), start=1):
      put(f"c{i}", f"c{i}.0")
      put_norm(f"n{i}", f"c{i}.1", width)
    put("fc", "fc")
  else:
    put("stem", "stem.net.0")
    put_norm("stem_norm", "stem.net.1", 8)
    for stage in (1, 2, 3):
      width = 8 * 2 ** (stage - 1)
      for edge, (option, _) in CELL_EDGES.items():
        put(f"cell{stage}_{edge}", f"stack_cell{stage}.{option}.op.1")
        put_norm(f"cell{stage}_{edge}_norm", None, width)
    for i, width in ((1, 16), (2, 32)):
      for part in ("a", "b"):
        put(f"reduction{i}_{part}", f"reduction{i}.conv_{part}.op.1")
        put_norm(
          f"reduction{i}_{part}_norm",
          f"reduction{i}.conv_{part}.op.2",
          width,
        )
      put(f"reduction{i}_residual", f"reduction{i}.residual.1")
    put_norm("top_norm", "top.lastact.0", 32)
    put("fc", "top.classifier")
  return {"params": params, "batch_stats": stats}


NETWORKS = {"plain16": Plain, "nb201_C8N1_16": CellNet}


def forward_of(module):
  """The function that a `Probe` wants, of a module."""

  def forward(variables, images, train=True):
    return module.apply(
      variables, images, train=train, mutable=["batch_stats"]
    )[0]

  return forward


def batch(data):
  """Images NHWC and labels."""
  return (
    jnp.asarray(data["x"].transpose(0, 2, 3, 1)),
    jnp.asarray(data["labels"], jnp.int32),
  )
