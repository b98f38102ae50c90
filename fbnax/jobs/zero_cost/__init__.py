"""Job `zero_cost`: scores of networks that have not been trained."""
