"""Fixed metrics: what a prediction is worth, how fair it is, and how sure one can be of either."""
