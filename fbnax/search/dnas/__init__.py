"""Differentiable search: choice and network weights, trained by turns."""
