"""Genetic algorithms, each one program for whole populations."""
