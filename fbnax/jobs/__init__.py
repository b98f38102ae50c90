"""What can be run: a name for each job, and the module that does it."""

JOBS: dict[str, str] = {
  "nars": "fbnax.jobs.nars",
  "train": "fbnax.jobs.train",
  "eval": "fbnax.jobs.eval",
  "evolve": "fbnax.jobs.evolve",
  "predictors": "fbnax.jobs.predictors",
  "benchmark": "fbnax.jobs.benchmark",
  "study": "fbnax.jobs.study",
  "profile": "fbnax.jobs.profile",
  "zero_cost": "fbnax.jobs.zero_cost",
  "dnas": "fbnax.jobs.dnas",
  "nbdt": "fbnax.jobs.nbdt",
  "nbdt_tables": "fbnax.jobs.nbdt_tables",
  "autobuild": "fbnax.jobs.autobuild",
  "ground_truth": "fbnax.jobs.ground_truth",
  "export": "fbnax.jobs.export",
  "latency_predictor": "fbnax.jobs.latency_predictor",
}
