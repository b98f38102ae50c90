"""Job `latency_predictor`: latency learned from few measurements."""
