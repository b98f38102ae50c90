"""Latency of a device, learned from few measured networks."""
