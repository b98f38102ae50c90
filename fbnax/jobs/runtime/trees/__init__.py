"""Decision trees of a network: trained, measured, explained, drawn."""
