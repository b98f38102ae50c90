"""Job `eval`: a finished model, measured on images."""
