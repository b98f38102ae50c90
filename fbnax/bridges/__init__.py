"""What a run leaves, as other programs take it: studies, servers, hubs."""

from fbnax.bridges.optuna_study import write_study

__all__ = ["write_study"]
