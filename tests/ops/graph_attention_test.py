import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fbnax.ops.graph_attention import attend, attend_chain


@pytest.fixture(scope="module")
def golden():
  root = os.environ.get("FBNAX_SHARED")
  folder = (
    pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared"
  )
  path = folder / "golden" / "gatv2_layers.npz"
  if not path.exists():
    pytest.skip(f"no {path}; FBNAX_SHARED can name the folder")
  with np.load(path) as file:
    return dict(file)


@pytest.mark.parametrize("case", ["h1", "h4", "h3mean", "share", "noself"])
def test_layers_are_the_original_programs(golden, case):
  params = {
    key.removeprefix(f"{case}/param/"): value
    for key, value in golden.items()
    # Shared weights are stored twice, their gradient once.
    if key.startswith(f"{case}/param/")
    and key.replace("/param/", "/grad/") in golden
  }
  heads, width = params["att"].shape[1:]
  nodes = len(golden[f"{case}/x"])
  adjacency = np.zeros((nodes, nodes), bool)
  sources, targets = golden[f"{case}/att_edge_index"]
  adjacency[targets, sources] = True

  def layer(params, x):
    def project(name):
      weight = params.get(f"{name}.weight", params["lin_l.weight"])
      bias = params.get(f"{name}.bias", params["lin_l.bias"])
      return (x @ weight.T + bias).reshape(nodes, heads, width)

    found, weights = attend(
      project("lin_l"), project("lin_r"), params["att"][0], adjacency
    )
    merged = found.mean(1) if case == "h3mean" else found.reshape(nodes, -1)
    return merged + params["bias"], weights

  with jax.enable_x64(True):
    given = jax.tree.map(jnp.asarray, (params, golden[f"{case}/x"]))
    found, back, weights = jax.vjp(layer, *given, has_aux=True)
    gradients, to_nodes = back(jnp.asarray(golden[f"{case}/cot"]))
  np.testing.assert_allclose(found, golden[f"{case}/y"], atol=1e-5)
  np.testing.assert_allclose(
    weights[targets, sources], golden[f"{case}/att"], atol=1e-5
  )
  np.testing.assert_allclose(to_nodes, golden[f"{case}/grad_x"], atol=1e-5)
  for name, gradient in gradients.items():
    np.testing.assert_allclose(
      gradient, golden[f"{case}/grad/{name}"], atol=1e-5, err_msg=name
    )


def test_a_chain_is_a_dense_graph_of_two_neighbours():
  keys = jax.random.split(jax.random.key(0), 4)
  sources, targets, cotangent = (
    jax.random.normal(k, (8, 5, 3)) for k in keys[:3]
  )
  attention = jax.random.normal(keys[3], (8,))
  adjacency = np.eye(5, dtype=bool) | np.eye(5, k=-1, dtype=bool)

  def dense(sources, targets, attention):
    found, _ = attend(
      sources.transpose(2, 1, 0)[:, :, None],
      targets.transpose(2, 1, 0)[:, :, None],
      attention[None],
      adjacency,
    )
    return found[:, :, 0].transpose(2, 1, 0)

  given = (sources, targets, attention)
  wanted, wanted_back = jax.vjp(dense, *given)
  found, back = jax.vjp(attend_chain, *given)
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  for a, b in zip(back(cotangent), wanted_back(cotangent), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
