"""Explainers of any model: attributions to source columns from answers alone."""
