"""Job `nbdt`: a network explained by its decision tree."""
