"""Experts on tables: training, tuning, mixtures, metrics, explanations."""
