"""A plan cut into units that several nodes can compute: their order, how long they take together, and at least."""
