"""Experts of every kind from their folders. Start at :func:`benchmarks.models.kinds.reading.read_expert`."""
