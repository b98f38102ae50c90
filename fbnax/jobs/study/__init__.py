"""Job `study`: networks and recipes of finished runs, compared."""
