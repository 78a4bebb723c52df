"""Gradient-boosted trees as experts: utility, equal outcomes by weights or by the objective, fewer proxies."""
