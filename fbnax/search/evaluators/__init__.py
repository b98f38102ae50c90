"""What turns candidates into accuracies: this machine, or a cluster."""

from fbnax.search.evaluators.evaluators import Evaluator

__all__ = ["Evaluator"]
