"""Runs on tables that no memory holds: a fixed amount of memory, whatever the number of rows."""
