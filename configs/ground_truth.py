"""Searches the cells of NAS-Bench-201, where every answer is known.

    python -m fbnax.main --config=configs/ground_truth.py \
      --config.data.path=cifar10.npz \
      --config.table=nasbench201_cifar10.npz --workdir=runs/ground_truth

The differentiable search of `configs/dmasking.py`, with all of its safeguards
and with none, three seeds each; what is derived is scored by the table of all
15,625 cells. The supernet learns from a part of CIFAR-10 at 16 pixels, which
two CPU cores search in a few minutes. `--config.variants` adds searches that
lack one safeguard: `no_noise`, `no_warmup`, `no_cost`, `no_draws`.

Published on all of CIFAR-10 (Dong & Yang 2020): DARTS falls to 54.30%, a cell
of skips; GDAS reaches 93.51%.

Every key, its unit and default: the config reference in README.md.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """The comparison on a part of CIFAR-10."""
  return config_dict.create(
    job="ground_truth",
    seed=0,
    table="",
    variants=("safe", "bare"),
    seeds=3,
    data=config_dict.create(
      name="npz",
      path="",
      tfds_name="",
      test_fraction=0.2,
      validation_fraction=0.5,
      validation_images=0,
      max_images=2000,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    network=config_dict.create(channels=8, cells=1, resolution=16),
    search=config_dict.create(
      relaxation="gumbel",
      sampling="batch",
      cost_of="theta",
      combination="target",
      target_share=0.5,
      tolerance=0.1,
      omega=1.0,
      derivation="sample",
      samples=16,
      epochs=20,
      frozen_epochs=5,
      batch_size=64,
      learning_rate=0.4,
      weight_decay=1e-4,
      theta_learning_rate=0.1,
      temperature=5.0,
      annealing=0.15,
    ),
  )
