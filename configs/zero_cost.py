"""Scores networks without training them: zero-cost proxies of a space.

    python -m fbnax.main --config=configs/zero_cost.py --workdir=runs/scores

Random networks of a space, scored on one batch of images, and how the proxies
agree: with a table of trained networks, with each other, and beyond the MACs. A
preset is named after a colon, `--config=configs/zero_cost.py:nasbench201`:

* `digits`: what stands here, the default; 64 networks of the space `small`,
  which has no table;
* `nasbench201`: cells of NAS-Bench-201 in the setting of zero-cost-nas (16
  channels, five cells a stage, batch 64), on CIFAR-10
  (`--config.data.path=cifar10.npz`) beside the table
  (`--config.table=nasbench201_cifar10.npz`);
* `seven`: 500 of these cells by the scores of AZ-NAS, naswot, jacob_cov,
  synflow and SWAP, batch 32; data and table likewise;
* `mnasnet`: networks of Accel-NASBench's space at 32 pixels, on CIFAR-10
  (`--config.data.path=cifar10.npz`) beside the table of their accuracies on
  ImageNet (`--config.table=accel_nasbench_imagenet.npz`): an order of
  architectures from images that are a fiftieth of the size. One program for all
  networks; on one CPU core about two minutes of compilation, then a network a
  second.

A run that has ended goes on with a larger `--config.sample`. Every key, its
unit and default: add --explain to the command.

Results on one CPU core (AMD EPYC, Python 3.11, jax 0.10.2): Spearman's rank
correlation with the test accuracy after 200 epochs of 1,000 random cells, 95%
intervals by bootstrap over the cells; 1.5 CPU-seconds a cell for six proxies,
about 2 for grasp (`--config.proxies="('grasp',)"`, 45 minutes):

    python -m fbnax.main --config=configs/zero_cost.py:nasbench201 \
      --config.data.path=cifar10.npz --config.table=nasbench201_cifar10.npz \
      --workdir=runs/scores

                                        zero-cost-nas,  623 cells:
    score      these 1,000 cells        all cells       ours, published
    synflow    0.756 (0.726 to 0.785)   0.737           0.764, 0.761
    naswot     0.757 (0.724 to 0.787)                   0.787, 0.784
    jacob_cov  0.681 (0.636 to 0.724)   0.731           0.733, 0.770
    grad_norm  0.618 (0.575 to 0.658)   0.594           0.587, 0.586
    snip       0.616 (0.573 to 0.657)   0.596           0.591, 0.590
    grasp      0.461 (0.411 to 0.514)   0.514           0.515, 0.519
    fisher     0.537 (0.486 to 0.586)   0.360           0.542, 0.536
    vote of synflow, jacob_cov, snip
               0.841 (0.816 to 0.864)   0.817
    one factor of all proxies and the MACs
               0.778 (0.747 to 0.807)
    log rank of synflow, naswot, jacob_cov
               0.857 (0.834 to 0.877)
    MACs, parameters
               0.744 (0.714 to 0.773)

The last column is of the 623 cells that have a published score in
NAS-Bench-Suite-Zero. All are within 0.02 of the authors' numbers or above them
but jacob_cov and grasp, 0.05 below. These two hang on one batch of images and
on one set of weights: ours and the published ones correlate by 0.93 and 0.72,
the others by 0.985 to 0.999. With `--config.seed=1
--config.proxies="('jacob_cov','synflow')"` jacob_cov has 0.687 (0.638 to 0.730)
and synflow 0.766 (0.738 to 0.792). Whether it matters that all cells share one
draw of weights is not told apart: of 200 cells with `--config.redraw=True`
jacob_cov has 0.719 (0.623 to 0.806), with the one draw 0.700 (0.596 to 0.787).

The one factor (Parisi et al. 2014) was chosen before these accuracies were
looked at; it is worse than the vote, since grad_norm, snip and fisher are
nearly one score (0.97 and more), which it takes for truth. The log rank is the
highest of twenty combinations by these very accuracies, so it is too high for
one that is chosen without them. Of the best tenth only synflow orders the cells
(0.27; 0.08 to 0.42), and the gradients do it the wrong way round (grad_norm
−0.22). Given the MACs synflow keeps a partial correlation of 0.44, jacob_cov
the largest, 0.62. `python -m tests.benchmarks.proxies` has the speed beside
PyTorch's.

Newer scores, on two CPU cores beside other work (AMD EPYC), 19 minutes, two of
them compilation; 500 random cells, 95% intervals:

    python -m fbnax.main --config=configs/zero_cost.py:seven \
      --config.data.path=cifar10.npz --config.table=nasbench201_cifar10.npz \
      --workdir=runs/seven

    score                 Spearman                Kendall  published, all cells
    log rank of the seven 0.933 (0.915 to 0.947)  0.784
    AZ-NAS                0.908 (0.888 to 0.924)  0.738    0.913, 0.741
    VKDNW without entropy 0.901 (0.878 to 0.920)  0.734    0.919, 0.750
    az_expressivity       0.805 (0.772 to 0.834)  0.606
    swap                  0.767 (0.715 to 0.805)  0.590
    synflow               0.755 (0.712 to 0.794)  0.558    0.737 to 0.769
    MACs                  0.751 (0.709 to 0.791)  0.578
    naswot                0.747 (0.699 to 0.786)  0.562
    jacob_cov             0.717 (0.660 to 0.768)  0.551
    vkdnw_dim             0.672 (0.619 to 0.719)  0.533    0.767, 0.626
    az_progressivity      0.587 (0.520 to 0.652)  0.425
    az_trainability       0.458 (0.379 to 0.533)  0.320

The seven are AZ-NAS's four with synflow, naswot and jacob_cov; the combination
stood in the program before any of the newer scores was compared with an
accuracy. Its nDCG is 0.9995 (AZ-NAS 0.9993), and of the best tenth it orders
the cells with 0.54 (AZ-NAS 0.51, synflow 0.42). Within ten groups of nearly
equal MACs, where size says nothing, the mean correlation is 0.84 (AZ-NAS 0.77,
jacob_cov 0.66, az_expressivity 0.60, synflow 0.33). Published numbers are of
all 15,625 cells, VKDNW's with the entropy of its Fisher matrix.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import preset
from fbnax.jobs.zero_cost.config import ZeroCostConfig

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "nasbench201": {
    "space": "nasbench201",
    "fix": "",
    "sample": 1000,
    "proxies": (
      "grad_norm",
      "snip",
      "fisher",
      "jacob_cov",
      "naswot",
      "synflow",
    ),
    "batch_size": 64,
    "data.name": "npz",
  },
  "seven": {
    "space": "nasbench201",
    "fix": "",
    "sample": 500,
    "proxies": (
      "az_expressivity",
      "az_progressivity",
      "az_trainability",
      "naswot",
      "jacob_cov",
      "synflow",
      "vkdnw_dim",
      "swap",
    ),
    "batch_size": 32,
    "data.name": "npz",
  },
  "mnasnet": {
    "space": "mnasnet",
    "fix": "",
    "resolution": 32,
    "sample": 400,
    # One program gives these for all networks; naswot, fisher and MeCo need
    # one of each network's own.
    "proxies": ("grad_norm", "snip", "jacob_cov", "synflow"),
    "data.name": "npz",
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(ZeroCostConfig(), PRESETS, name)
