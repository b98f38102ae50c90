"""Job `profile`: a latency table of this device."""
