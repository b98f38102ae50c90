"""Job `nars`: from images and budgets to a family of trained networks."""
