"""Keys of the job nars."""

from __future__ import annotations

import dataclasses

from fbnax.jobs.runtime import sections
from fbnax.jobs.runtime.configs import key, section
from fbnax.search.nars.planning import LEARNERS


@dataclasses.dataclass(frozen=True)
class RayKeys:
  """The cluster that candidates are trained on."""

  address: str = key(
    "",
    "of the cluster: `host:port`, or `auto` for the one this machine belongs"
    " to; none to start one here",
  )
  workers: int = key(
    0,
    "tasks at a time on a cluster that is started here; 0 for as many as there"
    " are cores",
    least=0,
  )
  cpus: tuple[float, ...] = key(
    (1,),
    "of a task, and threads of its XLA; one value for each kind of worker, the"
    " best kind first",
    "cores",
  )
  gpus: tuple[float, ...] = key(
    (0,),
    "of a task, one value for each kind of worker; without one it trains on its"
    " cores; parts of 1 share one",
    "GPUs",
  )
  attempts: int = key(
    3,
    "times that the task of a candidate may be lost before the candidate is"
    " recorded as failed",
    least=1,
  )


@dataclasses.dataclass(frozen=True)
class MemberBudgetKeys(sections.BudgetKeys):
  """With members that are scaled from others."""

  scaled: tuple[float, ...] = key(
    (),
    "further members, by compound scaling of the smallest or largest one",
    "MACs",
  )
  scaled_stochastic_depth: float = key(
    0.2, "of members that are scaled up", "share", least=0, below=1
  )
  share: tuple[float, ...] = key(
    (),
    "limits in place of `macs`, of the MACs of the space's largest network",
    "share",
    above=0,
  )


@dataclasses.dataclass(frozen=True)
class NarsSearchKeys:
  """Which candidates are trained, and what is learned from them."""

  pool: int = key(20_000, "Sobol points the candidates come from", "points")
  macs: tuple[float, ...] = key(
    (),
    "lowest and highest of the candidates; none for the range of the budgets,"
    " or of the points of the pool that meet them",
    "MACs",
  )
  rounds: int = key(3, "of candidates")
  first: int = key(
    0, "candidates of the first round; 0 for as many as in the others"
  )
  candidates: int = key(12, "trained in each round")
  bins: int = key(
    0,
    "of the range of MACs, from each of which as many candidates come; 0 for"
    " one bin per candidate",
  )
  classes: int = key(
    0, "random classes that candidates are trained on; 0 for all"
  )
  epochs: int = key(12, "of the first round's candidates", "epochs")
  correlation: float = key(
    0.92, "rank correlation from which on later rounds stop"
  )
  population: int = key(
    2, "most candidates that are trained at a time, by one program", least=1
  )
  predictors: int = key(8, "size of the predictor's ensemble")
  exploration: float = key(
    0.5,
    "deviations of the ensemble added to its mean to choose candidates; the"
    " paper: 0",
  )
  signal: str = key(
    "likelihood",
    "what candidates are ranked by: `accuracy`, the paper's, or `likelihood`, e"
    " to the minus log-loss, which still tells them apart where nearly all"
    " images are classified right",
  )
  learner: str = key(
    "predictor",
    "whose scores choose candidates: the `predictor`'s, the expected"
    " improvement of a Gaussian process that knows of noise (`posterior`), or"
    " `both`",
    choices=LEARNERS,
  )
  ranks: bool = key(False, "the predictor learns ranks of accuracies")
  huber: str = key(
    "deviation",
    "where the loss of the predictor turns from squares to magnitudes: at a"
    " `deviation` of its labels, or at a `label` of 1, the paper's, which for"
    " accuracies and likelihoods leaves squares alone",
    choices=("deviation", "label"),
  )
  caution: float = key(
    1.0, "deviations taken off in the evolution of members; the paper: 0"
  )
  proxies: str = key(
    "",
    "directory of a finished run of `zero_cost` on the same space, whose scores"
    " the predictor is pretrained on beside the costs",
  )
  proxy_names: tuple[str, ...] = key(
    ("synflow", "jacob_cov", "snip"), "which of its scores"
  )


@dataclasses.dataclass(frozen=True)
class AroundKeys:
  """Which networks inside that of `weights` are searched."""

  resolutions: tuple[int, ...] = key(
    (),
    "of the images; none for multiples of 32 from 64 to the images' own, at"
    " most 128",
    "px",
    least=1,
  )
  widths: tuple[float, ...] = key(
    (0.5, 0.75, 1.0), "of the network's widths", "share", above=0
  )
  expansions: tuple[float, ...] = key(
    (0.5, 0.75, 1.0), "of its expansions", "share", above=0
  )
  kernels: tuple[int, ...] = key(
    (3, 5, 7), "none larger than a block's own", "px", least=3
  )
  depths: int = key(1, "least number of blocks of a stage", least=1)
  importance: str = key(
    "norm",
    "what channels are sorted by: `norm` (of the weights that read them),"
    " `bn_scale`, or `none`",
    choices=("norm", "bn_scale", "none"),
  )


@dataclasses.dataclass(frozen=True)
class SharedKeys:
  """How all networks inside that of `weights` are trained as one."""

  epochs: int = key(5, "of the training that they share", "epochs", least=1)
  strategy: str = key(
    "sandwich",
    "which of them a step trains: `sandwich` (largest, smallest, random ones),"
    " `progressive` (the largest, and more and more of the others) or `random`",
  )
  subnets: int = key(2, "random ones in a step", least=0)
  distillation: float = key(
    1.0, "of the largest one's distribution in the others' loss", "share"
  )
  head_epochs: float = key(
    1.0,
    "at the beginning, in which the classifier alone moves; at most a quarter"
    " of those that `minutes` buy",
    "epochs",
  )
  trunk_rate: float = key(1.0, "factor of the other layers' learning rate")
  images: int = key(
    256, "on which BN's statistics of one of them are computed", least=1
  )


@dataclasses.dataclass(frozen=True)
class SearchMeshKeys(sections.MeshKeys):
  """How a search is spread over devices."""

  data: int = key(
    1,
    "that share a batch; 0 for all that `mesh.population` leaves",
    "devices",
  )
  population: int = key(
    1,
    "that share the candidates of `search.population`; a network trained alone"
    " has those of both for its batch",
    "devices",
  )


@dataclasses.dataclass(frozen=True)
class MemberTrainingKeys(sections.TrainingKeys):
  """How members are trained, and the candidates' schedule."""

  schedule: str = key(
    "exponential", "of the members: `exponential`, `cosine` or `step`"
  )
  search_decay: float = key(
    0.8, "factor of the candidates' learning rate", "per epoch"
  )
  epochs: int = key(40, "of the members", "epochs")
  decay: float = key(0.9, "factor of the members' learning rate", "per epoch")
  warmup_epochs: float = key(2.0, "of linear growth, members only", "epochs")
  teacher: str = key(
    "",
    "a model's directory or a part of your own; none for the largest member",
  )
  teach_largest: bool = key(
    False,
    "the largest member, trained on labels, teaches another training of its own"
    " network too; without a teacher or weights of one's own",
  )
  calibration_images: int = key(
    0,
    "that members are not trained on: they are measured on them after each"
    " epoch, and threshold and temperature are chosen on them; 0 to train on"
    " all that are no test images, without either",
    "images",
    least=0,
  )
  inherited_rate: float = key(
    0.3,
    "factor of the recipe's learning rate for members that start from weights"
    " which they inherit",
    above=0,
  )
  checkpoint_every: int = key(10, "between checkpoints", "epochs", least=1)


@dataclasses.dataclass(frozen=True)
class NarsConfig:
  """From images and budgets to a family of networks."""

  job: str = key("nars", sections.JOB)
  seed: int = key(0, sections.SEED)
  data: sections.SearchDataKeys = section(sections.SearchDataKeys)
  space: str = key("small", sections.SPACE)
  fix: str = key("resolution=8,12", sections.FIX)
  architecture: str = key(
    "",
    "searches recipes alone, for this network: name of the zoo, JSON file, or a"
    " model's directory",
  )
  resolution: int = key(
    0, "of that network, replaces its own; 0 keeps it", "px"
  )
  recipe_file: str = key(
    "", "searches architectures alone, under the recipe in this JSON file"
  )
  weights: str = key(
    "",
    "searches inside this pretrained network, in place of `space`: as"
    " `config.weights` of `configs/finetune.py`",
  )
  weights_architecture: str = key(
    "",
    "of these weights: name of the zoo, or JSON file; none for what is known"
    " of them",
  )
  mean: tuple[float, ...] = key(
    (),
    "of each channel of the images of these weights, where white is 1; none"
    " for what is known of them, or else the data set's own",
  )
  std: tuple[float, ...] = key((), "deviation of each, likewise", above=0)
  minutes: float = key(
    0.0,
    "that the run may take on this machine, by which `shared.epochs` and"
    " `training.epochs` are chosen with `weights`; without `baselines`; 0 for"
    " these keys' own",
    "minutes",
    least=0,
  )
  baselines: bool = key(
    False,
    "trains beside the family what a user would do otherwise with `weights`:"
    " smaller images, narrower layers, members from scratch",
  )
  around: AroundKeys = section(AroundKeys)
  shared: SharedKeys = section(SharedKeys)
  recipe: sections.RecipeKeys = section(sections.RecipeKeys)
  evaluator: str = key(
    "train",
    "`train` (on this machine), `ray` (on a cluster), `shared` (by the weights"
    " that all share, with `weights`), or a part of your own",
  )
  ray: RayKeys = section(RayKeys)
  head: str = key(
    "linear",
    "of the members: `linear`, or `nbdt`, which trains them to decide by a tree"
    " and gives it",
  )
  tree: sections.TreeKeys = section(sections.TreeKeys)
  budgets: MemberBudgetKeys = section(MemberBudgetKeys)
  search: NarsSearchKeys = section(NarsSearchKeys)
  evolution: sections.PredictedEvolutionKeys = section(
    sections.PredictedEvolutionKeys
  )
  mesh: SearchMeshKeys = section(SearchMeshKeys)
  training: MemberTrainingKeys = section(MemberTrainingKeys)
