"""Linear experts: logistic regression on numbers as they are or encoded piecewise linearly."""
