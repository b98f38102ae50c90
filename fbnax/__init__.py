"""fbnax: efficient convolutional networks, designed and trained in JAX."""

__version__ = "0.1.0"
