"""Statistics of result tables."""
