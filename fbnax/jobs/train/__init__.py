"""Job `train`: one network, any architecture with any recipe."""
