"""What turns candidates into accuracies.

`local` trains a population at a time on this machine, candidates that share
a program in one group (`grouping`); `tasks` cuts the same groups into tasks of
a cluster's workers (`ray_cluster`), which speak JSON (`task_messages`).
`shared` trains nothing and reads accuracy from shared weights. A user writes
another one from the names below.
"""

from fbnax.search.evaluators.contract import Candidate, Evaluator, Outcome

__all__ = ["Candidate", "Evaluator", "Outcome"]
