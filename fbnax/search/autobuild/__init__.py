"""AutoBuild: what modules are worth, learned from labelled networks."""
