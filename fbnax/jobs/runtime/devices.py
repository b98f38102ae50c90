"""The devices that a config gives to a training."""

from __future__ import annotations

from typing import Any

from jax.sharding import Mesh

from fbnax.training import mesh as mesh_lib


def mesh(
  config: Any, batch_name: str, batch_size: int, population: int = 0
) -> Mesh | None:
  """The devices that `config.mesh` gives to a training.

  Args:
    config: with `mesh`, or without where it is no matter of the job's.
    batch_name: the key of the batch's size.
    batch_size: of the training.
    population: candidates that are trained side by side; 0 for one network,
      which then has the devices of both axes for its batch.

  Raises:
    ValueError: there are not so many devices, or the candidates or the images
      do not spread evenly over them; the key is named.
  """
  given = getattr(config, "mesh", None)
  if given is None:
    return None
  found = mesh_lib.make(given.data, getattr(given, "population", 1))
  if population:
    mesh_lib.check(
      found, mesh_lib.POPULATION, "config.search.population", population
    )
  elif found is not None:
    found = mesh_lib.make(found.size)
  mesh_lib.check(found, mesh_lib.DATA, batch_name, batch_size)
  return found
