"""Neural Architecture-Recipe Search: the predictor, the rounds, the choice."""
