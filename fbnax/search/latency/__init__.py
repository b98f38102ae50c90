"""Latency of a device, learned from few measured networks (ChamNet).

What can be counted and what other devices say explains most of it (`starts`);
the kind of predictor with the least error on held-out measurements learns the
rest, and is handed over as a latency table (`learning`).
"""
