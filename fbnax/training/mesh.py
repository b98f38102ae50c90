"""Training on many devices: one program over a mesh, and what lies where.

Axes of a mesh: `data`, over which the images of a batch are spread, and
`population`, over which candidates are. Programs are written for one device and
partitioned by XLA: sums over a batch, BN's too, are over all of it, wherever
its parts lie. Members of a population know nothing of each other, so each
device is given its own of them by `shard_map`.

None stands for one device; then nothing here does anything. The devices of a
mesh may belong to several processes (`jax.distributed`), which then all run the
same program on the same values, and feed their own devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

DATA, POPULATION = "data", "population"


def make(data: int = 1, population: int = 1) -> Mesh | None:
  """A mesh of the devices there are, of all processes.

  Args:
    data: devices that share a batch; 0 for all that `population` leaves.
    population: devices that share a population's candidates.

  Returns:
    None where both are 1: whatever device JAX takes.

  Raises:
    ValueError: there are not so many devices, or, with several processes, some
      of them would have nothing to do.
  """
  count = jax.device_count()
  for name, value, least in ((DATA, data, 0), (POPULATION, population, 1)):
    if value < least:
      raise ValueError(f"mesh.{name} is {value!r}; legal: {least} or more")
  if data == 0 and count % population:
    raise ValueError(
      f"mesh.population is {population}; legal: a divisor of {count} devices, "
      "since mesh.data is 0"
    )
  data = data or count // population
  devices = data * population
  several = jax.process_count() > 1
  if devices > count or (several and devices != count):
    raise ValueError(
      f"mesh.data is {data} and mesh.population {population}, in all {devices} "
      f"devices; legal: {'' if several else 'at most '}{count}, as many as "
      "there are"
    )
  if devices == 1:
    return None
  return jax.make_mesh(
    (population, data),
    (POPULATION, DATA),
    axis_types=(AxisType.Auto, AxisType.Auto),
    devices=jax.devices()[:devices],
  )


def check(mesh: Mesh | None, axis: str, name: str, count: int) -> None:
  """Refuses what does not spread evenly.

  Raises:
    ValueError: `count`, the value of the config's key `name`, is no multiple of
      the devices of the axis.
  """
  devices = size(mesh, axis)
  if count % devices:
    raise ValueError(
      f"{name} is {count}; legal: a multiple of mesh.{axis}, {devices}"
    )


def size(mesh: Mesh | None, axis: str) -> int:
  """Devices of an axis."""
  return 1 if mesh is None else mesh.shape[axis]


def put(mesh: Mesh | None, tree: Any, *axes: str | None) -> Any:
  """Arrays in this process's memory, onto the mesh.

  Args:
    mesh: of the devices.
    tree: arrays, the same in every process; those that are on the mesh stay.
    *axes: that the leading axes of the arrays are spread over; without any,
      each device has all of them.
  """
  if mesh is None:
    return tree
  sharding = NamedSharding(mesh, PartitionSpec(*axes))
  return jax.tree.map(lambda leaf: onto(leaf, sharding), tree)


def local(mesh: Mesh | None, tree: Any) -> Any:
  """Arrays from the mesh, as those of one device of this process."""
  if mesh is None:
    return tree
  return jax.tree.map(_local, tree)


def host(leaf: jax.Array) -> np.ndarray:
  """An array of numbers, wherever its parts lie, in the host's memory."""
  if leaf.is_fully_addressable or leaf.is_fully_replicated:
    return np.asarray(leaf)
  from jax.experimental import multihost_utils

  return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))


def spread(mesh: Mesh | None, tree: Any, *axes: str | None) -> Any:
  """Inside a program: where arrays are to lie; as `put`."""
  if mesh is None:
    return tree
  # Within `members` the population's axis is not XLA's to partition.
  current = jax.sharding.get_abstract_mesh()
  sharding = NamedSharding(
    mesh if current.empty else current, PartitionSpec(*axes)
  )
  return jax.lax.with_sharding_constraint(tree, sharding)


def members(
  mesh: Mesh | None, function: Callable[..., Any], shared: Any, *stacked: Any
) -> Any:
  """Calls a function of stacked members, on each device with those it has.

  Args:
    mesh: of the devices.
    function: of `shared` and `stacked`, to a tree stacked alike.
    shared: what all members have.
    *stacked: trees whose leading axis is the members'.
  """
  if mesh is None or mesh.shape[POPULATION] == 1:
    return function(shared, *stacked)
  spec = PartitionSpec(POPULATION)
  return jax.shard_map(
    function,
    mesh=mesh,
    in_specs=(PartitionSpec(), *(spec for _ in stacked)),
    out_specs=spec,
    axis_names={POPULATION},
    check_vma=False,
  )(shared, *stacked)


def rows(mesh: Mesh | None, batch: int) -> range | None:
  """The images of a batch that this process's devices take; None for all."""
  if mesh is None or jax.process_count() == 1:
    return None
  sharding = NamedSharding(mesh, PartitionSpec(DATA))
  parts = sharding.addressable_devices_indices_map((batch,)).values()
  slices = [part[0].indices(batch) for part in parts if part is not None]
  return range(min(f[0] for f in slices), max(f[1] for f in slices))


def put_batch(mesh: Mesh | None, part: np.ndarray, batch: int) -> jax.Array:
  """A batch onto the mesh.

  Args:
    mesh: of the devices.
    part: the images, or labels, of `rows`.
    batch: how many all processes have together.
  """
  if mesh is None:
    return jax.numpy.asarray(part)
  sharding = NamedSharding(mesh, PartitionSpec(DATA))
  mine = rows(mesh, batch)
  first = 0 if mine is None else mine.start

  def at(index: Any) -> np.ndarray:
    start, stop, _ = index[0].indices(batch)
    return part[start - first : stop - first]

  return jax.make_array_from_callback((batch, *part.shape[1:]), sharding, at)


def onto(leaf: Any, sharding: Sharding) -> Any:
  """An array that every process has, to where a sharding says."""
  if getattr(leaf, "sharding", None) == sharding:
    return leaf
  if sharding.is_fully_addressable:
    return jax.device_put(leaf, sharding)
  if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    words = onto(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
  whole = host(leaf) if isinstance(leaf, jax.Array) else np.asarray(leaf)
  return jax.make_array_from_callback(
    whole.shape, sharding, lambda index: whole[index]
  )


def _local(leaf: Any) -> Any:
  if not isinstance(leaf, jax.Array):
    return leaf
  if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    words = _local(jax.random.key_data(leaf))
    return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
  return jax.numpy.asarray(host(leaf))
