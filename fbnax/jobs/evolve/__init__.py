"""Job `evolve`: new budgets for a finished run, without training."""
