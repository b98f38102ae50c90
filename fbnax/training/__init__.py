"""One training loop for every network: state, step, populations, files."""
