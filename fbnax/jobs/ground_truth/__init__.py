"""Job `ground_truth`: differentiable searches of a space that is known."""
