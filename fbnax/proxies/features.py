"""The feature maps between the blocks of any Flax module.

Scores of AZ-NAS compare what successive blocks make. A module may say itself
what its blocks' maps are (`fbnax.ops.marks.feature_map`). Where it does not,
they are read off the traced program: a map counts through which everything
after it sees the images, and which is made by

* a submodule that holds layers: its result;
* layers and other paths that meet again, as in a residual block that the module
  writes out: their sum;
* a single layer: what BN and activations behind it make of its result.

The submodules are those of the deepest module that holds all layers. What pools
make is not a block's map, nor is a map of one pixel.

Symbols: `B` images, `H`, `W` height and width, `C` channels, `F` feature maps.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

from fbnax.ops.marks import FEATURE_MAP
from fbnax.proxies import capture, relus

# What stands for feature map `i` of `F`, given it.
Tap = Callable[[int, int, jax.Array], jax.Array]

_LAYER, _BLOCK = "fbnax.features.layer", "fbnax.features.block"
_OTHER = "fbnax.features.other"  # BN, an activation.
_INSIDE = "fbnax.features.inside"
_CALLED_ONCE = ("jit", "pjit", "closed_call", "core_call")


def shapes(function: capture.Function, *arguments: Any) -> list[Any]:
  """Shapes of the feature maps, in order; computes nothing.

  Args:
    function: calls modules; gives one array.
    *arguments: of it, the images last.
  """
  jaxpr, _, _, places = _find(function, arguments)
  return [_variable(jaxpr, place).aval.shape for place in places]


def tapped(function: capture.Function, tap: Tap, *arguments: Any) -> jax.Array:
  """Evaluates a function with other values in place of its feature maps.

  Args:
    function: calls modules; gives one array.
    tap: is given the place of a feature map, how many there are, and the map.
    *arguments: of the function, the images last.
  """
  jaxpr, consts, values, places = _find(function, arguments)
  order = {place: i for i, place in enumerate(places)}
  value_of: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
  value_of.update(zip(jaxpr.invars, values, strict=True))

  def read(variable: Any) -> Any:
    return variable.val if relus.is_literal(variable) else value_of[variable]

  start = 0
  for end in [*(place + 1 for place in places), len(jaxpr.eqns)]:
    part, needed, made = _part(jaxpr, start, end)
    outputs = jax.core.eval_jaxpr(part, (), *(value_of[v] for v in needed))
    value_of.update(zip(made, outputs, strict=True))
    if end - 1 in order:
      mark = _variable(jaxpr, end - 1)
      value_of[mark] = tap(order[end - 1], len(places), value_of[mark])
    start = end
  [result] = [read(v) for v in jaxpr.outvars]
  return result


def _find(
  function: capture.Function, arguments: Sequence[Any]
) -> tuple[Any, Sequence[Any], list[Any], list[int]]:
  """The traced program, its constants and arguments, and where maps are made.

  A map is the first result of an equation of the program.
  """
  units = _units(function, arguments)

  def named(*arguments: Any) -> Any:
    with _names(units):
      return function(*arguments)

  traced = jax.make_jaxpr(named)(*arguments)
  leaves = jax.tree.leaves(arguments)
  images = len(jax.tree.leaves(arguments[-1]))
  moving = [False] * (len(leaves) - images) + [True] * images
  jaxpr, consts, values = traced.jaxpr, traced.consts, leaves
  # A module that is compiled as a whole is one equation.
  while len(jaxpr.eqns) == 1 and jaxpr.eqns[0].primitive.name in _CALLED_ONCE:
    [equation] = jaxpr.eqns
    inner = relus.called(equation)
    if inner is None or list(equation.outvars) != list(jaxpr.outvars):
      break
    place_of = {v: i for i, v in enumerate(jaxpr.invars)}
    if not all(v in place_of for v in equation.invars):
      break
    order = [place_of[v] for v in equation.invars]
    values, moving = [values[i] for i in order], [moving[i] for i in order]
    jaxpr, consts = inner.jaxpr, inner.consts
  marked = [i for i, e in enumerate(jaxpr.eqns) if _name(e) == FEATURE_MAP]
  return jaxpr, consts, values, marked or _read_off(jaxpr, moving)


def _units(function: capture.Function, arguments: Sequence[Any]) -> int:
  """Length of the paths of the modules whose results may be a block's."""
  calls = [layer.path for layer in capture.layers(function, *arguments)]
  if not calls:
    return 1
  depth = min(map(len, calls)) - 1
  same = (len(set(steps)) == 1 for steps in zip(*calls, strict=False))
  return len(list(itertools.takewhile(bool, itertools.islice(same, depth)))) + 1


@contextlib.contextmanager
def _names(depth: int) -> Iterator[None]:
  """Names what modules of that depth give, and says where their code is."""
  layers_within: list[bool] = []

  def interceptor(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
    module = context.module
    if context.method_name != "__call__":
      return next_fun(*args, **kwargs)
    is_layer = _is_layer(module)
    if is_layer and layers_within:
      layers_within[-1] = True
    if len(module.path) != depth:
      return next_fun(*args, **kwargs)
    layers_within.append(False)
    with jax.named_scope(_INSIDE):
      result = next_fun(*args, **kwargs)
    holds_layers = layers_within.pop()
    # Its own variables are there only after the call.
    if _is_layer(module):
      return _named(result, _LAYER)
    return _named(result, _BLOCK if holds_layers else _OTHER)

  with nn.intercept_methods(interceptor):
    yield


def _is_layer(module: nn.Module) -> bool:
  if not module.has_variable("params", "kernel"):
    return False
  kernel: Any = module.get_variable("params", "kernel")
  return bool(kernel.ndim > 1)


def _named(result: Any, name: str) -> Any:
  is_map = isinstance(result, jax.Array) and result.ndim == 4
  return checkpoint_name(result, name) if is_map else result


def _name(equation: Any) -> str:
  is_name = equation.primitive.name == "name"
  return str(equation.params["name"]) if is_name else ""


def _read_off(jaxpr: Any, moving: Sequence[bool]) -> list[int]:
  """The equations that make feature maps, where none is marked."""
  places: list[int] = []
  # Whether the last map is a layer's, which BN and activations go on with.
  goes_on = False
  layers = 0
  for place, equation in _bottlenecks(jaxpr, moving):
    layers += sum(1 for e in equation if _name(e) in (_LAYER, _BLOCK))
    last = equation[-1]
    if _INSIDE in str(last.source_info.name_stack):
      continue
    value = last.outvars[0].aval
    is_map = len(value.shape) == 4 and value.shape[1] * value.shape[2] > 1
    if not is_map:
      goes_on = False
    elif layers:
      places.append(place)
      goes_on = layers == 1 and _name(last) == _LAYER
    elif goes_on:
      before = _variable(jaxpr, places[-1]).aval.shape
      goes_on = value.shape == before
      if goes_on:
        places[-1] = place
    layers = 0
  return places


def _bottlenecks(
  jaxpr: Any, moving: Sequence[bool]
) -> Iterator[tuple[int, list[Any]]]:
  """Equations whose one result is all that is still needed of the images.

  Yields:
    The place of each, and the equations since the last.
  """
  last_use: dict[Any, int] = {}
  for place, equation in enumerate(jaxpr.eqns):
    for v in equation.invars:
      if not relus.is_literal(v):
        last_use[v] = place
  for v in jaxpr.outvars:
    if not relus.is_literal(v):
      last_use[v] = len(jaxpr.eqns)
  moved = {v for v, m in zip(jaxpr.invars, moving, strict=True) if m}
  alive = {v for v in moved if v in last_use}
  since: list[Any] = []
  for place, equation in enumerate(jaxpr.eqns):
    since.append(equation)
    if any(not relus.is_literal(v) and v in moved for v in equation.invars):
      moved.update(equation.outvars)
      alive.update(v for v in equation.outvars if last_use.get(v, -1) > place)
    alive = {v for v in alive if last_use[v] > place}
    if alive == {equation.outvars[0]}:
      yield place, since
      since = []


def _variable(jaxpr: Any, place: int) -> Any:
  return jaxpr.eqns[place].outvars[0]


def _part(jaxpr: Any, start: int, end: int) -> tuple[Any, list[Any], list[Any]]:
  """Some equations as a program, what it needs, and what it makes."""
  equations = jaxpr.eqns[start:end]
  made = [v for e in equations for v in e.outvars]
  inside = set(made)
  used = [v for e in equations for v in e.invars if not relus.is_literal(v)]
  needed = list(dict.fromkeys(v for v in used if v not in inside))
  # A result that nothing reads has no name.
  made = [v for v in made if type(v).__name__ != "DropVar"]
  part = jaxpr.replace(
    constvars=[],
    invars=needed,
    outvars=made,
    eqns=equations,
    debug_info=jaxpr.debug_info.with_unknown_names(),
  )
  return part, needed, made
