"""What a network computes inside, read off any Flax module as it is.

Layers with weights and BN are found by intercepting module calls, and known by
their variables: a layer has a parameter `kernel`, BN has running statistics.
ReLUs are functions, not modules; they are found in the traced program (see
`relus`), as are the marks that the interception leaves there. Statistics are
summed inside the branches and loops of the program, so that a module may choose
its operations with `lax.switch`, and only what is executed counts.

Symbols: `B` images, `H`, `W` height and width, `C` channels.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from fbnax.proxies import relus

LAYER = "fbnax.layer"
MODULE = "fbnax.module"
NORM = "fbnax.norm"
RELU = "fbnax.relu"
_MARKS = (LAYER, MODULE, NORM)

Statistic = Callable[[jax.Array, int, int], Any]
Function = Callable[..., Any]


class Layer(NamedTuple):
  """A call of a layer with weights.

  Attributes:
    path: names from the root module down.
    kernel: shape of its weights, `H, W, C / groups, C'` or `C, C'`.
    output: shape of its result, before BN.
    biased: whether it adds a bias.
  """

  path: tuple[str, ...]
  kernel: tuple[int, ...]
  output: tuple[int, ...]
  biased: bool

  @property
  def convolves(self) -> bool:
    """Whether it is a convolution, not a linear layer."""
    return len(self.kernel) > 2

  @property
  def macs(self) -> int:
    """Multiply-accumulates of one image."""
    places = math.prod(self.output[1:-1])
    return places * math.prod(self.kernel)


class Watched(NamedTuple):
  """What was seen in a function's evaluation.

  Attributes:
    result: of the function.
    sums: of statistics, for the kinds that were there.
    last_map: the last feature map on the way to the result, `[B, H, W, C]`:
      what the global pool (or the flattening) takes in, the operand of the last
      operation that turns a map of more than one pixel into something without
      pixels, and depends on the function's last argument, the images, as no
      kernel does. None where there is none.
  """

  result: jax.Array
  sums: dict[str, Any]
  last_map: jax.Array | None


@contextlib.contextmanager
def intercept(
  output: Callable[[Layer, jax.Array], jax.Array] | None = None,
  norm: Callable[[nn.Module, jax.Array], jax.Array] | None = None,
  skip_norm: bool = False,
  module: Callable[[jax.Array], jax.Array] | None = None,
) -> Iterator[None]:
  """Changes what layers give and BN takes, for calls made in the block.

  Args:
    output: is given each layer and its result, gives what stands for it.
    norm: is given each BN and its input, gives what stands for that.
    skip_norm: BN passes its input on.
    module: is given what any module gives, if that is one array; gives what
      stands for it.
  """

  def interceptor(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
    called = context.module
    if context.method_name != "__call__" or not args:
      return next_fun(*args, **kwargs)
    if _is_norm(called):
      if skip_norm:
        return args[0]
      if norm is not None:
        args = (norm(called, args[0]), *args[1:])
    result = next_fun(*args, **kwargs)
    if output is not None and not _is_norm(called):
      layer = _layer(called, result)
      result = result if layer is None else output(layer, result)
    if module is not None and isinstance(result, jax.Array):
      result = module(result)
    return result

  with nn.intercept_methods(interceptor):
    yield


def layers(function: Function, *arguments: Any) -> list[Layer]:
  """All calls of layers with weights, in order; computes nothing."""
  calls: list[Layer] = []

  def note(layer: Layer, result: jax.Array) -> jax.Array:
    calls.append(layer)
    return result

  with intercept(output=note):
    # A function of its own, which no cache has seen.
    jax.eval_shape(lambda *a: function(*a), *arguments)
  return calls


def watch(
  function: Function, statistics: Mapping[str, Statistic], *arguments: Any
) -> Watched:
  """Evaluates a function and sums statistics over all values of a kind.

  Args:
    function: calls modules; gives one array.
    statistics: for a kind what is summed: `LAYER` is given the result of each
      layer with weights `[B, H, W, C]` or `[B, C]`, `MODULE` that of each
      module, containers too, `NORM` the input of each BN that has a scale,
      `RELU` the input of each `max(x, 0)`, ReLU's and ReLU6's
      too, that has at least 2 axes and clamps no statistic. With the value
      come its place among those of its kind and how many there are. What a
      kind's statistic gives has one shape.
    *arguments: of the function, the images last.
  """

  def marked(*arguments: Any) -> Any:
    def output(layer: Layer, result: jax.Array) -> jax.Array:
      return checkpoint_name(result, LAYER)

    def norm(module: nn.Module, x: jax.Array) -> jax.Array:
      has_scale = module.has_variable("params", "scale")
      return checkpoint_name(x, NORM) if has_scale else x

    def module(result: jax.Array) -> jax.Array:
      return checkpoint_name(result, MODULE)

    every = module if MODULE in statistics else None
    with relus.standing(), intercept(output, norm, module=every):
      return function(*arguments)

  traced = jax.make_jaxpr(marked)(*arguments)
  leaves = jax.tree.leaves(arguments)
  images = len(jax.tree.leaves(arguments[-1]))
  moving = [False] * (len(leaves) - images) + [True] * images
  walk = _Walk(statistics, traced.jaxpr, moving)
  [result], sums = walk(traced.jaxpr, traced.consts, leaves, moving)
  return Watched(result, sums, walk.last_map)


def looped(function: Function, *arguments: Any) -> bool:
  """Whether a ReLU's maximum stands in a loop; computes nothing."""

  def within(jaxpr: Any, loop: bool) -> bool:
    for equation in jaxpr.eqns:
      if loop and relus.operand(equation) is not None:
        return True
      inside = loop or equation.primitive.name in ("scan", "while")
      if any(within(p, inside) for p in _programs(equation)):
        return True
    return False

  return within(jax.make_jaxpr(function)(*arguments).jaxpr, False)


def _programs(equation: Any) -> Iterator[Any]:
  """The programs that an equation may run."""
  branches = equation.params.get("branches", ())
  for value in (*equation.params.values(), *branches):
    program = getattr(value, "jaxpr", value)
    if hasattr(program, "eqns"):
      yield program


def equations(jaxpr: Any) -> Iterator[Any]:
  """All equations of a traced program but those of its while loops."""
  for equation in jaxpr.eqns:
    yield equation
    params = equation.params
    if equation.primitive.name == "while":
      continue
    for branch in params.get("branches", ()):
      yield from equations(branch.jaxpr)
    for key in relus.CALLED:
      if key in params:
        yield from equations(getattr(params[key], "jaxpr", params[key]))
        break


class _Walk:
  """Evaluates a traced program and sums statistics on the way."""

  def __init__(
    self,
    statistics: Mapping[str, Statistic],
    jaxpr: Any,
    moving: Sequence[bool],
  ) -> None:
    self.statistics = statistics
    self.relus = relus.find(jaxpr, moving) if RELU in statistics else set()
    counted = {path[-1] for path in self.relus}
    self.last_map: jax.Array | None = None
    # Equations of a kind, in order; those of a program that is called twice
    # share a place, but for ReLUs, whose program is one for all of a shape.
    self.places: dict[str, dict[int, int]] = {}
    self.relu_places: dict[relus.Path, int] = {}
    operands: dict[str, Any] = {}
    for equation in equations(jaxpr):
      kind, operand = _marked(equation) or ("", 0)
      if kind in statistics and (kind != RELU or id(equation) in counted):
        places = self.places.setdefault(kind, {})
        places.setdefault(id(equation), len(places))
        # That of the first place, with which the statistic is called below.
        operands.setdefault(kind, equation.invars[operand].aval)
    self.start = {
      kind: jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype),
        jax.eval_shape(
          lambda x, k=kind: statistics[k](x, 0, self._count(k)),
          jax.ShapeDtypeStruct(aval.shape, aval.dtype),
        ),
      )
      for kind, aval in operands.items()
    }

  def __call__(
    self,
    jaxpr: Any,
    consts: Sequence[Any],
    values: Sequence[Any],
    moving: Sequence[bool],
    path: relus.Path = (),
  ) -> tuple[list[Any], dict[str, Any]]:
    """The results of `jaxpr`, and the sums over it.

    `moving` says which of the values depend on the images, `path` which calls
    lead here.
    """
    values_of: dict[Any, Any] = {}
    moved = {v for v, m in zip(jaxpr.invars, moving, strict=True) if m}
    sums = self.start
    values_of.update(zip(jaxpr.constvars, consts, strict=True))
    values_of.update(zip(jaxpr.invars, values, strict=True))

    def read(variable: Any) -> Any:
      return variable.val if relus.is_literal(variable) else values_of[variable]

    for equation in jaxpr.eqns:
      inputs = [read(v) for v in equation.invars]
      here = (*path, id(equation))
      mark = _marked(equation)
      if (
        mark is not None
        and mark[0] in self.statistics
        and (mark[0] != RELU or here in self.relus)
      ):
        kind, operand = mark
        value = self.statistics[kind](
          inputs[operand], self._place(kind, here), self._count(kind)
        )
        sums = {**sums, kind: jax.tree.map(jnp.add, sums[kind], value)}
      flags = [not relus.is_literal(v) and v in moved for v in equation.invars]
      outputs, inner = self._apply(equation, inputs, flags, here)
      if inner is not None:
        sums = jax.tree.map(jnp.add, sums, inner)
      self._note_map(equation, inputs, flags)
      if any(flags):
        moved.update(equation.outvars)
      values_of.update(zip(equation.outvars, outputs, strict=True))
    return [read(v) for v in jaxpr.outvars], sums

  def _count(self, kind: str) -> int:
    """How many places a kind has."""
    return len(self.relus if kind == RELU else self.places[kind])

  def _place(self, kind: str, path: relus.Path) -> int:
    """The place of a value among those of its kind."""
    if kind == RELU:
      return self.relu_places.setdefault(path, len(self.relu_places))
    return self.places[kind][path[-1]]

  def _apply(
    self,
    equation: Any,
    inputs: list[Any],
    moving: list[bool],
    path: relus.Path,
  ) -> tuple[Sequence[Any], dict[str, Any] | None]:
    """The results of one equation, and the sums over what it calls."""
    params = equation.params
    name = equation.primitive.name
    if name == "cond":
      index, *operands = inputs
      branches = [
        lambda *values, b=branch: self(
          b.jaxpr, b.consts, values, moving[1:], path
        )
        for branch in params["branches"]
      ]
      return lax.switch(index, branches, *operands)
    if name == "scan":
      return self._scan(params, inputs, moving, path)
    if (inner := relus.called(equation)) is not None:
      consts = getattr(inner, "consts", ())
      jaxpr = getattr(inner, "jaxpr", inner)
      return self(jaxpr, consts, inputs, moving, path)
    result = equation.primitive.bind(*inputs, **params)
    many = equation.primitive.multiple_results
    return (result if many else [result]), None

  def _scan(
    self,
    params: Any,
    inputs: list[Any],
    moving: list[bool],
    path: relus.Path,
  ) -> tuple[Sequence[Any], dict[str, Any]]:
    consts = params["num_consts"]
    carried = consts + params["num_carry"]
    inner = params["jaxpr"]

    def step(carry: Any, row: Any) -> Any:
      values, sums = carry
      outputs, added = self(
        inner.jaxpr,
        inner.consts,
        [*inputs[:consts], *values, *row],
        moving,
        path,
      )
      kept = outputs[: params["num_carry"]]
      return (kept, jax.tree.map(jnp.add, sums, added)), outputs[len(kept) :]

    (carry, sums), rows = lax.scan(
      step,
      (inputs[consts:carried], self.start),
      inputs[carried:],
      length=params["length"],
      reverse=params["reverse"],
    )
    return [*carry, *rows], sums

  def _note_map(
    self, equation: Any, inputs: list[Any], moving: list[bool]
  ) -> None:
    if any(key in equation.params for key in (*relus.CALLED, "branches")):
      return
    if any(_has_pixels(v.aval) for v in equation.outvars):
      return
    for value, moves in zip(inputs, moving, strict=True):
      if moves and _has_pixels(value):
        self.last_map = value


def _marked(equation: Any) -> tuple[str, int] | None:
  """The kind of an equation that is of one, and the operand's place."""
  name = equation.primitive.name
  if name == "name" and equation.params["name"] in _MARKS:
    return equation.params["name"], 0
  operand = relus.operand(equation)
  return None if operand is None else (RELU, operand)


def _has_pixels(value: Any) -> bool:
  shape: tuple[int, ...] = getattr(value, "shape", ())
  return len(shape) == 4 and shape[1] * shape[2] > 1


def _layer(module: nn.Module, result: Any) -> Layer | None:
  """The call of a module that has weights of its own."""
  if not module.has_variable("params", "kernel"):
    return None
  kernel: Any = module.get_variable("params", "kernel")
  biased = module.has_variable("params", "bias")
  if kernel.ndim < 2:
    return None
  return Layer(module.path, kernel.shape, result.shape, biased)


def _is_norm(module: nn.Module) -> bool:
  return isinstance(module, nn.BatchNorm) or module.has_variable(
    "batch_stats", "var"
  )
