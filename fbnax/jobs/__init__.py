"""What can be run: a name for each job, and the module that does it."""

JOBS: dict[str, str] = {
  "nars": "fbnax.jobs.nars.job",
  "train": "fbnax.jobs.train.job",
  "eval": "fbnax.jobs.eval.job",
  "evolve": "fbnax.jobs.evolve.job",
  "predictors": "fbnax.jobs.predictors.job",
  "benchmark": "fbnax.jobs.benchmark.job",
  "study": "fbnax.jobs.study.job",
  "profile": "fbnax.jobs.profile.job",
  "zero_cost": "fbnax.jobs.zero_cost.job",
  "dnas": "fbnax.jobs.dnas.job",
  "nbdt": "fbnax.jobs.nbdt.job",
  "nbdt_tables": "fbnax.jobs.nbdt_tables.job",
  "autobuild": "fbnax.jobs.autobuild.job",
  "ground_truth": "fbnax.jobs.ground_truth.job",
  "export": "fbnax.jobs.export.job",
  "latency_predictor": "fbnax.jobs.latency_predictor.job",
}
