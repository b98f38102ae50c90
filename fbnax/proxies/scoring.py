"""Scores of one network, and of thousands that one module computes.

A proxy has a part that is traced, and an end on the host in float64: logarithms
and eigenvalues of a matrix that is small, and exact where the traced part is.
All proxies that are asked for are one program, but synflow and vkdnw, which are
a second one in float64.

Symbols: `B` images, `K` classes, `n` networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np

from fbnax.proxies import (
  activations,
  az,
  counts,
  gradients,
  jacobian,
  synflow,
  vkdnw,
  zen,
)
from fbnax.proxies.probe import Probe

# Gives the logits of variables, images, a random key and a choice; is called
# with `train=True`, BN having the batch's statistics, or `train=False`.
Network = Callable[..., jax.Array]


class Proxy(NamedTuple):
  """How a score is computed.

  Attributes:
    measure: is traced, gives an array or a tree of arrays.
    finish: makes the score of it, on the host.
    double: needs float64.
    of_choice: whether it is that of the chosen network, where a module computes
      many; a count is that of the whole module.
    of_mask: whether it is that of the chosen network, where a module cuts it
      out of larger layers with masks; a score of activations sees what is cut
      off too.
    needs_marks: whether it takes values out of the program one by one, which
      it cannot where they are made in a loop.
  """

  measure: Callable[[Probe], Any]
  finish: Callable[[Any], float] = float
  double: bool = False
  of_choice: bool = True
  of_mask: bool = True
  needs_marks: bool = False


PROXIES: dict[str, Proxy] = {
  "params": Proxy(counts.params, counts.whole, of_choice=False, of_mask=False),
  "macs": Proxy(counts.macs, counts.whole, of_choice=False, of_mask=False),
  "grad_norm": Proxy(gradients.grad_norm),
  "snip": Proxy(gradients.snip),
  "grasp": Proxy(gradients.grasp),
  "fisher": Proxy(gradients.fisher, of_mask=False),
  "jacob_cov": Proxy(jacobian.jacob_cov, jacobian.spread),
  "naswot": Proxy(
    activations.naswot, activations.log_determinant, of_mask=False
  ),
  "synflow": Proxy(synflow.synflow, double=True),
  "log_synflow": Proxy(synflow.synflow, synflow.logarithm, double=True),
  "zen": Proxy(zen.zen, of_mask=False),
  "zico": Proxy(gradients.zico(2)),
  "zico_4": Proxy(gradients.zico(4)),
  "meco": Proxy(activations.meco, of_mask=False),
  "meco_modules": Proxy(activations.meco_modules, of_mask=False),
  "swap": Proxy(
    activations.swap, activations.distinct, of_mask=False, needs_marks=True
  ),
  "az_expressivity": Proxy(
    az.entropies, az.expressivity, of_mask=False, needs_marks=True
  ),
  "az_progressivity": Proxy(
    az.entropies, az.progressivity, of_mask=False, needs_marks=True
  ),
  "az_trainability": Proxy(az.trainability, of_mask=False, needs_marks=True),
  "az_complexity": Proxy(
    az.complexity, az.millions, of_choice=False, of_mask=False
  ),
  "vkdnw": Proxy(
    vkdnw.jacobian, vkdnw.program, double=True, of_choice=False, of_mask=False
  ),
  "vkdnw_fisher": Proxy(
    vkdnw.jacobian, vkdnw.fisher, double=True, of_choice=False, of_mask=False
  ),
  "vkdnw_dim": Proxy(
    vkdnw.dimension, counts.whole, of_choice=False, of_mask=False
  ),
}


def names() -> tuple[str, ...]:
  """All proxies."""
  return tuple(PROXIES)


def score(
  names: Sequence[str],
  module: nn.Module,
  variables: Any,
  images: jax.Array,
  labels: jax.Array,
  key: jax.Array,
) -> dict[str, float]:
  """Scores a network without training it; a higher score is better.

  Args:
    names: of proxies.
    module: any Linen module that is called as `module.apply(variables, images,
      train=bool)`; its layers' weights are parameters named `kernel`.
    variables: of the module, `params` and `batch_stats` if there are any.
    images: `f32[B, H, W, C]`.
    labels: `i32[B]`, 0 to K - 1.
    key: random key, of dropout and of zen's noise.

  Returns:
    A score for each name. One that is not finite, because the network
    overflows, or lets nothing through, is -inf: it ranks last.

  Raises:
    ValueError: an unknown name, labels that do not fit, or a module or a batch
      that a proxy has no score of: naswot and swap without a ReLU, fisher and
      meco without a convolution, zen and the scores of AZ-NAS without a feature
      map, jacob_cov and zico of one image.
  """
  scorer = _scorer(tuple(names), module)
  logits = jax.eval_shape(applied(module), variables, images, key, None)
  check_batch(images, labels, logits.shape[-1])
  return scorer(variables, images, labels, key)


class Scorer:
  """Scores networks that one function computes; compiles once.

  The choice is what tells the networks apart: an array, a tree of arrays, or
  nothing.
  """

  def __init__(self, names: Sequence[str], network: Network) -> None:
    """See `Network`; raises a ValueError for an unknown name."""
    unknown = [name for name in names if name not in PROXIES]
    if unknown or not names:
      raise ValueError(
        f"proxies: {unknown or tuple(names)} is none; legal: "
        f"{', '.join(PROXIES)}"
      )
    self.names = tuple(dict.fromkeys(names))
    self._network = network
    # The last variables, and the same in float64: of a space they are many.
    self._doubled: tuple[Any, Any] = None, None
    self._one = jax.jit(self._measure, static_argnums=0)
    self._many = jax.jit(
      lambda group, variables, images, labels, key, choices: jax.vmap(
        lambda choice: self._measure(
          group, variables, images, labels, key, choice
        )
      )(choices),
      static_argnums=0,
    )

  def __call__(
    self,
    variables: Any,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    choice: Any = None,
  ) -> dict[str, float]:
    """The scores of one network, arguments as in `score`."""
    measured = self._run(self._one, variables, images, labels, key, choice)
    return {name: _finished(name, measured[name]) for name in self.names}

  def batch(
    self,
    variables: Any,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    choices: Any,
  ) -> dict[str, np.ndarray]:
    """The scores of `n` networks side by side (`vmap`), `f64[n]` each.

    Args:
      variables: shared by all.
      images: `f32[B, H, W, C]`.
      labels: `i32[B]`.
      key: random key.
      choices: a choice with an axis of `n` in front.

    Raises:
      ValueError: a count is asked for, which would be the whole module's.
    """
    for name in self.names:
      if not PROXIES[name].of_choice:
        raise ValueError(
          f"{name} counts the whole module, not what a choice uses of it; "
          "legal: fbnax.costs for these"
        )
    measured = self._run(self._many, variables, images, labels, key, choices)
    return {
      name: np.asarray([_finished(name, row) for row in measured[name]])
      for name in self.names
    }

  def _run(self, program: Any, variables: Any, *arguments: Any) -> Any:
    images, *rest = arguments
    measured: dict[str, Any] = {}
    single = self._group(False)
    if single:
      measured |= jax.device_get(program(single, variables, images, *rest))
    if self._group(True):
      with jax.enable_x64(True):
        if not _same(self._doubled[0], variables):
          kept = jax.tree.map(lambda leaf: leaf, variables)
          self._doubled = kept, jax.device_put(_doubled(variables))
        measured |= jax.device_get(
          program(self._group(True), self._doubled[1], _doubled(images), *rest)
        )
    return measured

  def _group(self, double: bool) -> tuple[str, ...]:
    return tuple(n for n in self.names if PROXIES[n].double == double)

  def _measure(
    self,
    group: tuple[str, ...],
    variables: Any,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    choice: Any,
  ) -> dict[str, Any]:
    dropout_key, proxy_key = jax.random.split(key)

    def forward(
      variables: Any, images: jax.Array, train: bool = True
    ) -> jax.Array:
      return self._network(variables, images, dropout_key, choice, train=train)

    probe = Probe(forward, variables, images, labels, proxy_key, group)
    measured: dict[Any, Any] = {}
    for name in group:
      measure = PROXIES[name].measure
      if measure not in measured:
        measured[measure] = measure(probe)
    return {name: measured[PROXIES[name].measure] for name in group}


def check_batch(images: jax.Array, labels: jax.Array, num_classes: int) -> None:
  """Says whether images and labels fit together and the classes.

  Raises:
    ValueError: they do not; what is legal is named.
  """
  if images.ndim != 4 or not len(images):
    raise ValueError(
      f"images has shape {images.shape}; legal: [B, H, W, C], at least one"
    )
  if labels.shape != images.shape[:1]:
    raise ValueError(
      f"labels has shape {labels.shape}; legal: ({len(images)},), one for each "
      "image"
    )
  numbers = np.asarray(labels)
  if numbers.min() < 0 or numbers.max() >= num_classes:
    raise ValueError(
      f"labels go from {numbers.min()} to {numbers.max()}; legal: 0 to "
      f"{num_classes - 1}, as the network has {num_classes} outputs"
    )


def _scorer(names: tuple[str, ...], module: nn.Module) -> Scorer:
  """One for each module that compares equal, so that nothing is compiled twice.

  A module with attributes that cannot be hashed gets a new one each time.
  """
  try:
    hash(module)
  except TypeError:
    return Scorer(names, applied(module))
  return _kept_scorer(names, module)


@functools.lru_cache(maxsize=8)
def _kept_scorer(names: tuple[str, ...], module: nn.Module) -> Scorer:
  return Scorer(names, applied(module))


def applied(module: nn.Module, takes_choice: bool = False) -> Network:
  """The function that a `Scorer` wants, of a module.

  Args:
    module: as of `score`.
    takes_choice: it is called with the choice behind the images.
  """

  def network(
    variables: Any,
    images: jax.Array,
    key: jax.Array,
    choice: Any,
    train: bool = True,
  ) -> jax.Array:
    logits, _ = module.apply(
      variables,
      images,
      *((choice,) if takes_choice else ()),
      train=train,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
    return logits

  return network


def _finished(name: str, measured: Any) -> float:
  """The score; -inf where it is not finite."""
  value = PROXIES[name].finish(measured)
  return value if math.isfinite(value) else -math.inf


def _same(kept: Any, variables: Any) -> bool:
  """Whether these are the very arrays, and of a kind that cannot change."""
  structure: Any = jax.tree.structure(kept)
  if structure != jax.tree.structure(variables):
    return False
  pairs = zip(jax.tree.leaves(kept), jax.tree.leaves(variables), strict=True)
  return all(a is b and isinstance(a, jax.Array) for a, b in pairs)


def _doubled(tree: Any) -> Any:
  """Floating arrays of a tree in float64, on the host."""

  def widen(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf)
    wide = np.issubdtype(array.dtype, np.floating)
    return array.astype(np.float64) if wide else array

  return jax.tree.map(widen, tree)
