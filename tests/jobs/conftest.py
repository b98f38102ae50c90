"""A finished run of the job `nars`, made up: what a study starts from."""

import json

import jax
import jax.numpy as jnp
import pytest

from fbnax import costs
from fbnax.jobs.runtime import inputs
from fbnax.jobs.study import runs as study_runs
from fbnax.jobs.study.config import RandomStudyConfig, StudyConfig
from fbnax.models import Network
from fbnax.search.budgets import Budget
from fbnax.training import model_files
from fbnax.training.recipes import Settings

FIX = (
  "resolution=8;stem.channels=8;stage1.channels=8;"
  "stage1.depth=1;stage2.depth=1;stage3.depth=1;stage4.depth=1;"
  "stage1.kernel=3;stage2.kernel=3;stage3.kernel=3;stage4.kernel=3"
)
BUDGETS = {"small-150k": (135e3, 150e3), "small-200k": (180e3, 200e3)}
RUN = {
  "job": "nars",
  "seed": 0,
  "data": {
    "name": "digits",
    "path": "",
    "tfds_name": "",
    "test_fraction": 0.2,
    "validation_fraction": 0.25,
    "max_images": 60,
    "decode_resolution": 0,
  },
  "space": "small",
  "fix": FIX,
  "training": {
    "batch_size": 30,
    "schedule": "exponential",
    "epochs": 6,
    "decay": 0.9,
    "warmup_epochs": 0.0,
    "ema_decay": 0.99,
    "label_smoothing": 0.1,
    "distillation": 0.8,
  },
}


def make_run(path, seed=0, trials=6):
  """Leaves a finished run of two members, whose teacher knows nothing."""
  space = inputs.space(inputs.NamedSpace.of_run(RUN, path), 1)
  members, tried = [], []
  for i, (name, limits) in enumerate(BUDGETS.items()):
    key = jax.random.fold_in(jax.random.key(seed), i)
    drawn = study_runs.draw(key, space, Budget(macs=limits), trials + 1, 10)
    architecture = space.architecture(drawn[0])
    counted = costs.count(architecture, 10)
    members.append(
      {
        "name": name,
        "budget": {"macs": list(limits), "params": None},
        "macs": counted.macs,
        "params": counted.params,
        "genotype": drawn[0].tolist(),
        "architecture": json.loads(architecture.to_json()),
        "recipe": json.loads(space.recipe(drawn[0]).to_json()),
        "teacher": "small-200k" if i == 0 else None,
        "epochs": 6,
      }
    )
    tried += [
      {"genotype": g.tolist(), "label": None if j == 0 else 0.5 + 0.01 * j}
      for j, g in enumerate(drawn[1:])
    ]
  result = {
    "schema_version": 1,
    "job": "nars",
    "config": RUN,
    "dataset": {
      "name": "digits",
      "source": "scikit-learn's load_digits",
      "num_classes": 10,
      "channels": 1,
      "train": 45,
      "validation": 15,
      "test": 60,
    },
    "trials": tried,
    "members": members,
  }
  path.mkdir(parents=True)
  (path / "result.json").write_text(json.dumps(result))
  module = Network(architecture, 10)
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), model_files.variable_shapes(module)
  )
  model_files.save(
    path / "members" / "small-200k",
    architecture,
    zeros,
    Settings(epochs=1, batch_size=30, resolution=8, mean=(0.5,), std=(0.5,)),
    tuple(str(i) for i in range(10)),
  )
  return path


@pytest.fixture(scope="session")
def nars_runs(tmp_path_factory):
  """Work directories of two finished runs."""
  folder = tmp_path_factory.mktemp("finished")
  return [str(make_run(folder / f"f{seed}", seed)) for seed in range(2)]


@pytest.fixture
def study_config():
  """Makes the config of a study on runs."""

  def make(study, runs, **changes):
    values = {
      "job": "study",
      "study": study,
      "seed": 0,
      "runs": tuple(runs),
      "members": (),
      "seeds": 2,
      "epochs": 0,
    }
    if study == "random":
      return RandomStudyConfig(**{"pairs": 3, **values, **changes})
    return StudyConfig(**{**values, **changes})

  return make
