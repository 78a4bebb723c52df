"""Counts of rows: tables, the rates they give, and what a metric of counts is made of."""
