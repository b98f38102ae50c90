"""Job `autobuild`: networks put together from the best modules."""
