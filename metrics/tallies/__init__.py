"""Metrics of rows that no memory holds: whole numbers from one pass, from which values and intervals follow."""
