"""Searches channels, expansion, blocks and resolution at once: DMaskingNAS.

    python -m fbnax.main --config=configs/dmasking.py --workdir=runs/dmasking

The differentiable search of FBNetV2 (Wan 2022, chapter 3), scaled down to two
CPU cores and scikit-learn's digits: a search for a million MACs, the network
that it derives trained from scratch, and two random networks of the same cost
trained alike. At half the cost:

    --config.search.target=500e3

A preset is named after a colon, `--config=configs/dmasking.py:paper`:

* `digits`: what stands here, the default;
* `cifar10_cpu`: a part of CIFAR-10 (`--config.data.path=cifar10.npz`), small
  enough for a CPU;
* `cifar10`: all of it, for a GPU, beside 8 random networks;
* `paper`: section 3.4's search of the FBNetV2-F space on a tenth of ImageNet's
  classes: 90 epochs, temperature 5.0 x exp(-0.045), cost added to the loss.

Every key, its unit and default: add --explain to the command.

Results on one or two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2).

The first command takes 7 minutes on one core from clone to report. It derives a
network of 1,001,600 MACs with a test accuracy of 99.2% on digits; two random
networks of the same cost have 99.4% and 98.6%. Digits do not show what a search
is worth, and so few steps leave theta undecided (85% of the largest entropy).

CIFAR-10, 2,400 training and 2,400 test images at 16 pixels: 16 epochs of search
with batches of 32 (180 steps of theta), then 10 epochs and 3 seeds for the
derived network and for 8 random ones of its cost (within 5%); about 20 minutes
each on one core:

    python -m fbnax.main --config=configs/dmasking.py:cifar10_cpu \
      --config.data.path=cifar10.npz --workdir=runs/cifar_dnas
    python -m fbnax.main --config=configs/dmasking.py:cifar10_cpu \
      --config.data.path=cifar10.npz --config.search.target=1e6 \
      --workdir=runs/cifar_dnas_half

    asked for                        2,000,000 MACs       1,000,000 MACs
    derived                          2,094,336 MACs       1,018,560 MACs
    entropy of theta, of the largest 39%                  54%
    derived network, mean of 3 seeds 42.1%                42.1%
    8 random networks, mean          41.5%                39.9%
    the best of them                 43.3%                42.1%
    the derived one is ahead of      4 of 8               8 of 8
    difference to their mean, points +0.6 (−0.5 to +1.7)  +2.3 (+0.7 to +3.8)

At half the cost the derived network is ahead of all random ones, of the best by
a twentieth of a point, and as good as that of twice the cost. 2,000,000 MACs
lie close to the 2,582,784 of the largest network: the widths leave little to
choose, and the search is not told apart from chance. Each column is one search.
In these searches weight decay also reached BN and biases of blocks whose type
is searched; the present program, and the run on digits, leave those alone.

The same search for 1,000,000 MACs with one draw of choice weights for each
example (`--config.search.sampling=example`), and with single paths
(`--config.search.relaxation=single_path`); steps per CPU-second on one core are
of `python -m tests.benchmarks.sampling_step`:

                    derived         test accuracy  weight steps  theta steps
    batch, default  1,018,560 MACs  42.1%           9.6          10.8
    example           969,216 MACs  41.0%           8.4          10.7
    single path     1,028,000 MACs  41.5%          33.9          41.0
    8 random                        39.9%

All three are ahead of the mean of random networks; one search each does not
tell them apart.

The report shows how much memory a training step takes with more channel options
(Figure 3.7); `--config.memory_options="(1,2,4,8,16,32)"` asks for all of it,
and the head of `tests/benchmarks/supernet_memory.py` has the numbers.

Memory of a step by the number of resolutions (section 3.3), which the paper's
search keeps constant; `search.recompute` does, for a slower step (two small
blocks, 16 images of 32 pixels and fewer, two cores;
`python -m tests.benchmarks.supernet_memory`):

    resolutions        1         2         4         8
    one by one     75.5 MB   53.2 MB   57.5 MB   66.7 MB
      its step       28 ms     74 ms    169 ms    355 ms
    all kept       75.5 MB    161 MB    304 MB    499 MB
      its step       33 ms     68 ms    118 ms    228 ms
"""

from ml_collections import config_dict

from fbnax.jobs.dnas.config import DnasConfig
from fbnax.jobs.runtime.configs import preset

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "data.max_images": 2400,
    "search.target": 2e6,
    "search.samples": 24,
    "search.epochs": 16,
    "search.frozen_epochs": 4,
    # Small batches: theta takes 180 steps, in which it can decide.
    "search.batch_size": 32,
    "search.annealing": 0.18,
    "training.epochs": 10,
    "compare.networks": 8,
    "compare.seeds": 3,
  },
  "cifar10": {
    "data.name": "npz",
    "fix": "",
    "search.target": 6e6,
    "search.recompute": True,
    "search.epochs": 90,
    "search.frozen_epochs": 10,
    "search.annealing": 0.045,
    "search.batch_size": 128,
    "search.theta_learning_rate": 0.03,
    "training.batch_size": 128,
    "training.epochs": 200,
    "training.ema_decay": 0.999,
    "training.warmup_epochs": 5.0,
    "training.augment": "autoaugment_cifar10",
    "recipe.weight_decay": 3e-4,
    "compare.networks": 8,
    "compare.seeds": 3,
  },
  "paper": {
    "data.name": "tfds",
    "data.tfds_name": "imagenet2012",
    "space": "fbnetv2_f",
    "fix": "",
    "search.cost_of": "sample",
    "search.combination": "additive",
    "search.target": 238e6,
    "search.derivation": "argmax",
    "search.recompute": True,
    "search.epochs": 90,
    "search.frozen_epochs": 10,
    "search.classes": 100,
    "search.batch_size": 256,
    "search.learning_rate": 0.1,
    "search.theta_learning_rate": 0.01,
    "search.annealing": 0.045,
    "training.batch_size": 256,
    "training.epochs": 360,
    "training.warmup_epochs": 5.0,
    "training.ema_decay": 0.9999,
    "training.augment": "autoaugment_imagenet",
    "recipe.learning_rate": 0.1,
    "recipe.weight_decay": 4e-5,
    "compare.networks": 0,
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(DnasConfig(), PRESETS, name)
