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
"""

from ml_collections import config_dict

PRESETS = ("digits", "cifar10_cpu", "cifar10", "paper")


def get_config(preset: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  if preset not in PRESETS:
    raise ValueError(f"no preset {preset!r}; legal: {', '.join(PRESETS)}")
  config = _digits()
  change = {
    "digits": dict,
    "cifar10_cpu": _cifar10_cpu,
    "cifar10": _cifar10,
    "paper": _paper,
  }[preset]
  config.update_from_flattened_dict(change())
  return config


def _digits() -> config_dict.ConfigDict:
  return config_dict.create(
    job="dnas",
    seed=0,
    data=config_dict.create(
      name="digits",
      path="",
      tfds_name="",
      test_fraction=0.2,
      # What theta is trained on; the weights have the rest.
      validation_fraction=0.2,
      validation_images=0,
      max_images=0,
      decode_resolution=0,
      folds=0,
      fold=0,
    ),
    space="small_dnas",
    fix="resolution=16",
    search=config_dict.create(
      relaxation="gumbel",
      sampling="batch",
      cost="macs",
      table="",
      cost_of="theta",
      combination="target",
      target=1e6,
      tolerance=0.05,
      alpha=0.2,
      beta=0.6,
      omega=1.0,
      derivation="sample",
      samples=8,
      epochs=15,
      frozen_epochs=3,
      classes=0,
      batch_size=64,
      learning_rate=0.4,
      weight_decay=1e-4,
      theta_learning_rate=0.1,
      temperature=5.0,
      annealing=0.27,
      checkpoint_steps=0,
    ),
    recipe_file="",
    recipe=config_dict.create(
      optimizer="sgd",
      learning_rate=0.4,
      weight_decay=1e-4,
      ema=True,
      dropout=0.1,
      stochastic_depth=0.0,
      mixup=0.0,
    ),
    compare=config_dict.create(networks=2, seeds=1),
    memory_options=(1, 2, 4, 8),
    mesh=config_dict.create(data=1),
    training=config_dict.create(
      batch_size=64,
      schedule="cosine",
      epochs=15,
      decay=0.963,
      warmup_epochs=1.0,
      ema_decay=0.99,
      label_smoothing=0.1,
      augment="none",
      randaugment_operations=2,
      randaugment_magnitude=9.0,
      erasing=0.0,
      clip_norm=0.0,
      accumulate=1,
      precision="auto",
      distillation=0.8,
      checkpoint_every=5,
    ),
  )


def _cifar10_cpu() -> dict[str, object]:
  return {
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
  }


def _cifar10() -> dict[str, object]:
  return {
    "data.name": "npz",
    "fix": "",
    "search.target": 6e6,
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
  }


def _paper() -> dict[str, object]:
  return {
    "data.name": "tfds",
    "data.tfds_name": "imagenet2012",
    "space": "fbnetv2_f",
    "fix": "",
    "search.cost_of": "sample",
    "search.combination": "additive",
    "search.target": 238e6,
    "search.derivation": "argmax",
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
  }
