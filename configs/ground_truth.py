"""Searches the cells of NAS-Bench-201, where every answer is known.

    python -m fbnax.main --config=configs/ground_truth.py \
      --config.data.path=cifar10.npz \
      --config.table=nasbench201_cifar10.npz --workdir=runs/ground_truth

The differentiable search of `configs/dmasking.py`, with all of its safeguards
(Gumbel noise, frozen epochs, a sought cost, draws judged under the shared
weights) and with none, as DARTS, three seeds each; the table of all 15,625
cells scores what is derived. The supernet has cells of 8 channels, one a stage,
and learns from 2,000 images of CIFAR-10 at 16 pixels for 20 epochs.
`--config.variants` adds searches that lack one safeguard: `no_noise`,
`no_warmup`, `no_cost`, `no_draws`.

Every key, its unit and default: add --explain to the command.

Results on one shared CPU core (AMD EPYC, Python 3.11, jax 0.10.2), 32 minutes
for the six searches; accuracies are the table's:

                    mean of 3 seeds  each                  skips of 6
    all safeguards  93.00%           93.08, 92.38, 93.53%  3, 1, 2
    none            92.31%           92.31, 92.59, 92.04%  3, 2, 3
    all cells       87.06%, the best 94.37%
    published       DARTS 54.30%, 6 skips; GDAS 93.51% (Dong & Yang 2020)

Neither falls to skips. The safeguards are ahead in 8 of 9 pairs of seeds; three
seeds do not tell the two apart (p = 0.2). The published searches are longer,
and of all images at full size; the search without safeguards was not run that
long. In these searches weight decay also reached BN and biases of what is
searched; the present program leaves those alone.
"""

from ml_collections import config_dict

from fbnax.jobs.ground_truth.config import GroundTruthConfig
from fbnax.jobs.runtime.configs import config


def get_config() -> config_dict.ConfigDict:
  """The comparison on a part of CIFAR-10."""
  return config(GroundTruthConfig())
