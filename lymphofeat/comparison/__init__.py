"""All pipelines of a cache and the control experiments, measured on the same folds."""
