"""Experiments behind the tables of the documentation; ``python -m benchmarks.studies NAME`` repeats one."""
