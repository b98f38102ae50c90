"""Controlled comparisons after finished searches; name one after the colon.

    python -m fbnax.main --config=configs/study.py:random \
      --config.runs="('runs/fold0', 'runs/fold1')" --workdir=runs/random

Every network is trained anew with the settings of the runs, and all with the
same seeds. Every key, its unit and default: add --explain to the command.

    random      members against random pairs of architecture and recipe of the
                same cost
    swapped     smallest and largest member with each other's recipe (Table 4.6)
    stages      evolved members against the search's best trials (Table 4.7)
    averaging   EMA and distillation, each with and without (4.8 and 4.11)
    ranking     a wider and a deeper network under several recipes (Table 4.1)

The tables are those of Wan 2022. `members` are names or budgets, () for all;
`epochs` 0 trains for as long as the members were. `space`, `data.name` and
`training.teacher` are for runs of your own code alone, which name them again.

Results on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2).

Digits at 8 pixels: one member of each of five searches, one a fold, against 8
random pairs of 90 to 100% of its budget, 3 seeds, 20 epochs, no distillation.
Accuracy is saturated there, so log-losses are compared:

    for i in 0 1 2 3 4; do
      python -m fbnax.main --config=configs/nars.py \
        --workdir=runs/f$i --config.fix=resolution=8 \
        --config.budgets.macs="(800e3,)" --config.data.max_images=1400 \
        --config.data.folds=5 --config.data.fold=$i
    done
    python -m fbnax.main --config=configs/study.py:random --config.epochs=20 \
      --config.runs="('runs/f0','runs/f1','runs/f2','runs/f3','runs/f4')" \
      --workdir=runs/random

                                     test log-loss    test accuracy
    members, 5 folds x 3 seeds       0.123            98.8%
    8 random pairs, 120 trainings    0.250            97.9%
    the best pair of each fold       0.187            98.6%
    difference                       −0.126           +0.9 points
      95% interval over folds        −0.139 to −0.114 +0.2 to +1.6

The members are ahead of 40 of 40 pairs by log-loss; little mixup in their
recipes is much of it. The searches rank candidates by likelihood: ranked by
accuracy, the predictor's rank correlation on unseen candidates was 0.4 instead
of 0.6. Four of the five searches normalised images by constants that were not
rounded to sixteenths, as they are now.

CIFAR-10, 3,000 training and 3,000 test images at 16 pixels, 15 epochs, no
distillation; the member `small-2.4m` has 2.17 M MACs:

    python -m fbnax.main --config=configs/nars.py:cifar10_cpu \
      --config.data.path=cifar10.npz --workdir=runs/cifar
    python -m fbnax.main --config=configs/study.py:random \
      --config.runs="('runs/cifar',)" --config.members="('small-2.4m',)" \
      --workdir=runs/cifar_random

                                     test accuracy    test log-loss
    member, 3 seeds                  46.8%            1.434
    8 random pairs, 24 trainings     45.3%            1.506
    the best and the worst pair      47.9%, 42.9%     1.433, 1.558
    member less mean of the pairs    +1.4 points      −0.072
      95% interval over seeds        −0.3 to +3.1     −0.104 to −0.040

The member is ahead of 7 of the 8 pairs by either measure, and not of the best
one. It is one search; its 750 validation images and 5 epochs hardly tell
candidates apart (rank correlation of the predictor on unseen ones: 0.0).

The ablations on the default run of `configs/nars.py`, test log-loss, means of 3
seeds. The paper's numbers are of ImageNet; these networks are too small and
these images too few to tell much apart:

    for study in swapped stages averaging ranking; do
      python -m fbnax.main --config=configs/study.py:$study \
        --config.runs="('runs/digits',)" --workdir=runs/$study
    done

    study                               log-loss      difference (95% interval)
    stages: small-800k as evolved, and
      the best trial of its budget      0.115, 0.133  −0.018 (−0.041 to +0.005)
    stages: small-1.6m, likewise        0.117, 0.143  −0.026 (−0.072 to +0.020)
    averaging: small-800k with
      distillation and EMA, and neither 0.115, 0.119  −0.004 (−0.025 to +0.017)
    averaging: distillation alone, EMA
      alone                             0.116, 0.118
    ranking: 1.4 times wider, 2 times
      deeper, weight decay 1e-4         0.121, 0.113  +0.008 (−0.016 to +0.032)
    ranking: the same, 1e-5             0.116, 0.119  −0.003 (−0.043 to +0.037)

`swapped` has nothing to swap: the search found one recipe (RMSProp, no mixup)
for all three members. Under another weight decay the wider and the deeper
network change places, as in the paper's Table 4.1, within what three seeds
tell.
"""

from ml_collections import config_dict

from fbnax.jobs.runtime.configs import config
from fbnax.jobs.study.config import RandomStudyConfig, StudyConfig


def get_config(study: str = "random") -> config_dict.ConfigDict:
  """The study of that name on the run of `configs/nars.py`."""
  return config(
    RandomStudyConfig() if study == "random" else StudyConfig(study=study)
  )
