"""Job `predictors`: how well learners predict, label by label."""
