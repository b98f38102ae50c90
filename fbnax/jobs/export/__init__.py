"""Job `export`: a model as programs for other runtimes."""
