"""Controlled comparisons after finished searches; name one after the colon.

    python -m fbnax.main --config=configs/study.py:random --workdir=runs/random
      --config.runs="('runs/fold0', 'runs/fold1')"

Everything is trained anew with the settings of the runs, with the same seeds.

    random      members against random pairs of architecture and recipe of the
                same cost
    swapped     smallest and largest member with each other's recipe (Table 4.6)
    stages      evolved members against the search's best trials (Table 4.7)
    averaging   EMA and distillation, each with and without (4.8 and 4.11)
    ranking     a wider and a deeper network under several recipes (Table 4.1)

The tables are those of Wan 2022. `members` are names or budgets, () for all;
`epochs` 0 trains for as long as the members were. `space`, `data.name` and
`training.teacher` are for runs of your own code alone, which they name again.
"""

from ml_collections import config_dict

from fbnax.jobs.configs import config
from fbnax.jobs.configs.study import RandomStudyConfig, StudyConfig


def get_config(study: str = "random") -> config_dict.ConfigDict:
  """The study of that name on the run of `configs/nars.py`."""
  return config(
    RandomStudyConfig() if study == "random" else StudyConfig(study=study)
  )
