"""Job `dnas`: from images and a target cost to a trained network."""
