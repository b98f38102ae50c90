"""The devices that a config gives to a training."""

from __future__ import annotations

from jax.sharding import Mesh

from fbnax.jobs.runtime.sections import MeshKeys
from fbnax.training import mesh as mesh_lib


def mesh(
  keys: MeshKeys | None, batch_name: str, batch_size: int, population: int = 0
) -> Mesh | None:
  """The devices that `config.mesh` gives to a training.

  Args:
    keys: the section `config.mesh`; None where it is no matter of the job's.
    batch_name: the key of the batch's size.
    batch_size: of the training.
    population: candidates that are trained side by side; 0 for one network,
      which then has the devices of both axes for its batch.

  Raises:
    ValueError: there are not so many devices, or the candidates or the images
      do not spread evenly over them; the key is named.
  """
  if keys is None:
    return None
  devices = mesh_lib.make(keys.data, getattr(keys, "population", 1))
  if population:
    mesh_lib.check(
      devices, mesh_lib.POPULATION, "config.search.population", population
    )
  elif devices is not None:
    devices = mesh_lib.make(devices.size)
  mesh_lib.check(devices, mesh_lib.DATA, batch_name, batch_size)
  return devices
