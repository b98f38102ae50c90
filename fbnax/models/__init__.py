"""Flax Linen modules.

`Network(...)(images, train=False, features=True)` gives the feature maps at
strides 4 to 32, for use as a backbone (`launch/examples/detection.py`).

`Supernet(space, classes)` is the same network driven by choice weights, one
vector per decision. One-hot vectors make it a candidate, `vmap` over them a
population, and relaxed ones a differentiable search; the costs take the same:

  space = spaces.get("fbnetv2_f")  # fbnet, fbnet_cifar, fbnetv2_l, fbnetv2_p, …
  keys = jax.random.split(jax.random.key(0), len(space.choices))
  theta = [jax.numpy.zeros(n) for n in space.choices]
  weights = [ops.gumbel_softmax(k, t, 5.0) for k, t in zip(keys, theta)]
  costs.expected(space, weights)  # effective shapes; differentiable
  supernet = models.Supernet(space, 1000, subsample=True)  # images, weights

Weights of timm, of the official PyTorch models and of EfficientNets, of
safetensors files or of those of `torch.save`, in which nothing is run:

  variables = models.load_weights("fbnetv3_b.pth", "timm_fbnetv3_b")
  variables = models.load_weights(path, architecture, 10)  # a new head
  models.compare_weights(path, architecture).lines()  # what does not fit
  models.save_weights("out.safetensors", architecture, variables)

A network is a supernet of all that is smaller than itself, once its channels
are sorted by importance (`fbnax.models.sorting`):

  space = spaces.around(architecture, resolutions=(96, 128))
  scores = sorting.channel_importance("norm", architecture, variables)
  variables = sorting.sort_channels(architecture, variables, scores)
  models.extract(space, genotype, variables)  # for its own Network
"""

from fbnax.models.graph_predictor import GraphPredictor
from fbnax.models.initial import initialize
from fbnax.models.nasbench201 import CellNet, CellSupernet, extract_cell
from fbnax.models.network import Network, Supernet, extract, one_hot
from fbnax.models.weights import compare_weights, load_weights, save_weights

__all__ = [
  "CellNet",
  "CellSupernet",
  "GraphPredictor",
  "Network",
  "Supernet",
  "compare_weights",
  "extract",
  "extract_cell",
  "initialize",
  "load_weights",
  "one_hot",
  "save_weights",
]
