"""What a search's rounds compile and train, for an estimate."""

import jax
import numpy as np
import pytest
from ml_collections import config_dict

from fbnax import costs, spaces
from fbnax.jobs.nars import round_loads

SPACE = spaces.get("small").fix(resolution=(8, 12))
K = 10


class _Dataset:
  num_classes = K


def _config(population, epochs, mesh=1):
  search = {"population": population, "epochs": epochs, "classes": 0}
  return config_dict.ConfigDict(
    {"evaluator": "train", "mesh": {"population": mesh}, "search": search}
  )


def _loads(images, *, mesh=1, rounds=(6, 6)):
  drawn = np.asarray(SPACE.sample(jax.random.key(0), 40))
  config = _config(2, 3, mesh)
  return round_loads.of_rounds(config, SPACE, drawn, _Dataset(), images, rounds)


def test_masks_compile_once_for_all_rounds():
  """Members on a device each: a program of a resolution, and no discount."""
  loads = _loads(10**7, mesh=2)
  assert [load.programs for load in loads.values()] == [1, 1]
  # Populations of two that are filled: six to eight of twelve candidates.
  total = sum(load.populations for load in loads.values())
  assert total == int(total) and 6 <= total <= 8


def test_long_trainings_compile_for_each_and_cost_their_own_size():
  loads = _loads(10**7)
  assert sum(load.programs for load in loads.values()) == 12
  masked = sum(load.populations for load in _loads(10**7, mesh=2).values())
  total = sum(load.populations for load in loads.values())
  assert 0.2 * masked < total < 0.5 * masked


def test_the_price_of_one_network_is_its_share_of_the_largest():
  drawn = np.asarray(SPACE.sample(jax.random.key(0), 1))
  config = _config(1, 1)
  ((side, load),) = round_loads.of_rounds(
    config, SPACE, drawn, _Dataset(), 10**7, [1]
  ).items()
  network = SPACE.architecture(drawn[0])
  largest = SPACE.fix(resolution=side)
  largest = largest.architecture(np.asarray(largest.choices) - 1)
  share = costs.count(network, K).macs / costs.count(largest, K).macs
  assert side == network.resolution and load.programs == 1
  # The head's MACs do not follow the pixels.
  assert load.populations == pytest.approx(share, rel=0.05)
