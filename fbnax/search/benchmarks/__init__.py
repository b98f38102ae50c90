"""Searches on tables of networks that others have trained."""
