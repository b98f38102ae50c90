"""What a run leaves, as other programs take it: studies, servers, hubs."""

from fbnax.bridges.optuna_study import write_study
from fbnax.bridges.serving import ServingLimits, application, serve

__all__ = ["ServingLimits", "application", "serve", "write_study"]
