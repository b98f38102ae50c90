"""Job `benchmark`: searches compared on a table of trained networks."""
