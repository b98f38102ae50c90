"""Searches on tables of networks that others have trained.

A table is an evaluator that looks accuracies up (`tables`), so searches are
compared in seconds: random search and regularized evolution (`baselines`), and
both with a zero-cost score at hand (`assisted`).
"""
